/** Viewers that pause, seek and step, on a relay over a real log. */
import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import type { Log } from '../../src/log/log.ts'
import type { Watching } from '../../src/relay/relay.ts'
import { broadcastId, type Micros } from '../../src/units.ts'
import { testCatalog, testFrame } from '../support/clients.ts'
import { useEmbeddedLog } from '../support/embedded.ts'
import { until } from '../support/fake-clock.ts'
import { publishRequest, relayOn, TestPublisherSink, TestViewerSink } from '../support/relay.ts'

const id = broadcastId('cam')
const gop = 10

describe('a viewer', { timeout: 30_000 }, () => {
  let log: Log
  useEmbeddedLog('seek', opened => {
    log = opened
  })

  /** A broadcast of so many frames, a keyframe every ten, a tenth of a second of wall clock apart. */
  const setUp = async (prefix: string, frames: number, calls: Partial<Log> = {}) => {
    const { relay, clock } = relayOn(log, prefix, calls)
    const sink = new TestPublisherSink()
    const publishing = await relay.publish(id, publishRequest(), sink)
    publishing.catalog(testCatalog)
    const publish = async (count: number): Promise<void> => {
      for (let i = 0; i < count; i++) {
        const n = sink.acknowledged + 1
        clock.freeze(100)
        publishing.frame(testFrame(n, { keyframe: n % gop === 0 }))
        await until(() => sink.acknowledged === n)
      }
    }
    const begun = clock.now()
    await publish(frames)
    const watch = async (from: string): Promise<Seen> => {
      const seen = new Seen()
      seen.watching = relay.watch(id, { from }, seen)
      await until(() => seen.places.length > 0)
      return seen
    }
    return { relay, publishing, publish, watch, begun }
  }

  /** What came since the place that answers a seek. */
  class Seen extends TestViewerSink {
    watching!: Watching
    #from = 0

    override place(place: Parameters<TestViewerSink['place']>[0]): void {
      super.place(place)
      if (this.places.at(-2)?.seek !== place.seek) this.#from = this.events.length
    }

    get since(): number[] {
      return this.events
        .slice(this.#from)
        .flatMap(event => (event.type === 'frame' ? [event.frame.sequence] : []))
    }

    /** The number of the frame that was asked for: those before it are only to be decoded. */
    get first(): number | undefined {
      const wanted = this.places.findLast(({ isLive }) => !isLive)?.wanted ?? 0
      const shown = this.events
        .slice(this.#from)
        .find(event => event.type === 'frame' && event.offset >= wanted)
      return shown?.type === 'frame' ? shown.frame.sequence : undefined
    }

    async seek(seek: number, from: string, step: -1 | 0 | 1 = 0): Promise<void> {
      this.watching.seek(seek, from, step)
      await until(() => this.places.at(-1)?.seek === seek)
    }

    offsetOf(sequence: number): number {
      const found = this.events.find(event => event.type === 'frame' && event.frame.sequence === sequence)
      return found?.type === 'frame' ? found.offset : assert.fail(`no frame ${sequence}`)
    }
  }

  it('is told where it is: live, or from which frame on', async () => {
    const { watch, begun } = await setUp('told-', 35)
    const live = await watch('live')
    assert.deepEqual(
      live.places.map(({ seek, isLive, wanted }) => [seek, isLive, wanted]),
      [[0, true, undefined]],
    )
    await until(() => live.since.at(-1) === 34)
    assert.deepEqual(live.since[0], 30)
    const replay = await watch(new Date(begun + 1750).toISOString())
    await until(() => replay.since.includes(34))
    assert.equal(replay.since[0], 10, 'its GOP comes first')
    assert.equal(replay.first, 17)
    assert.equal(replay.places[0]?.topic, live.places[0]?.topic)
    await until(() => replay.places.length === 2)
    assert.equal(replay.places[1]?.isLive, true)
  })

  it('goes elsewhere on the same connection, and nothing comes of where it was', async () => {
    const { watch, publish } = await setUp('goes-', 45)
    const viewer = await watch('live')
    await until(() => viewer.since.includes(44))
    await viewer.seek(1, 'start')
    await until(() => viewer.since.includes(44))
    assert.deepEqual(viewer.since, [...Array(45).keys()])
    await publish(5)
    await until(() => viewer.since.includes(49))
    await viewer.seek(2, `@${viewer.offsetOf(23)}`)
    await until(() => viewer.since.includes(49))
    assert.equal(viewer.first, 23)
    await viewer.seek(3, 'live')
    await until(() => viewer.since.includes(49))
    assert.equal(viewer.since[0], 40)
    await publish(1)
    await until(() => viewer.since.at(-1) === 50)
    assert.equal(viewer.since.filter(n => n === 50).length, 1)
  })

  it('that seeks again before it was answered is answered for the last', async () => {
    const { watch } = await setUp('again-', 35)
    const viewer = await watch('live')
    for (let seek = 1; seek <= 20; seek++) viewer.watching.seek(seek, seek % 2 ? 'start' : 'live', 0)
    await until(() => viewer.places.at(-1)?.seek === 20)
    await until(() => viewer.since.at(-1) === 34)
    assert.deepEqual(viewer.since, [30, 31, 32, 33, 34])
  })

  it('that seeks without end makes the log be read for one at a time', async () => {
    let [asked, atOnce, most] = [0, 0, 0]
    const offsetAt: Log['offsetAt'] = async (topic, time) => {
      asked += 1
      atOnce += 1
      most = Math.max(most, atOnce)
      const found = await log.offsetAt(topic, time)
      atOnce -= 1
      return found
    }
    const { watch, begun } = await setUp('flood-', 35, { offsetAt })
    const viewer = await watch('live')
    for (let seek = 1; seek <= 1000; seek++)
      viewer.watching.seek(seek, new Date(begun + seek).toISOString(), 0)
    await until(() => viewer.places.at(-1)?.seek === 1000)
    await until(() => viewer.since.at(-1) === 34)
    assert.equal(most, 1)
    assert.ok(asked <= 2, `${asked} of them`)
  })

  it('that is paused is sent nothing until it seeks', async () => {
    const { watch, publish } = await setUp('paused-', 25)
    const [viewer, other] = [await watch('live'), await watch('live')]
    await until(() => viewer.since.includes(24))
    viewer.watching.pause()
    const { length } = viewer.events
    await publish(30)
    await until(() => other.since.includes(54))
    assert.equal(viewer.events.length, length)
    await viewer.seek(1, `@${viewer.offsetOf(24) + 1}`)
    await until(() => viewer.since.includes(54))
    assert.equal(viewer.first, 25)
  })

  it('steps from keyframe to keyframe, both ways, and not beyond the first', async () => {
    const { watch } = await setUp('steps-', 45)
    const viewer = await watch('start')
    await until(() => viewer.since.includes(44))
    const steps: (number | undefined)[] = []
    let seek = 0
    for (const [at, step] of [
      [33, -1],
      [30, -1],
      [20, -1],
      [0, -1],
      [5, 1],
      [10, 1],
    ] as const) {
      const from = `@${viewer.offsetOf(at)}`
      seek += 1
      await viewer.seek(seek, from, step)
      await until(() => viewer.first !== undefined)
      steps.push(viewer.first)
    }
    assert.deepEqual(steps, [30, 20, 10, 0, 10, 20])
  })

  it('is shown the last picture where it asks for what is behind it, and no more comes', async () => {
    const { watch, publishing, relay } = await setUp('over-', 25)
    const viewer = await watch('start')
    await until(() => viewer.since.includes(24))
    const last = viewer.offsetOf(24)
    await publishing.end('stopped')
    await until(() => relay.get(id)?.state === 'ended' || viewer.events.at(-1)?.type === 'state')
    for (const [i, from] of [`@${last + 1}`, '@100000', new Date(8e12).toISOString()].entries()) {
      await viewer.seek(i + 1, from)
      await until(() => viewer.since.includes(24))
      assert.equal(viewer.first, 24, from)
    }
    // No keyframe follows: the last one is as far as it goes.
    for (const [i, at] of [20, 22, 24].entries()) {
      await viewer.seek(10 + i, `@${viewer.offsetOf(at)}`, 1)
      await until(() => viewer.since.includes(24))
      assert.equal(viewer.first, 20, `behind ${at}`)
    }
    await until(() => viewer.events.at(-1)?.type === 'state')
    assert.equal(viewer.events.at(-2)?.type, 'end')
  })

  it('that has a position of a broadcast that was deleted is live with the one that has its name now', async () => {
    const { watch, relay } = await setUp('deleted-', 15)
    const before = (await watch('live')).places[0]?.topic
    const seen = new Seen()
    seen.watching = relay.watch(id, { from: '@3', topic: `not-${before}` }, seen)
    await until(() => seen.since.includes(14))
    assert.deepEqual(
      seen.places.map(({ isLive }) => isLive),
      [true],
    )
    const same = new Seen()
    same.watching = relay.watch(id, { from: '@3', ...(before && { topic: before }) }, same)
    await until(() => same.since.includes(14))
    assert.equal(same.places[0]?.isLive, false)
  })

  it('that is behind by less than a GOP goes on without the log', async () => {
    const { watch } = await setUp('near-', 35)
    const viewer = await watch('live')
    await until(() => viewer.since.includes(34))
    await viewer.seek(1, `@${viewer.offsetOf(33) + 1}`)
    assert.equal(viewer.places.at(-1)?.isLive, true)
    assert.equal(
      viewer.places.at(-1)?.wanted,
      viewer.offsetOf(33) + 1,
      'what is before it is only to be decoded',
    )
    assert.deepEqual(viewer.since, [30, 31, 32, 33, 34])
    // Nothing is left out of what comes, however far ahead it was asked for.
    await viewer.seek(2, `@${viewer.offsetOf(34) + 1000}`)
    assert.equal(viewer.places.at(-1)?.wanted, viewer.offsetOf(34) + 1)
    assert.equal(viewer.events.at(-1)?.type, 'state', 'what changed while it was elsewhere was not told')
  })

  it('is told from when to when it may seek', async () => {
    const { relay, clock } = relayOn(log, 'span-')
    const sink = new TestPublisherSink()
    const publishing = await relay.publish(id, publishRequest(), sink)
    publishing.catalog(testCatalog)
    const begun = clock.now()
    publishing.frame(testFrame(0))
    await until(() => sink.acknowledged === 0)
    clock.freeze(5000)
    publishing.frame(testFrame(1))
    await until(() => sink.acknowledged === 1)
    const viewer = new TestViewerSink()
    relay.watch(id, { from: 'live' }, viewer)
    await until(() => viewer.numbers.includes(1))
    clock.advance(1000)
    await until(() => viewer.events.some(({ type }) => type === 'span'))
    const span = viewer.events.find(({ type }) => type === 'span')
    assert.deepEqual(span, { type: 'span', first: begun, last: begun + 5000, gaps: [], isOver: false })
  })

  it('is refused a position that is none', async () => {
    const { watch } = await setUp('refused-', 1)
    const viewer = await watch('live')
    assert.throws(() => viewer.watching.seek(1, 'tomorrow', 0), { code: 'BAD_POSITION' })
    viewer.watching.position('abcd1234', 0 as Micros)
  })
})
