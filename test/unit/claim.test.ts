import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { FramelogError } from '../../src/errors.ts'
import type { Log, NewRecord } from '../../src/log/log.ts'
import { decodeRecord, encodeEntry } from '../../src/log/record.ts'
import { claimTimeout } from '../../src/relay/claim-attempt.ts'
import { takeoverLimits } from '../../src/relay/holder.ts'
import { relayLimits } from '../../src/relay/relay.ts'
import { broadcastId, millis, type Offset, offset } from '../../src/units.ts'
import { testCatalog, testFrame } from '../support/clients.ts'
import { useEmbeddedLog } from '../support/embedded.ts'
import { until } from '../support/fake-clock.ts'
import { countTails, publishRequest, relayOn, TestPublisherSink } from '../support/relay.ts'

describe('a claim', () => {
  const id = broadcastId('cam')
  let log: Log
  useEmbeddedLog('claim', opened => {
    log = opened
  })

  const records = async (name: string) => {
    const topic = (await log.find(name)) ?? assert.fail('no topic')
    return (await log.read(topic, offset(0), 1024 * 1024)).records.map(decodeRecord)
  }

  it('is given up when the log takes too long, and can be made again', async () => {
    const stuck = Promise.withResolvers<never>()
    const started = Promise.withResolvers<void>()
    let isStuck = true
    const { clock, relay } = relayOn(log, 'late-', {
      append: (topic, more) => {
        if (!isStuck) return log.append(topic, more)
        started.resolve()
        return stuck.promise
      },
    })
    const request = publishRequest()
    const sink = new TestPublisherSink()
    const claim = relay.publish(id, request, sink)
    const rejected = assert.rejects(claim, { code: 'LOG_UNREACHABLE', retryable: true })
    await started.promise
    clock.advance(claimTimeout)
    await rejected
    assert.equal(sink.error?.code, 'LOG_UNREACHABLE')
    isStuck = false
    const { session, next } = await relay.publish(id, request, new TestPublisherSink())
    assert.deepEqual([session.length, next], [8, 0])
    stuck.reject(new FramelogError('LOG_UNREACHABLE', 'x'))
    await relay.close()
  })

  it('is not made for a publisher that has gone meanwhile', async () => {
    const { relay } = relayOn(log, 'unwanted-')
    const request = { resumeHash: 'hash', session: undefined, isWanted: () => false }
    await assert.rejects(relay.publish(id, request, new TestPublisherSink()), { code: 'SHUTTING_DOWN' })
    assert.deepEqual(await records('unwanted-cam'), [])
    await relay.close()
  })

  it('is made again in the same session after an append that failed, and loses nothing', async () => {
    let failures = 0
    const { relay } = relayOn(log, 'failed-', {
      append: async (topic, more) => {
        // The records are in the log, and the writer is told that they may not be.
        const at = await log.append(topic, more)
        const numbers = more.map(record => record.headers.find(([name]) => name === 'n')?.[1])
        if (numbers.includes('3') && failures++ === 0) throw new FramelogError('LOG_UNREACHABLE', 'no answer')
        return at
      },
    })
    const sink = new TestPublisherSink()
    const request = publishRequest()
    const first = await relay.publish(id, request, sink)
    first.catalog(testCatalog)
    for (let n = 0; n < 6; n++) first.frame(testFrame(n))
    await until(() => sink.error !== undefined)
    assert.deepEqual([sink.error?.code, sink.error?.retryable], ['LOG_UNREACHABLE', true])
    first.leave()
    const again = new TestPublisherSink()
    const second = await relay.publish(id, { ...request, session: first.session }, again)
    assert.equal(second.session, first.session)
    assert.ok(second.next > sink.acknowledged && second.next <= 6)
    second.catalog(testCatalog)
    for (let n = second.next; n < 10; n++) second.frame(testFrame(n))
    await until(() => again.acknowledged === 9)
    const entries = await records('failed-cam')
    const numbers = entries.flatMap(entry => (entry.kind === 'frame' ? [entry.sequence] : []))
    assert.deepEqual(numbers, [0, 1, 2, 3, 4, 5, 6, 7, 8, 9])
    await relay.close()
  })

  it('waits for its publisher as long as the log does not answer, and for the grace from then on', async () => {
    let stuck: PromiseWithResolvers<void> | undefined
    const { clock, relay } = relayOn(log, 'waits-', {
      append: async (topic, more) => {
        await stuck?.promise
        return log.append(topic, more)
      },
    })
    await relay.start()
    const sink = new TestPublisherSink()
    const request = publishRequest()
    const publishing = await relay.publish(id, request, sink)
    publishing.catalog(testCatalog)
    publishing.frame(testFrame(0))
    await until(() => sink.acknowledged === 0 && relay.get(id)?.state === 'live')
    const gateways = (await log.find('waits-_gateways')) ?? assert.fail('no topic')
    const pass = async (): Promise<void> => {
      const { next } = await log.bounds(gateways)
      clock.advance(500)
      while (stuck === undefined && (await log.bounds(gateways)).next === next)
        await new Promise(setImmediate)
      await new Promise(setImmediate)
      await new Promise(setImmediate)
    }
    // The gateway has heard itself for long enough to know who is alive.
    for (let i = 0; i < 8; i++) await pass()
    stuck = Promise.withResolvers<void>()
    publishing.leave()
    for (let i = 0; i < 240; i++) await pass()
    assert.equal(relay.get(id)?.state, 'interrupted')
    stuck.resolve()
    stuck = undefined
    const since = clock.monotonic()
    while (relay.get(id)?.state !== 'ended') await pass()
    assert.ok(clock.monotonic() - since >= 25_000)
    await relay.close()
  })

  describe('that the log wrote twice', () => {
    const setUp = async (prefix: string) => {
      let claim: readonly NewRecord[] = []
      let next = 0
      const { relay } = relayOn(log, prefix, {
        tail: (tailed, from, sink) =>
          log.tail(tailed, from, {
            onChunk: chunk => {
              sink.onChunk(chunk)
              next = chunk.next
            },
            onEnd: error => sink.onEnd(error),
          }),
        append: (topic, more) => {
          if (more.some(({ key }) => key === '.session')) claim = more
          return log.append(topic, more)
        },
      })
      const sink = new TestPublisherSink()
      const publishing = await relay.publish(id, publishRequest(), sink)
      publishing.catalog(testCatalog)
      const topic = (await log.find(`${prefix}cam`)) ?? assert.fail('no topic')
      return { relay, sink, publishing, again: () => log.append(topic, claim), read: () => next }
    }

    it('holds by its later copy where nothing has been written under it', async () => {
      const { relay, sink, publishing, again, read } = await setUp('twice-')
      const epoch = await again()
      await until(() => read() > epoch)
      publishing.frame(testFrame(0))
      await until(() => sink.acknowledged === 0 || sink.error !== undefined)
      assert.equal(sink.error, undefined)
      const frame = (await records('twice-cam')).find(entry => entry.kind === 'frame')
      assert.equal(frame?.kind === 'frame' && frame.epoch, epoch)
      await relay.close()
    })

    it('is made again at once where something has', async () => {
      const { relay, sink, publishing, again } = await setUp('thrice-')
      publishing.frame(testFrame(0))
      await until(() => sink.acknowledged === 0)
      await again()
      await until(() => sink.error !== undefined)
      assert.deepEqual([sink.error?.code, sink.error?.retryable], ['LOG_OVERLOADED', true])
      const second = await relay.publish(
        id,
        publishRequest('hash', publishing.session),
        new TestPublisherSink(),
      )
      assert.deepEqual([second.session, second.next], [publishing.session, 1])
      await relay.close()
    })
  })

  describe('that retention has removed while the broadcast goes on', () => {
    const setUp = async (prefix: string) => {
      const here = relayOn(log, prefix)
      const sink = new TestPublisherSink()
      const publishing = await here.relay.publish(id, publishRequest(), sink)
      publishing.catalog(testCatalog)
      for (let n = 0; n <= 60; n++) publishing.frame(testFrame(n))
      await until(() => sink.acknowledged === 60)
      // Another gateway, for which the log begins behind the claim and the catalog.
      const begin = offset(5)
      const there = relayOn(log, prefix, {
        bounds: async topic => {
          const bounds = await log.bounds(topic)
          return topic.name === `${prefix}cam`
            ? { ...bounds, first: Math.max(bounds.first, begin) as Offset }
            : bounds
        },
        read: (topic, from, bytes) =>
          topic.name === `${prefix}cam` && from < begin
            ? Promise.reject(new FramelogError('OFFSET_OUT_OF_RANGE', `${from} is gone`))
            : log.read(topic, from, bytes),
      })
      const close = () => Promise.all([here.relay.close(), there.relay.close()])
      return { there: there.relay, session: publishing.session, close }
    }

    it('keeps a stranger out', async () => {
      const { there, close } = await setUp('stranger-')
      await assert.rejects(there.publish(id, publishRequest('other'), new TestPublisherSink()), {
        code: 'BROADCAST_BUSY',
      })
      await close()
    })

    it('lets its publisher go on in its session on another gateway', async () => {
      const { there, session, close } = await setUp('moves-')
      const second = await there.publish(id, publishRequest('hash', session), new TestPublisherSink())
      assert.deepEqual([second.session, second.next], [session, 61])
      await close()
    })
  })

  describe('of the same publisher on another gateway', () => {
    const setUp = async (prefix: string) => {
      const tails = countTails(log, `${prefix}cam`)
      const { clock, relay } = relayOn(log, prefix, { tail: tails.tail })
      const sink = new TestPublisherSink()
      const request = publishRequest()
      const publishing = await relay.publish(id, request, sink)
      publishing.catalog(testCatalog)
      for (let n = 0; n < 3; n++) publishing.frame(testFrame(n))
      await until(() => sink.acknowledged === 2)
      const topic = (await log.find(`${prefix}cam`)) ?? assert.fail('no topic')
      const { session } = publishing
      const claim = {
        kind: 'session',
        session,
        resumeHash: 'hash',
        nonce: 'other',
        gateway: 'other',
      } as const
      const epoch = await log.append(topic, [encodeEntry(claim, clock.now())])
      const write = (sequence: number): Promise<unknown> => {
        const frame = testFrame(sequence)
        return log.append(topic, [
          encodeEntry({ kind: 'frame', epoch, session, sequence, frame }, clock.now()),
        ])
      }
      /** Until the claim has been read: what is sent from then on is not appended. */
      const read = async (): Promise<void> => {
        const { next } = await log.bounds(topic)
        const caughtUp = Promise.withResolvers<void>()
        const sees = (end: number): void => (end >= next ? caughtUp.resolve() : undefined)
        const tail = log.tail(topic, offset(0), {
          onChunk: chunk => sees(chunk.next),
          onEnd: caughtUp.reject,
        })
        await caughtUp.promise
        tail.close()
        await new Promise(setImmediate)
      }
      await read()
      return { clock, relay, sink, publishing, tails, request: { ...request, session }, write }
    }

    it('takes over as soon as a frame follows it', async () => {
      const { relay, sink, write } = await setUp('moved-')
      await write(3)
      await until(() => sink.error !== undefined)
      assert.deepEqual([sink.error?.code, sink.error?.retryable], ['BROADCAST_TAKEN_OVER', false])
      await relay.close()
    })

    it('takes over where nobody is here any more, though no frame follows it', async () => {
      const { clock, relay, publishing, tails } = await setUp('quiet-')
      publishing.leave()
      clock.advance(takeoverLimits.proof)
      // Nobody is published here any more, so it is let go.
      clock.advance(relayLimits.idle)
      assert.equal(tails.open, 0)
      await relay.close()
    })

    it('came too late where the publisher is here and connected, however little it sends', async () => {
      const { clock, relay, sink } = await setUp('slow-')
      clock.advance(takeoverLimits.proof)
      assert.deepEqual([sink.error?.code, sink.error?.retryable], ['LOG_OVERLOADED', true])
      await relay.close()
    })

    it('came too late where the publisher is here and sends: it may claim again, and loses nothing', async () => {
      const { clock, relay, sink, publishing, request } = await setUp('late-claim-')
      clock.advance(takeoverLimits.proof - 10)
      for (let n = 3; n < 6; n++) publishing.frame(testFrame(n))
      clock.advance(10)
      assert.deepEqual([sink.error?.code, sink.error?.retryable], ['LOG_OVERLOADED', true])
      const again = new TestPublisherSink()
      const second = await relay.publish(id, request, again)
      assert.deepEqual([second.session, second.next], [request.session, 3])
      second.catalog(testCatalog)
      for (let n = 3; n < 6; n++) second.frame(testFrame(n))
      await until(() => again.acknowledged === 5)
      const frames = (await records('late-claim-cam')).filter(entry => entry.kind === 'frame')
      assert.deepEqual(
        frames.map(({ sequence }) => sequence),
        [0, 1, 2, 3, 4, 5],
      )
      await relay.close()
    })
  })

  it('acknowledges nothing that another program wrote under it, and begins another session where that used it up', async () => {
    const { relay } = relayOn(log, 'forged-')
    const sink = new TestPublisherSink()
    const first = await relay.publish(id, publishRequest(), sink)
    first.catalog(testCatalog)
    first.frame(testFrame(0))
    await until(() => sink.acknowledged === 0)
    const topic = (await log.find('forged-cam')) ?? assert.fail('no topic')
    const claimed = { epoch: offset(0), session: first.session }
    for (const to of [2 ** 53 - 1, 2 ** 52]) {
      const reason = 'forged'
      await log.append(topic, [encodeEntry({ kind: 'gap', ...claimed, from: 5, to, reason }, millis(0))])
    }
    first.frame(testFrame(1))
    await until(() => sink.error !== undefined)
    assert.deepEqual([sink.acknowledged, sink.error?.retryable], [0, true])
    const again = new TestPublisherSink()
    const second = await relay.publish(id, publishRequest('hash', first.session), again)
    assert.notEqual(second.session, first.session)
    assert.equal(second.next, 0)
    second.catalog(testCatalog)
    second.frame(testFrame(0))
    await until(() => again.acknowledged === 0)
    await relay.close()
  })
})
