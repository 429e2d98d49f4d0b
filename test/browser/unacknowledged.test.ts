import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import fc from 'fast-check'
import type { NumberedFrame } from '../../src/media/frame.ts'
import { micros, trackName } from '../../src/units.ts'
import { forgottenLimit, Unacknowledged } from '../../src/wire/unacknowledged.ts'

const video = trackName('video')
const opensGop = (frame: NumberedFrame): boolean => frame.keyframe && frame.track === video

/** Pictures at 30 a second, a keyframe every 60. */
const picture = (sequence: number, size = 100): NumberedFrame => ({
  track: video,
  sequence,
  timestamp: micros((sequence * 1_000_000) / 30),
  keyframe: sequence % 60 === 0,
  data: new Uint8Array(size),
})

const takeAll = (kept: Unacknowledged): number[] => {
  const numbers: number[] = []
  for (let frame = kept.take(); frame !== undefined; frame = kept.take()) numbers.push(frame.sequence)
  return numbers
}
const range = (from: number, to: number): number[] => Array.from({ length: to - from }, (_, i) => from + i)

describe('frames that are not acknowledged', () => {
  it('are given once to a connection, and again to the next from where it goes on', () => {
    const kept = new Unacknowledged(opensGop)
    for (const i of range(0, 100)) kept.add(picture(i))
    assert.deepEqual(takeAll(kept), range(0, 100))
    assert.deepEqual(takeAll(kept), [])
    kept.acknowledge(39)
    assert.equal(kept.length, 60)
    kept.rewind(50)
    assert.deepEqual(takeAll(kept), range(50, 100))
  })

  it('are let go in the middle where the gateway gave them up, whether sent or not', () => {
    const kept = new Unacknowledged(opensGop)
    for (const i of range(0, 100)) kept.add(picture(i, 10))
    for (const _ of range(0, 50)) kept.take()
    assert.equal(kept.giveUp(20, 59).lost, 40)
    assert.equal(kept.giveUp(20, 59).lost, 0)
    assert.equal(kept.bytes, 600)
    assert.deepEqual(takeAll(kept), range(60, 100))
    kept.rewind(10)
    assert.deepEqual(takeAll(kept), [...range(10, 20), ...range(60, 100)])
    kept.acknowledge(99)
    assert.deepEqual([kept.length, kept.bytes], [0, 0])
  })

  it('are let go by an acknowledgement, bytes and all', () => {
    const kept = new Unacknowledged(opensGop)
    for (const i of range(0, 1000)) kept.add(picture(i % 1000, 10))
    kept.acknowledge(999)
    assert.equal(kept.length, 0)
    assert.equal(kept.bytes, 0)
  })

  it('are dropped by whole GOPs, oldest first, when 30 s are full', () => {
    const kept = new Unacknowledged(opensGop)
    let dropped = 0
    for (const i of range(0, 31 * 30)) {
      const added = kept.add(picture(i))
      dropped += added.dropped
      assert.equal(added.needsKeyframe, false)
    }
    assert.equal(dropped, 60)
    assert.deepEqual(takeAll(kept), range(60, 31 * 30))
  })

  it('are lost only where the gateway has not got them, or says that it gave them up', () => {
    const after = (then: (kept: Unacknowledged) => number): number => {
      const kept = new Unacknowledged(opensGop)
      for (const i of range(0, 35 * 30)) {
        // All are sent as they come.
        assert.equal(kept.add(picture(i)).dropped, 0)
        kept.take()
      }
      assert.equal(kept.length, 35 * 30 - 180)
      return then(kept)
    }
    assert.equal(
      after(kept => kept.rewind(100)),
      80,
    )
    assert.equal(
      after(kept => kept.giveUp(50, 200).lost),
      151,
    )
    assert.equal(
      after(kept => {
        kept.acknowledge(35 * 30)
        return kept.clear()
      }),
      0,
    )
    assert.equal(
      after(kept => kept.clear()),
      35 * 30,
    )
  })

  it('are counted as lost past a number, though they were sent', () => {
    const kept = new Unacknowledged(opensGop, { span: 1, bytes: 1000 })
    let dropped = 0
    for (const i of range(0, forgottenLimit + 100)) {
      dropped += kept.add({ ...picture(i, 1), keyframe: true }).dropped
      kept.take()
    }
    assert.equal(dropped, 99)
    assert.equal(kept.clear(), forgottenLimit + 1)
  })

  it('want a keyframe when a single GOP is too large, and take nothing else until it comes', () => {
    const kept = new Unacknowledged(opensGop, { span: 30_000_000, bytes: 1000 })
    for (const i of range(0, 10)) assert.equal(kept.add(picture(i)).dropped, 0)
    assert.deepEqual(kept.add(picture(10)), { dropped: 11, needsKeyframe: true })
    assert.deepEqual(kept.add(picture(11)), { dropped: 1, needsKeyframe: false })
    assert.deepEqual(kept.add(picture(60)), { dropped: 0, needsKeyframe: false })
    assert.deepEqual(takeAll(kept), [60])
  })

  it('want one keyframe where the gateway cannot go on with what it was sent, and take nothing else until it comes', () => {
    const kept = new Unacknowledged(opensGop)
    for (const i of range(0, 5)) kept.add(picture(i))
    takeAll(kept)
    // The gateway's word is late: frames of the same GOP have been sent since, and will be given up too.
    assert.deepEqual(kept.giveUp(1, 3), { lost: 3, needsKeyframe: true })
    assert.deepEqual(kept.giveUp(4, 4), { lost: 1, needsKeyframe: false })
    assert.deepEqual(kept.giveUp(4, 4), { lost: 0, needsKeyframe: false })
    assert.deepEqual(kept.add(picture(5)), { dropped: 1, needsKeyframe: false })
    assert.deepEqual(kept.giveUp(5, 5), { lost: 0, needsKeyframe: false })
    kept.add(picture(60))
    assert.deepEqual(takeAll(kept), [60])
    assert.deepEqual(kept.giveUp(60, 60), { lost: 1, needsKeyframe: true })
    kept.add(picture(120))
    assert.deepEqual(kept.giveUp(61, 119), { lost: 0, needsKeyframe: false }, 'a keyframe has come since')
  })

  it('stay within their limits, in order, and begin with a keyframe after a drop, whatever comes', () => {
    const step = fc.oneof(
      { weight: 8, arbitrary: fc.record({ add: fc.integer({ min: 1, max: 400 }), key: fc.boolean() }) },
      { weight: 2, arbitrary: fc.record({ acknowledge: fc.nat(400) }) },
      { weight: 1, arbitrary: fc.constant({ reconnect: true }) },
    )
    fc.assert(
      fc.property(fc.array(step, { maxLength: 400 }), steps => {
        const kept = new Unacknowledged(opensGop, { span: 1_000_000, bytes: 4000 })
        let next = 0
        let safe = -1
        for (const one of steps) {
          if ('add' in one) {
            const added = kept.add({ ...picture(next, one.add), keyframe: one.key || next === 0 })
            next += 1
            if (added.dropped > 0 && kept.length > 0) {
              kept.rewind(safe + 1)
              assert.equal(kept.take()?.keyframe, true)
            }
          } else if ('acknowledge' in one) {
            safe = Math.min(next - 1, Math.max(safe, one.acknowledge))
            kept.acknowledge(safe)
          } else {
            kept.rewind(safe + 1)
            const numbers = takeAll(kept)
            assert.deepEqual(
              numbers,
              numbers.toSorted((a, b) => a - b),
            )
            assert.equal(numbers.length, kept.length)
            assert.ok(numbers.every(number => number > safe && number < next))
          }
          assert.ok(kept.bytes <= 4000)
        }
      }),
    )
  })
})
