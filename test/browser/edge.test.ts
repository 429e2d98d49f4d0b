import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import fc from 'fast-check'
import { Edge, edgeLimits } from '../../src/browser/player/mse/edge.ts'

/**
 * Plays frames that come every 33 ms, a little late by chance, and lets the edge decide how fast.
 * @returns how much was left just before each frame came, milliseconds, and what was skipped
 */
function play(
  edge: Edge,
  {
    left: begin,
    seconds,
    late = () => 0,
  }: { left: number; seconds: number; late?: (frame: number) => number },
): { left: number[]; skipped: number; rates: number[] } {
  const interval = 1000 / 30
  let left = begin
  let rate = 1
  let skipped = 0
  const seen: number[] = []
  const rates: number[] = []
  let before = 0
  for (let frame = 1; frame < seconds * 30; frame++) {
    const now = frame * interval + late(frame)
    left -= (now - before) * rate
    before = now
    if (left < 0) {
      left = 0
      edge.ranDry()
    }
    edge.see(left, now)
    seen.push(left)
    left += interval
    const move = edge.move(now)
    rate = move.rate
    rates.push(rate)
    left -= move.skip
    skipped += move.skip
  }
  return { left: seen, skipped, rates }
}

const worst = (left: readonly number[]): number => Math.min(...left.slice(-60))

describe('the edge', () => {
  for (const sound of [false, true]) {
    const name = sound ? 'with sound' : 'without sound'
    it(`plays off what is left over, and keeps what is wanted, ${name}`, () => {
      const edge = new Edge(sound, true)
      const { left, rates } = play(edge, { left: 600, seconds: 30 })
      const over = worst(left) - edge.wanted
      assert.ok(
        over >= -edgeLimits.dead.below - 5 && over <= edgeLimits.dead.above + 5,
        `${worst(left)} left, ${edge.wanted} wanted`,
      )
      assert.equal(rates.at(-1), 1)
      const most = 1 + (sound ? edgeLimits.faster.sound : edgeLimits.faster.picture)
      assert.ok(rates.every(rate => rate <= most && rate >= 1 - edgeLimits.slower))
    })
  }

  it('skips where hurrying would take too long', () => {
    const edge = new Edge(true, true)
    const { left, skipped } = play(edge, { left: 6000, seconds: 10 })
    assert.ok(skipped > 5000)
    assert.ok(Math.abs(worst(left) - edge.wanted) < 60)
  })

  it('skips in the first moments only what is worth it', () => {
    const some = play(new Edge(true, true), { left: edgeLimits.want.sound + 250, seconds: 10 })
    const much = play(new Edge(true, true), { left: edgeLimits.want.sound + 450, seconds: 10 })
    assert.equal(some.skipped, 0)
    assert.ok(much.skipped > 200, String(much.skipped))
  })

  it('only skips on an engine that stalls at every change of the rate', () => {
    const { left, skipped, rates } = play(new Edge(false, false), { left: 900, seconds: 20 })
    assert.ok(skipped > 500)
    assert.ok(rates.every(rate => rate === 1))
    assert.ok(worst(left) <= edgeLimits.jumpOnly + 30)
  })

  it('wants more after it ran dry, forgets that by and by, and never wants more than its limit', () => {
    const edge = new Edge(false, true)
    const before = edge.wanted
    edge.ranDry()
    assert.equal(edge.wanted, before + edgeLimits.more.picture)
    for (let i = 0; i < 100; i++) edge.ranDry()
    assert.equal(edge.wanted, edgeLimits.most)
    for (let now = 0; now < 600_000; now += 50) edge.move(now)
    assert.equal(edge.wanted, before)
  })

  it('settles for any jitter within its limit, without running dry again and again', () => {
    fc.assert(
      fc.property(fc.integer({ min: 0, max: 150 }), fc.integer(), (jitter, seed) => {
        let state = seed >>> 0
        const random = (): number => {
          state = (Math.imul(state, 1664525) + 1013904223) >>> 0
          return state / 2 ** 32
        }
        const delays = Array.from({ length: 3600 }, () => random() * jitter)
        // A socket keeps the order: nothing comes before what was sent before it.
        for (let i = 1; i < delays.length; i++)
          delays[i] = Math.max(delays[i] ?? 0, (delays[i - 1] ?? 0) - 33)
        const edge = new Edge(false, true)
        const { left } = play(edge, { left: 200, seconds: 90, late: frame => delays[frame] ?? 0 })
        const dry = left.slice(-900).filter(value => value === 0).length
        assert.ok(dry < 45, `ran dry ${dry} times in 30 s`)
        assert.ok(worst(left) < 120, `${worst(left)} ms left over`)
      }),
      { numRuns: 60 },
    )
  })

  it('does nothing until it has seen enough, and after a reset', () => {
    const edge = new Edge(false, true)
    edge.see(5000, 0)
    assert.deepEqual(edge.move(10), { rate: 1, skip: 0 })
    play(edge, { left: 500, seconds: 3 })
    edge.reset(4000)
    edge.see(5000, 4000)
    assert.equal(edge.move(4010).skip, 0)
  })
})
