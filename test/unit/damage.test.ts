/** Records that cannot be read, or that are not there: what publishers, viewers and the operator hear of it. */
import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import type { Log } from '../../src/log/log.ts'
import { encodeEntry } from '../../src/log/record.ts'
import type { NumberedFrame } from '../../src/media/frame.ts'
import { DamageNotes, type DamageNotice, damageLimits } from '../../src/relay/damage-notes.ts'
import { broadcastId, millis, type Offset, offset, trackName } from '../../src/units.ts'
import { testCatalog, testFrame } from '../support/clients.ts'
import { useEmbeddedLog } from '../support/embedded.ts'
import { FakeClock, until } from '../support/fake-clock.ts'
import { logDamaged, publishRequest, relayOn, TestPublisherSink, TestViewerSink } from '../support/relay.ts'

const id = broadcastId('cam')

/** A keyframe every ten, and after each picture a frame of sound. */
const mixed = (sequence: number): NumberedFrame =>
  sequence % 2 === 0
    ? testFrame(sequence, { keyframe: sequence % 20 === 0 })
    : { ...testFrame(sequence, { keyframe: true }), track: trackName('audio') }

const evens = (from: number, to: number): number[] =>
  Array.from({ length: to - from }, (_, i) => from + i).filter(n => n % 2 === 0)

describe('a broadcast some of whose records cannot be read', () => {
  let log: Log
  useEmbeddedLog('damage', opened => {
    log = opened
  })

  /** A publisher, and a log that gives back nothing of the frames with these numbers. */
  const setUp = async (prefix: string, numbers: Set<string>) => {
    const { relay, events } = relayOn(
      log,
      prefix,
      logDamaged(log, (_, { headers }) =>
        headers.some(([name, value]) => name === 'n' && numbers.has(value)),
      ),
    )
    const sink = new TestPublisherSink()
    const publishing = await relay.publish(id, publishRequest(), sink)
    publishing.catalog(testCatalog)
    const watch = (from: string): TestViewerSink => {
      const viewer = new TestViewerSink()
      relay.watch(id, { from }, viewer)
      return viewer
    }
    return { relay, events, sink, publishing, watch }
  }

  it('goes on with sound at once and with pictures at the next keyframe, live and replayed', async () => {
    const { relay, events, sink, publishing, watch } = await setUp('both-', new Set(['6', '7', '45']))
    const live = watch('live')
    await until(() => live.state !== undefined)
    for (let n = 0; n < 60; n++) publishing.frame(mixed(n))
    await until(() => sink.acknowledged === 59)
    const replay = watch('start')
    for (const viewer of [live, replay]) {
      await until(() => viewer.numbers.includes(59))
      const pictures = viewer.numbers.filter(n => n % 2 === 0)
      // Behind 45, a frame of sound, pictures wait too: what was there is not known.
      assert.deepEqual(pictures, [...evens(0, 6), ...evens(20, 45)])
      const sound = viewer.numbers.filter(n => n % 2 === 1)
      assert.deepEqual(
        sound,
        [...Array(30).keys()].map(i => 2 * i + 1).filter(n => n !== 7 && n !== 45),
      )
      const gaps = viewer.events.flatMap(event => (event.type === 'gap' ? [event.frames] : []))
      assert.deepEqual(
        gaps.filter(frames => frames > 0),
        [2, 1],
      )
      assert.ok(gaps.includes(0))
    }
    assert.deepEqual(sink.lost, [
      { from: 6, to: 7 },
      { from: 45, to: 45 },
    ])
    assert.equal(sink.error, undefined)
    const [notice, ...others] = events.filter(event => event.kind === 'damage')
    assert.equal(notice?.topic, 'both-cam')
    assert.deepEqual(others, [])
    await relay.close()
  })

  it('has its publisher claim again where nothing follows, and nothing is lost', async () => {
    const numbers = new Set(['1'])
    const { relay, sink, publishing } = await setUp('last-', numbers)
    publishing.frame(testFrame(0))
    publishing.frame(testFrame(1))
    await until(() => sink.error !== undefined)
    assert.deepEqual([sink.acknowledged, sink.error?.code, sink.error?.retryable], [0, 'LOG_FAILED', true])
    publishing.leave()
    const again = new TestPublisherSink()
    const second = await relay.publish(id, publishRequest('hash', publishing.session), again)
    assert.deepEqual([second.session, second.next], [publishing.session, 1])
    numbers.clear()
    second.catalog(testCatalog)
    second.frame(testFrame(1))
    await until(() => again.acknowledged === 1)
    await relay.close()
  })

  it('shows nothing undecodable to who asks for a position behind the damage', async () => {
    const { relay, sink, publishing, watch } = await setUp('behind-', new Set(['3']))
    for (let n = 0; n < 30; n++) publishing.frame(testFrame(n, { keyframe: n % 10 === 0 }))
    await until(() => sink.acknowledged === 29)
    // A claim and a catalog stand before the first frame: frame 6 is at offset 8.
    const viewer = watch('@8')
    await until(() => viewer.numbers.includes(29))
    assert.deepEqual(
      viewer.numbers,
      [...Array(20).keys()].map(i => 10 + i),
    )
    await relay.close()
  })

  it('tells of numbers that no gap names, and shows no picture until the next keyframe', async () => {
    const { relay, watch, publishing, sink } = await setUp('hole-', new Set())
    publishing.frame(testFrame(0))
    await until(() => sink.acknowledged === 0)
    const viewer = watch('live')
    await until(() => viewer.numbers.length === 1)
    const topic = (await log.find('hole-cam')) ?? assert.fail('no topic')
    const { session } = publishing
    const epoch = offset(0)
    for (const n of [1, 4, 5, 10, 11]) {
      const frame = testFrame(n, { keyframe: n % 10 === 0 })
      await log.append(topic, [
        encodeEntry({ kind: 'frame', epoch, session, sequence: n, frame }, millis(1_800_000_000_000)),
      ])
    }
    await until(() => viewer.numbers.includes(11))
    assert.deepEqual(viewer.numbers, [0, 1, 10, 11])
    const gaps = viewer.events.flatMap(event => (event.type === 'gap' ? [event.frames] : []))
    assert.deepEqual(gaps, [2, 4])
    await relay.close()
  })
})

describe('what the operator hears of damage', () => {
  const topic = { name: 'video-cam', id: 't' }
  const span = (from: number) => ({ from: from as Offset, next: (from + 1) as Offset })
  const setUp = () => {
    const clock = new FakeClock()
    const told: DamageNotice[] = []
    return { clock, told, notes: new DamageNotes(clock, notice => void told.push(notice)) }
  }

  it('is one line at once, and then one in a while with the count of the others', () => {
    const { clock, told, notes } = setUp()
    for (const from of [5, 5, 6, 7, 5]) notes.add(topic, span(from))
    assert.deepEqual(told, [{ topic: 'video-cam', ...span(5), others: 0 }])
    clock.advance(damageLimits.every)
    assert.deepEqual(told.slice(1), [{ topic: 'video-cam', ...span(7), others: 1 }])
    clock.advance(damageLimits.every)
    notes.add({ ...topic, id: 'anew' }, span(5))
    assert.equal(told.length, 3)
    notes.close()
  })

  it('remembers a bounded number of spans', () => {
    const { clock, told, notes } = setUp()
    for (let from = 0; from <= damageLimits.remembered; from++) notes.add(topic, span(from))
    clock.advance(2 * damageLimits.every)
    notes.add(topic, span(1))
    assert.equal(told.length, 2)
    notes.add(topic, span(0))
    assert.equal(told.length, 3)
    notes.close()
  })
})
