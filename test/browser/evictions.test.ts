import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { Evictions, evictionLimits, type Ranges } from '../../src/browser/player/mse/evictions.ts'

const ranges = (...list: readonly (readonly [number, number])[]): Ranges => ({
  length: list.length,
  start: i => list[i]?.[0] ?? 0,
  end: i => list[i]?.[1] ?? 0,
})

describe('what a browser throws away', () => {
  it('is met where playback waits in front of it or in it, and nowhere else', () => {
    const evictions = new Evictions()
    evictions.add(ranges([10, 12]), 5)
    assert.equal(evictions.meets(8, 0), false)
    assert.equal(evictions.meets(12.1, 0), false)
    assert.equal(evictions.meets(9.8, 0), true)
    assert.equal(evictions.meets(11, evictionLimits.every), true)
  })

  it('counts only as far as it was still to be played', () => {
    const evictions = new Evictions()
    evictions.add(ranges([0, 5], [8, 8.05]), 5)
    assert.equal(evictions.meets(5, 0), false)
    assert.equal(evictions.meets(8, 0), false)
  })

  it('is made good once in a while only', () => {
    const evictions = new Evictions()
    evictions.add(ranges([10, 12]), 5)
    assert.equal(evictions.meets(10, 0), true)
    assert.equal(evictions.meets(10, evictionLimits.every - 1), false)
    assert.equal(evictions.meets(10, evictionLimits.every), true)
  })

  it('is forgotten when it is passed, when there is another source, and where it is too much', () => {
    const evictions = new Evictions()
    evictions.add(ranges([10, 12]), 5)
    evictions.add(ranges(), 13)
    assert.equal(evictions.meets(11, 0), false)
    const many = Array.from({ length: evictionLimits.ranges + 1 }, (_, i) => [20 + i, 20.5 + i] as const)
    evictions.add(ranges(...many), 15)
    assert.equal(evictions.meets(20.2, 0), false, 'the oldest')
    evictions.clear()
    assert.equal(evictions.meets(25.2, 0), false)
  })
})
