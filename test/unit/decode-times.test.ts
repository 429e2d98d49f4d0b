import assert from 'node:assert/strict'
import { it } from 'node:test'
import fc from 'fast-check'
import { DecodeTimes } from '../../src/media/decode-times.ts'
import { type Micros, micros } from '../../src/units.ts'

const decoded = (times: readonly number[], reorder: number): number[] => {
  const counter = new DecodeTimes(reorder)
  return times.map(time => counter.next(time as Micros, 40))
}

it('decode times of frames that come in order are those of their presentation', () => {
  assert.deepEqual(decoded([0, 40, 80], 0), [0, 40, 80])
})

it('decode times of frames that come early begin as long before', () => {
  // I P B B P B B
  assert.deepEqual(decoded([0, 120, 40, 80, 240, 160, 200], 1), [-40, 0, 40, 80, 120, 160, 200])
  assert.deepEqual(decoded([0, 160, 80, 40, 120, 320], 2), [-80, -40, 0, 40, 80, 120])
})

it('decode times never go back, and never come after the presentation, whatever order is stated', () => {
  fc.assert(
    fc.property(fc.array(fc.nat(10_000), { minLength: 1, maxLength: 60 }), fc.nat(20), (later, reorder) => {
      // A stream begins with what is presented first.
      const times = [0, ...later]
      const found = decoded(times, reorder)
      for (const [i, time] of found.entries()) assert.ok(time <= micros(times[i] ?? 0))
      // A stream that keeps less order than it says may have a frame that is late by itself.
      const isHonest = times.every(
        (time, i) => times.slice(0, i).filter(before => before > time).length <= Math.min(16, reorder),
      )
      if (isHonest) for (const [i, time] of found.entries()) assert.ok(i === 0 || time >= (found[i - 1] ?? 0))
    }),
  )
})
