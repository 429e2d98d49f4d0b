import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { FramelogError } from '../../src/errors.ts'
import type { Log } from '../../src/log/log.ts'
import { Directory, type DirectoryEntry } from '../../src/relay/directory.ts'
import { heartbeatLimits } from '../../src/relay/heartbeats.ts'
import { Relay } from '../../src/relay/relay.ts'
import { upkeepLimits } from '../../src/relay/upkeep.ts'
import { type BroadcastId, broadcastId, millis, type Offset } from '../../src/units.ts'
import { testCatalog, testFrame } from '../support/clients.ts'
import { useEmbeddedLog } from '../support/embedded.ts'
import { FakeClock, until } from '../support/fake-clock.ts'
import { logWith, publishRequest, relayOn, TestPublisherSink, TestViewerSink } from '../support/relay.ts'

describe('the directory', () => {
  let log: Log
  useEmbeddedLog('directory', opened => {
    log = opened
  })

  const entry = (id: BroadcastId, more: Partial<DirectoryEntry> = {}): DirectoryEntry => ({
    id,
    state: 'live',
    topic: 'first',
    epoch: 0 as Offset,
    gateway: 'a',
    startedAt: millis(1),
    updatedAt: millis(2),
    gaps: [],
    ...more,
  })

  const open = async (name: string, limit?: number) => {
    const refuted: BroadcastId[] = []
    let entries = 0
    const handler = {
      onEntry: () => {
        entries += 1
      },
      onRefuted: ({ id }: DirectoryEntry) => void refuted.push(id),
      onLost: () => {},
      onDamage: () => {},
    }
    const directory = await Directory.open(log, name, new FakeClock(), handler, limit)
    return { directory, refuted, entries: () => entries }
  }

  it('says what was written last, and what is not over', async () => {
    const { directory, entries } = await open('last')
    const [one, two] = [broadcastId('one'), broadcastId('two')]
    await directory.put(entry(one))
    await directory.put(entry(two))
    await directory.put(entry(two, { state: 'ended' }))
    await until(() => entries() === 3)
    assert.deepEqual(directory.get(two), entry(two, { state: 'ended' }))
    assert.deepEqual([...directory.active], [one])
    directory.close()
    const again = await open('last')
    assert.deepEqual(again.directory.list(), [entry(one), entry(two, { state: 'ended' })])
    again.directory.close()
  })

  it('keeps what began anew before the removal of what was there came', async () => {
    const { directory, refuted } = await open('anew')
    const id = broadcastId('cam')
    await directory.put(entry(id))
    await directory.put(entry(id, { topic: 'second' }))
    await directory.remove(id, 'first', millis(3))
    await until(() => refuted.length === 1)
    assert.equal(directory.get(id)?.topic, 'second')
    await directory.remove(id, 'second', millis(4))
    await until(() => directory.get(id) === undefined)
    assert.equal(directory.active.size, 0)
    directory.close()
  })

  it('has nothing any more of what was removed here, before that is read back', async () => {
    const id = broadcastId('cam')
    let entries = 0
    const handler = {
      onEntry: () => void entries++,
      onRefuted: () => {},
      onLost: () => {},
      onDamage: () => {},
    }
    const held = logWith(log, {
      // Nothing of the removal.
      tail: (topic, from, sink) =>
        log.tail(topic, from, {
          ...sink,
          onChunk: chunk => (entries === 0 ? sink.onChunk(chunk) : undefined),
        }),
    })
    const directory = await Directory.open(held, 'own', new FakeClock(), handler)
    await directory.put(entry(id))
    await until(() => entries === 1)
    await directory.remove(id, 'another', millis(3))
    assert.equal(directory.get(id)?.topic, 'first')
    await directory.remove(id, 'first', millis(3))
    assert.deepEqual([directory.get(id), directory.active.size], [undefined, 0])
    directory.close()
  })

  it('reads entries that name no topic', async () => {
    const { directory, entries } = await open('older')
    const { topic: _, ...older } = entry(broadcastId('cam'))
    await directory.put(older as DirectoryEntry)
    await until(() => entries() === 1)
    assert.equal(directory.get(older.id)?.topic, '')
    await directory.remove(older.id, 'any', millis(4))
    await until(() => directory.get(older.id) === undefined)
    directory.close()
  })

  it('holds a bounded number of broadcasts, and forgets what is over first', async () => {
    const { directory, entries } = await open('full', 3)
    const names = () => directory.list().map(({ id }) => id)
    for (let i = 0; i < 5; i++) await directory.put(entry(broadcastId(`cam-${i}`)))
    for (const i of [1, 0]) await directory.put(entry(broadcastId(`cam-${i}`), { state: 'ended' }))
    await until(() => entries() === 5)
    // Where all are on air there is no room; else what has been over for longest goes.
    assert.deepEqual(names(), ['cam-0', 'cam-1', 'cam-2'])
    await directory.put(entry(broadcastId('cam-5')))
    await until(() => entries() === 6)
    assert.deepEqual(names(), ['cam-0', 'cam-2', 'cam-5'])
    // One that goes on is not over.
    await directory.put(entry(broadcastId('cam-0')))
    await directory.put(entry(broadcastId('cam-6')))
    await directory.put(entry(broadcastId('cam-2'), { state: 'ended' }))
    await until(() => entries() === 8)
    assert.deepEqual(names(), ['cam-0', 'cam-2', 'cam-5'])
    assert.deepEqual([...directory.active].toSorted(), ['cam-0', 'cam-5'])
    directory.close()
  })

  it('is read again once a second while it may not be read, however often that is refused', async () => {
    const name = 'refused'
    const clock = new FakeClock()
    const denied = new FramelogError('LOG_AUTHORIZATION', 'not allowed to read')
    const ends: (() => void)[] = []
    let mayRead = true
    const refusing = logWith(log, {
      tail: (topic, from, sink) => {
        ends.push(() => sink.onEnd(denied))
        if (mayRead) return log.tail(topic, from, sink)
        setImmediate(() => sink.onEnd(denied))
        return { close: () => {} }
      },
    })
    let lost = 0
    let entries = 0
    const directory = await Directory.open(refusing, name, clock, {
      onEntry: () => {
        entries += 1
      },
      onRefuted: () => {},
      onLost: () => {
        lost += 1
      },
      onDamage: () => {},
    })
    // What is there to catch up with is what a refused tail never comes to.
    await directory.put(entry(broadcastId('cam')))
    await until(() => entries === 1)
    mayRead = false
    ends[0]?.()
    const wait = async (): Promise<void> => {
      for (let i = 0; i < 20; i++) await new Promise(setImmediate)
    }
    const counts: number[] = []
    for (let second = 0; second < 5; second++) {
      await wait()
      counts.push(ends.length)
      clock.advance(1000)
    }
    await wait()
    assert.deepEqual([...counts, ends.length], [1, 2, 3, 4, 5, 6])
    mayRead = true
    clock.advance(1000)
    await until(() => lost === 1)
    assert.equal(entries, 2)
    directory.close()
  })

  it('forgets a broadcast that is deleted after its topic was deleted by hand', async () => {
    const { relay } = relayOn(log, 'by-hand-')
    await relay.start()
    const sink = new TestPublisherSink()
    const id = broadcastId('cam')
    const publishing = await relay.publish(id, publishRequest(), sink)
    publishing.catalog(testCatalog)
    publishing.frame(testFrame(0))
    await until(() => relay.get(id)?.state === 'live')
    await publishing.end('stopped')
    await until(() => relay.get(id)?.state === 'ended')
    await log.delete((await log.find('by-hand-cam')) ?? assert.fail())
    await relay.delete(id)
    await until(() => relay.get(id) === undefined)
    await assert.rejects(relay.delete(id), { code: 'BROADCAST_NOT_FOUND' })
    await relay.close()
  })

  it('has a broadcast looked for again that somebody waits for, where it was not found at first', async () => {
    let isHidden = true
    let looks = 0
    const there = relayOn(log, 'late-', {
      find: async name => {
        if (name === 'late-cam') looks += 1
        return isHidden && name === 'late-cam' ? undefined : await log.find(name)
      },
    })
    await there.relay.start()
    const id = broadcastId('cam')
    const viewer = new TestViewerSink()
    there.relay.watch(id, { from: 'live' }, viewer)
    await until(() => viewer.state === 'waiting')
    const here = relayOn(log, 'late-')
    await here.relay.start()
    const sink = new TestPublisherSink()
    const publishing = await here.relay.publish(id, publishRequest(), sink)
    publishing.catalog(testCatalog)
    publishing.frame(testFrame(0))
    // Once for the viewer, and once for each entry: of the claim, and of the first frame.
    await until(() => looks === 3 && sink.acknowledged === 0)
    await new Promise(setImmediate)
    isHidden = false
    there.clock.advance(2 * upkeepLimits.sweep)
    for (let i = 0; i < 1000 && viewer.numbers.length === 0; i++) await new Promise(setImmediate)
    assert.deepEqual(viewer.numbers, [0])
    await Promise.all([here.relay.close(), there.relay.close()])
  })

  it('has what gateways left that are gone looked at after a grace, a few at a time', async () => {
    const prefix = 'gone-'
    const { directory, entries } = await open(`${prefix}_directory`)
    const count = upkeepLimits.opensPerSweep + 5
    for (let i = 0; i < count; i++) await directory.put(entry(broadcastId(`cam-${i}`)))
    await until(() => entries() === count)
    const clock = new FakeClock()
    const grace = 30_000
    const relay = new Relay({
      log,
      clock,
      gateway: 'b',
      topicPrefix: prefix,
      topicOptions: {},
      publisherGrace: grace,
      random: length => 'i'.repeat(length),
      onEvent: () => {},
    })
    await relay.start()
    assert.equal(relay.list().filter(({ state }) => state === 'live').length, count)
    const gateways = (await log.find(`${prefix}_gateways`)) ?? assert.fail()
    const beat = async (): Promise<void> => {
      const { next } = await log.bounds(gateways)
      clock.advance(heartbeatLimits.every)
      while ((await log.bounds(gateways)).next === next) await new Promise(setImmediate)
      await new Promise(setImmediate)
    }
    // Nobody is heard under the name that they have: they are interrupted, and not over yet.
    while (relay.list().some(({ state }) => state === 'live')) await beat()
    assert.ok(clock.monotonic() <= 2500)
    while (clock.monotonic() < grace) await beat()
    assert.equal(directory.list().length, count)
    // Their topics are not there: they are taken from the directory.
    for (const left of [5, 0]) {
      const before = directory.list().length
      while (directory.list().length === before) await beat()
      await until(() => directory.list().length <= left && relay.list().length <= left)
    }
    await relay.close()
    directory.close()
  })
})
