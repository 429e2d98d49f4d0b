/** Timed data that anybody writes into a broadcast, on a relay over a real log. */
import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { FramelogError } from '../../src/errors.ts'
import type { Log } from '../../src/log/log.ts'
import { encodeEntry } from '../../src/log/record.ts'
import { type TimedData, timedDataLimits } from '../../src/media/timed-data.ts'
import { dataWriterLimits } from '../../src/relay/data-writer.ts'
import type { ViewerEvent } from '../../src/relay/packet.ts'
import { relayLimits } from '../../src/relay/relay.ts'
import { broadcastId, type Millis, micros } from '../../src/units.ts'
import { testCatalog, testData, testFrame } from '../support/clients.ts'
import { useEmbeddedLog } from '../support/embedded.ts'
import { until } from '../support/fake-clock.ts'
import { countTails, publishRequest, relayOn, TestPublisherSink, TestViewerSink } from '../support/relay.ts'

const id = broadcastId('cam')

const dataIn = (events: readonly ViewerEvent[]) => events.filter(event => event.type === 'data')

describe('timed data in a broadcast', { timeout: 30_000 }, () => {
  let log: Log
  useEmbeddedLog('timed-data', opened => {
    log = opened
  })

  const setUp = async (prefix: string, calls: Partial<Log> = {}) => {
    const { relay, clock } = relayOn(log, prefix, calls)
    const sink = new TestPublisherSink()
    const publishing = await relay.publish(id, publishRequest(), sink)
    publishing.catalog(testCatalog)
    const topic = (await log.find(`${prefix}${id}`)) ?? assert.fail('no topic')
    let next = 0
    const publish = async (count: number): Promise<void> => {
      for (let i = 0; i < count; i++) publishing.frame(testFrame(next++, { keyframe: (next - 1) % 10 === 0 }))
      await until(() => sink.acknowledged === next - 1)
    }
    /** Without a gateway, as any client of the log may. */
    const write = (record: TimedData, timestamp: number = clock.now()): Promise<number> =>
      log.append(topic, [encodeEntry({ kind: 'data', record }, timestamp as Millis)])
    const watch = async (from = 'live'): Promise<TestViewerSink> => {
      const viewer = new TestViewerSink()
      const watching = relay.watch(id, { from }, viewer)
      await until(() => viewer.places.at(-1)?.isLive === true)
      return Object.assign(viewer, { watching })
    }
    return { relay, clock, topic, sink, publishing, publish, write, watch }
  }

  it('belongs to the newest frame of the main track before it, or to the moment that it names', async () => {
    const { publishing, publish, write, watch } = await setUp('moment-')
    const viewer = await watch()
    await write(testData('before any frame'))
    await publish(3)
    const { session } = publishing
    await write(testData('here'))
    await write({ ...testData('there', { session: 'other123', timestamp: micros(-5) }), duration: micros(7) })
    await publish(1)
    await until(() => viewer.course.includes(3))
    assert.deepEqual(viewer.course, [0, 1, 2, 'here', 'there', 3])
    const [here, there] = dataIn(viewer.events)
    assert.deepEqual([here?.session, here?.timestamp], [session, testFrame(2).timestamp])
    assert.ok(here && !('duration' in here))
    assert.deepEqual([there?.session, there?.timestamp, there?.duration], ['other123', -5, 7])
    assert.equal(there?.offset, (here?.offset ?? 0) + 1)
  })

  it('comes to whoever joins with the current GOP, and in a replay with all of it', async () => {
    const { publish, write, watch } = await setUp('join-')
    await publish(5)
    await write(testData('first GOP'))
    await publish(8)
    await write(testData('second GOP'))
    await publish(1)
    const live = await watch()
    assert.deepEqual(live.course, [10, 11, 12, 'second GOP', 13])
    const replay = await watch('start')
    const all = [0, 1, 2, 3, 4, 'first GOP', 5, 6, 7, 8, 9, 10, 11, 12, 'second GOP', 13]
    assert.deepEqual(replay.course, all)
    assert.deepEqual(
      dataIn(replay.events).map(({ timestamp }) => timestamp),
      [testFrame(4).timestamp, testFrame(12).timestamp],
    )
    const middle = await watch(`@${dataIn(live.events)[0]?.offset}`)
    assert.deepEqual(middle.course, [10, 11, 12, 'second GOP', 13])
  })

  it('keeps no broadcast alive', async () => {
    const { clock, publishing, publish, write, watch, relay } = await setUp('silence-')
    await publish(1)
    const viewer = await watch()
    publishing.leave()
    const states = (): string[] =>
      viewer.events.flatMap(event => (event.type === 'state' ? [event.state] : []))
    for (let second = 0; second < 40; second++) {
      await write(testData(`second ${second}`))
      await until(() => viewer.course.includes(`second ${second}`))
      clock.advance(1000)
      if (states().includes('ended')) break
    }
    await until(() => states().includes('ended'))
    assert.deepEqual(states(), ['interrupted', 'ended'])
    await write(testData('later'))
    await until(() => viewer.course.includes('later'))
    assert.deepEqual(states(), ['interrupted', 'ended'])
    // Nor for a gateway that begins to read it when data is all that is new.
    const other = relayOn(log, 'silence-')
    other.clock.freeze(clock.monotonic() + 60_000)
    await write(testData('just now'), other.clock.now())
    const late = new TestViewerSink()
    other.relay.watch(id, { from: 'live' }, late)
    await until(() => late.state !== undefined)
    assert.equal(late.state, 'ended')
    await Promise.all([relay.close(), other.relay.close()])
  })

  it('stamps no frame, however wrong the clock that stamped it', async () => {
    const { clock, publish, write, watch } = await setUp('stamp-')
    await publish(1)
    await write(testData('tomorrow'), clock.now() + 86_400_000)
    const viewer = await watch()
    await until(() => viewer.course.includes('tomorrow'))
    await publish(1)
    await until(() => viewer.course.includes(1))
    const last = viewer.events.findLast(event => event.type === 'frame')
    assert.equal(last?.time, clock.now())
  })

  it('neither holds a replay up nor hurries it', async () => {
    const { relay, publishing, publish, write } = await setUp('pace-')
    const { session } = publishing
    await publish(1)
    await write(testData('an hour ahead', { session, timestamp: micros(3_600_000_000) }))
    await publish(400)
    await write(testData('behind'))
    const viewer = new TestViewerSink()
    const watching = relay.watch(id, { from: 'start' }, viewer)
    // The first that is more than 10 s ahead of what is shown waits.
    await until(() => viewer.numbers.at(-1) === 300)
    assert.deepEqual(viewer.course.slice(0, 3), [0, 'an hour ahead', 1])
    watching.position(session, testFrame(300).timestamp)
    await until(() => viewer.course.includes('behind'))
    assert.equal(viewer.numbers.at(-1), 400)
  })

  /** Appends of timed data, which tests keep waiting or refuse; all others go on. */
  const heldAppends = () => {
    const held: (() => void)[] = []
    const gate = {
      isShut: false,
      refusal: undefined as FramelogError | undefined,
      open: () => {
        gate.isShut = false
        for (const go of held.splice(0)) go()
      },
      append: (async (topic, records) => {
        if (records.every(({ key }) => key.startsWith('meta-'))) {
          if (gate.refusal !== undefined) throw gate.refusal
          if (gate.isShut) await new Promise<void>(resolve => held.push(resolve))
        }
        return log.append(topic, records)
      }) satisfies Log['append'],
    }
    return gate
  }

  const codeOf = async (promise: Promise<unknown>): Promise<string> =>
    promise.then(
      () => 'none',
      (error: unknown) => (error instanceof FramelogError ? error.code : String(error)),
    )

  it('is in the log when its writer is told so, and stamped as frames are', async () => {
    const { relay, clock, publish, watch } = await setUp('write-')
    await publish(2)
    const viewer = await watch()
    const writing = await relay.write(id)
    clock.wall -= 5000
    await writing.write(testData('written'))
    await until(() => viewer.course.includes('written'))
    const [data] = dataIn(viewer.events)
    assert.equal(data?.timestamp, testFrame(1).timestamp)
    assert.equal(data?.time, clock.now() + 5000, 'it does not fall behind the frames')
  })

  it('waits for the log up to a number for each writer', async () => {
    const gate = heldAppends()
    const { relay, publish, watch } = await setUp('number-', gate)
    await publish(1)
    const [first, second] = [await relay.write(id), await relay.write(id)]
    gate.isShut = true
    const waiting = Array.from({ length: dataWriterLimits.waiting }, (_, i) => first.write(testData(`${i}`)))
    assert.equal(await codeOf(first.write(testData('one too many'))), 'TOO_MANY')
    waiting.push(second.write(testData('another writer')))
    gate.open()
    await Promise.all(waiting)
    assert.equal(await codeOf(first.write(testData('again'))), 'none')
    const viewer = await watch()
    await until(() => viewer.course.includes('again'))
    const texts = [...Array(dataWriterLimits.waiting).keys()].map(String)
    assert.deepEqual(viewer.course, [0, ...texts, 'another writer', 'again'])
  })

  it('waits for the log up to a number of bytes for all writers, and a publisher is not ended by that', async () => {
    const gate = heldAppends()
    const { relay, publishing, publish, watch, sink } = await setUp('bytes-', gate)
    await publish(1)
    const [first, second] = [await relay.write(id), await relay.write(id)]
    gate.isShut = true
    const large = { ...testData(''), data: new Uint8Array(timedDataLimits.bytes) }
    const fits = Math.floor(dataWriterLimits.bytes / (timedDataLimits.bytes + dataWriterLimits.each))
    const waiting = Array.from({ length: fits }, () => first.write(large))
    assert.equal(await codeOf(second.write(large)), 'TOO_MANY')
    publishing.data(large)
    waiting.push(second.write(testData('small')))
    gate.open()
    await Promise.all(waiting)
    publishing.data(testData('of the publisher'))
    await publish(1)
    assert.equal(sink.error, undefined)
    const viewer = await watch('start')
    assert.equal(viewer.course.length, fits + 4, 'all but the two that did not fit')
    assert.deepEqual(viewer.course.slice(-3), ['small', 'of the publisher', 1])
    assert.equal(await codeOf(second.write(large)), 'none')
  })

  it('is refused where nobody has published, and where it is over, until it goes on', async () => {
    const { relay, publishing, publish, sink } = await setUp('refused-')
    assert.equal(await codeOf(relay.write(broadcastId('nobody'))), 'BROADCAST_NOT_FOUND')
    const writing = await relay.write(id)
    await publish(1)
    assert.equal(await codeOf(writing.write(testData('on'))), 'none')
    await publishing.end('over')
    assert.equal(await codeOf(writing.write(testData('over'))), 'BROADCAST_NOT_LIVE')
    assert.equal(await codeOf(relay.write(id)), 'BROADCAST_NOT_LIVE')
    await relay.publish(id, publishRequest('another'), sink)
    assert.equal(await codeOf(writing.write(testData('on again'))), 'none')
    await relay.delete(id)
    await until(() => sink.error !== undefined)
    assert.equal(await codeOf(writing.write(testData('deleted'))), 'BROADCAST_DELETED')
  })

  it('fails with what the log says, and may be sent again where the log refused a frame before it', async () => {
    const gate = heldAppends()
    const { relay } = await setUp('fails-', gate)
    const writing = await relay.write(id)
    for (const [code, told] of [
      ['LOG_FULL', 'LOG_FULL'],
      ['FRAME_TOO_LARGE', 'LOG_OVERLOADED'],
    ] as const) {
      gate.refusal = new FramelogError(code, 'refused')
      assert.equal(await codeOf(writing.write(testData('refused'))), told)
    }
    gate.refusal = undefined
    assert.equal(await codeOf(writing.write(testData('taken'))), 'none')
  })

  it('keeps its broadcast read for as long as somebody may write, and no longer', async () => {
    const { publishing, publish } = await setUp('read-')
    await publish(1)
    const tails = countTails(log, `read-${id}`)
    const { relay, clock } = relayOn(log, 'read-', { tail: tails.tail })
    const writing = await relay.write(id)
    clock.advance(relayLimits.idle * 2)
    assert.equal(tails.open, 1)
    assert.equal(await codeOf(writing.write(testData('taken'))), 'none')
    writing.leave()
    writing.leave()
    clock.advance(relayLimits.idle)
    assert.equal(tails.open, 0)
    publishing.leave()
  })
})
