import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { CaptureClock } from '../../src/browser/publisher/capture-clock.ts'
import { backOff, backOffLimits } from '../../src/core/back-off.ts'
import { ClockOffset } from '../../src/wire/clock-offset.ts'

describe('a capture clock', () => {
  it('takes the smallest delay, from whatever zero the source counts', () => {
    const clock = new CaptureClock()
    const zero = 2_148_000
    let placed = 0
    for (let i = 0; i < 90; i++) {
      const captured = i * 33
      placed = clock.place(zero + captured, captured + 2 + (i % 7) * 3) - captured
    }
    assert.ok(Math.abs(placed - 2) < 0.5, String(placed))
  })

  it('follows a source whose clock runs slow', () => {
    const clock = new CaptureClock()
    let off = 0
    for (let i = 0; i < 6000; i++) {
      const captured = i * 10
      off = clock.place(captured * 0.9999, captured + 3) - captured
    }
    assert.ok(off > 1 && off < 4, String(off))
  })

  it('never sets a frame back by more than a fraction of a millisecond once it has settled', () => {
    const clock = new CaptureClock()
    let last = Number.NEGATIVE_INFINITY
    for (let i = 0; i < 1000; i++) {
      const at = clock.place(i * 10, i * 10 + (i % 200 === 150 ? 1 : 9))
      if (i > 150) assert.ok(at > last)
      last = at
    }
  })

  it('follows within a second where the source lost time, and a page that was busy is no such thing', () => {
    const clock = new CaptureClock({ losesTime: true })
    let off = 0
    const deliver = (from: number, to: number, delay: (captured: number) => number, lost = 0): void => {
      for (let captured = from; captured < to; captured += 10)
        off = clock.place(captured - lost, captured + delay(captured)) - captured
    }
    deliver(0, 3000, () => 3)
    // What came while the page was busy is all delivered when it is not any more.
    deliver(3000, 3900, captured => 3900 - captured)
    deliver(3900, 4500, () => 3)
    assert.ok(Math.abs(off - 3) < 1, `busy: ${off}`)
    deliver(4500, 5700, () => 3, 300)
    assert.ok(Math.abs(off - 3) < 1, `lost: ${off}`)
  })

  it('of a camera is not moved by a page that is busy for long: a camera loses no time', () => {
    const clock = new CaptureClock()
    let off = 0
    for (let captured = 0; captured < 6000; captured += 33)
      off = clock.place(captured, captured + (captured < 3000 ? 3 : 90)) - captured
    assert.ok(Math.abs(off - 3) < 1, `busy: ${off}`)
  })

  it('jumps where the source was set', () => {
    const clock = new CaptureClock()
    for (let i = 0; i < 10; i++) clock.place(i * 33, i * 33 + 5)
    assert.equal(clock.place(50_000, 400), 400)
  })
})

describe("the gateway's clock", () => {
  it('is read from the ping that was answered soonest', () => {
    const clock = new ClockOffset()
    assert.equal(clock.offset, 0)
    clock.add(1000, 1200, 5000)
    clock.add(2000, 2002, 6000)
    clock.add(3000, 3100, 7000)
    assert.equal(clock.offset, 6000.5 - 2001)
    assert.equal(clock.roundTrip, 2)
  })
})

describe('the back-off', () => {
  it('doubles from 0.2 s to 3 s, with half of it left to chance', () => {
    const { first, last } = backOffLimits
    assert.equal(backOff(0, 1), first)
    assert.equal(backOff(0, 0), first / 2)
    assert.equal(backOff(2, 1), first * 4)
    for (const attempt of [5, 50, 5000]) assert.equal(backOff(attempt, 1), last)
  })
})
