import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { FrameWays, frameWaysLimits } from '../../src/browser/player/frame-ways.ts'
import type { NumberedFrame } from '../../src/media/frame.ts'
import { type Hops, hopNames } from '../../src/media/hops.ts'
import { micros, millis, trackName } from '../../src/units.ts'

const captured = 1_800_000_000_000

/** The nth picture, of 30 a second. */
function frame(n: number, hops: Hops): NumberedFrame {
  return {
    track: trackName('video'),
    sequence: n,
    timestamp: micros(n * 33_333),
    capturedAt: millis(captured + n * 33),
    keyframe: n === 0,
    data: Uint8Array.of(1),
    hops,
  }
}

/** Milliseconds after the capture, each place one later than the one before: 1, 2, 3 … */
const steady: Hops = Object.fromEntries(hopNames.map((name, i) => [name, micros((i + 1) * 1000)]))

function show(ways: FrameWays, n: number, hops: Hops = steady): void {
  const at = captured + n * 33
  ways.arrived(frame(n, hops), at + 10)
  ways.decoded(micros(n * 33_333), at + 14)
  ways.painted(micros(n * 33_333), at + 24)
}

describe('the ways of frames', () => {
  it('are the spans between their places, and their sum is the lag', () => {
    const ways = new FrameWays()
    for (let n = 0; n < 10; n++) show(ways, n)
    const mean = ways.mean(captured + 9 * 33 + 24)
    const one = Object.fromEntries(hopNames.map(name => [name, 1]))
    assert.deepEqual(mean, { spans: { ...one, arrived: 4, decoded: 4, painted: 10 }, total: 24 })
  })

  it('leave the share of a place that is not known to the next one', () => {
    const ways = new FrameWays()
    const { appended: _, encoded: __, ...known } = steady
    ways.arrived(frame(0, known), captured + 10)
    ways.painted(micros(0), captured + 24)
    const { spans, total } = ways.mean(captured + 24) ?? assert.fail()
    assert.deepEqual(spans, { sent: 2, received: 1, read: 2, relayed: 1, arrived: 4, painted: 14 })
    assert.equal(total, 24)
  })

  it('never run backwards, where clocks differ by a little', () => {
    const ways = new FrameWays()
    show(ways, 0, { ...steady, received: micros(-3000), relayed: micros(12_000) })
    const { spans, total } = ways.mean(captured + 24) ?? assert.fail()
    assert.equal(spans.received, 0)
    assert.equal(spans.arrived, 0)
    assert.equal(total, 24)
    assert.equal(
      Object.values(spans).reduce((sum, span) => sum + span, 0),
      24,
    )
  })

  it('count what came as it was published, and was shown in the last second', () => {
    const ways = new FrameWays()
    const { relayed: _, ...recorded } = steady
    show(ways, 0, recorded)
    show(ways, 1, {})
    assert.equal(ways.mean(captured + 100), undefined)
    show(ways, 2)
    assert.equal(ways.mean(captured + 2 * 33 + 24 + frameWaysLimits.window - 1)?.total, 24)
    assert.equal(ways.mean(captured + 2 * 33 + 24 + frameWaysLimits.window), undefined)
  })

  it('know a picture whose time the browser has rounded, and forget those that were passed over', () => {
    const ways = new FrameWays()
    for (const n of [0, 1, 2]) ways.arrived(frame(n, steady), captured + n * 33 + 10)
    ways.painted(micros(33_333 - 900), captured + 33 + 20)
    assert.equal(ways.mean(captured + 33 + 20)?.total, 20)
    // The first was passed over, and does not come later.
    ways.painted(micros(0), captured + 33 + 21)
    ways.painted(micros(66_666 + 400), captured + 66 + 40)
    assert.equal(ways.mean(captured + 66 + 40)?.total, 30)
  })

  it('are remembered of so many frames and no more', () => {
    const ways = new FrameWays()
    const most = frameWaysLimits.underWay
    for (let n = 0; n <= most; n++) ways.arrived(frame(n, steady), captured + n * 33 + 10)
    ways.painted(micros(0), captured + 20)
    assert.equal(ways.mean(captured + 20), undefined)
    ways.painted(micros(33_333), captured + 33 + 20)
    assert.equal(ways.mean(captured + 33 + 20)?.total, 20)
  })
})
