/** Timed data that anybody writes into a broadcast, on a relay over a real log. */
import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import type { Log } from '../../src/log/log.ts'
import { encodeEntry } from '../../src/log/record.ts'
import type { TimedData } from '../../src/media/timed-data.ts'
import type { ViewerEvent } from '../../src/relay/packet.ts'
import { broadcastId, type Millis, micros } from '../../src/units.ts'
import { testCatalog, testData, testFrame } from '../support/clients.ts'
import { useEmbeddedLog } from '../support/embedded.ts'
import { until } from '../support/fake-clock.ts'
import { publishRequest, relayOn, TestPublisherSink, TestViewerSink } from '../support/relay.ts'

const id = broadcastId('cam')

const dataIn = (events: readonly ViewerEvent[]) => events.filter(event => event.type === 'data')

describe('timed data in a broadcast', { timeout: 30_000 }, () => {
  let log: Log
  useEmbeddedLog('timed-data', opened => {
    log = opened
  })

  const setUp = async (prefix: string) => {
    const { relay, clock } = relayOn(log, prefix)
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
    return { relay, clock, publishing, publish, write, watch }
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
})
