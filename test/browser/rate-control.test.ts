import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { RateControl, rateLimits } from '../../src/browser/publisher/rate-control.ts'
import { seededRandom } from '../support/fight.ts'

const most = 1_000_000
const sound = { every: 20, bytes: 160 } as const

interface Way {
  /** Bits a second that it takes at a moment, milliseconds; 0 for none. */
  capacity(now: number): number
  /** Milliseconds from there to the acknowledgement, the log's share in it. */
  delay(now: number): number
}

interface Moment {
  readonly at: number
  readonly bitrate: number
  /** Milliseconds that the newest acknowledged frame took. */
  readonly age: number
  readonly isFull: boolean
  /** Pictures left out so far. */
  readonly skipped: number
}

/**
 * A publisher with an encoder that does as it is told, sound beside it, and a queue in front of a narrow way.
 * @param keyframe how many times as large as the others it is
 */
function publish(control: RateControl, way: Way, seconds: number, keyframe = 4): Moment[] {
  const queue: { readonly bytes: number; left: number; readonly isPicture: boolean; readonly at: number }[] =
    []
  const acks: { readonly at: number; readonly bytes: number; readonly sentAt: number }[] = []
  const moments: Moment[] = []
  let [skipped, pictures, age] = [0, 0, 0]
  for (let now = 0; now < seconds * 1000; now++) {
    if (now % 33 === 0) {
      const { bitrate, isFull } = control.pace
      if (isFull && queue.length + acks.length > 0) skipped += 1
      else {
        const bytes = ((bitrate / 8 / 30) * (pictures % 60 === 0 ? keyframe : 1) * 60) / (59 + keyframe)
        queue.push({ bytes, left: bytes, isPicture: true, at: now })
        pictures += 1
      }
    }
    if (now % sound.every === 0)
      queue.push({ bytes: sound.bytes, left: sound.bytes, isPicture: false, at: now })
    let room = way.capacity(now) / 8000
    for (let first = queue[0]; first !== undefined && room > 0; first = queue[0]) {
      const given = Math.min(room, first.left)
      room -= given
      first.left -= given
      if (first.left > 0) break
      queue.shift()
      const before = acks.at(-1)?.at ?? 0
      const at = Math.max(before, now + way.delay(now))
      acks.push({ at, bytes: first.isPicture ? first.bytes : 0, sentAt: first.at })
    }
    for (let first = acks[0]; first !== undefined && first.at <= now; first = acks[0]) {
      acks.shift()
      age = now - first.sentAt
      control.acknowledged(first.bytes, age, now)
    }
    if (now % 100 === 0) moments.push({ at: now, ...control.pace, age, skipped })
  }
  return moments
}

const between = (moments: readonly Moment[], from: number, to: number): Moment[] =>
  moments.filter(({ at }) => at >= from * 1000 && at < to * 1000)
const worst = (moments: readonly Moment[]): number => Math.max(...moments.map(({ age }) => age))
const meanBitrate = (moments: readonly Moment[]): number =>
  moments.reduce((sum, { bitrate }) => sum + bitrate, 0) / moments.length

describe('the rate of a publisher', () => {
  it('stays what it is where nothing is in the way, however the log scatters', () => {
    const random = seededRandom(7)
    for (const [capacity, delay] of [
      [100_000_000, () => 2 + random() * 4],
      [100_000_000, () => 8 + (random() < 0.05 ? 60 : random() * 20)],
      [5_000_000, () => 150 + random() * 40],
    ] as const) {
      const moments = publish(new RateControl(most), { capacity: () => capacity, delay }, 30)
      assert.ok(moments.every(({ bitrate }) => bitrate === most))
      assert.equal(moments.at(-1)?.skipped, 0)
    }
  })

  for (const narrow of [600_000, 300_000, 200_000]) {
    it(`comes down within a second to what a way of ${narrow / 1000} kb/s takes, and up again`, () => {
      const capacity = (now: number): number => (now < 10_000 || now >= 40_000 ? 20_000_000 : narrow)
      const moments = publish(new RateControl(most), { capacity, delay: () => 20 }, 80)
      assert.ok((between(moments, 9, 10)[0]?.bitrate ?? 0) === most)
      const [second] = between(moments, 11, 12)
      assert.ok((second?.bitrate ?? most) < narrow, `${second?.bitrate} after a second`)
      const steady = between(moments, 15, 40)
      assert.ok(worst(steady) < 600, `${worst(steady)} ms at worst`)
      const late = steady.filter(({ age }) => age > 250).length / steady.length
      assert.ok(late < 0.1, `${(100 * late).toFixed(0)} % of the time over 250 ms`)
      assert.ok(meanBitrate(steady) > 0.45 * (narrow - 64_000), `${meanBitrate(steady)} of ${narrow}`)
      assert.equal(moments.at(-1)?.bitrate, most)
      assert.ok(worst(between(moments, 45, 80)) < 150)
    })
  }

  it('follows a way that changes all the time, and what waits stays little', () => {
    const random = seededRandom(3)
    const capacities = Array.from({ length: 60 }, () => 250_000 + random() * 1_500_000)
    const capacity = (now: number): number => capacities[Math.floor(now / 2000)] ?? most
    const moments = publish(new RateControl(most), { capacity, delay: () => 30 + random() * 10 }, 120)
    const late = moments.filter(({ age }) => age > 500).length / moments.length
    assert.ok(late < 0.08, `${(100 * late).toFixed(0)} % of the time over 500 ms`)
    assert.ok(meanBitrate(moments) > 250_000)
  })

  it('stays what it is where everything stops for a moment now and then, as for a lost packet', () => {
    for (const stop of [150, 250, 400]) {
      const capacity = (now: number): number => (now % 3000 < stop ? 0 : 20_000_000)
      const moments = publish(new RateControl(most), { capacity, delay: () => 35 }, 30)
      assert.ok(
        moments.every(({ bitrate }) => bitrate === most),
        `${moments.at(-1)?.bitrate} with ${stop} ms`,
      )
      assert.equal(moments.at(-1)?.skipped, 0)
    }
  })

  it('does not fall for what large keyframes take of a way that has room for all', () => {
    for (const narrow of [900_000, 600_000]) {
      const way = { capacity: () => narrow, delay: () => 35 }
      const moments = between(publish(new RateControl(most), way, 60, 8), 5, 60)
      assert.ok(meanBitrate(moments) > 0.65 * narrow, `${meanBitrate(moments)} of ${narrow}`)
    }
  })

  it('leaves no picture out, and makes none worse, where nothing is acknowledged for a while', () => {
    const capacity = (now: number): number => (now >= 10_000 && now < 15_000 ? 0 : 20_000_000)
    const moments = publish(new RateControl(most), { capacity, delay: () => 5 }, 30)
    assert.equal(moments.at(-1)?.skipped, 0)
    assert.ok(moments.every(({ bitrate }) => bitrate === most))
  })

  it('asks for no less than an encoder can do, and no more than it was told', () => {
    const control = new RateControl(most)
    const moments = publish(control, { capacity: () => 80_000, delay: () => 20 }, 30)
    assert.equal(Math.min(...moments.map(({ bitrate }) => bitrate)), rateLimits.least)
    // Sound fills most of such a way: pictures are left out, and do not queue for ever.
    assert.ok((moments.at(-1)?.skipped ?? 0) > 0)
    control.limit(300_000)
    control.reset()
    const after = publish(control, { capacity: () => 20_000_000, delay: () => 20 }, 60)
    assert.equal(after.at(-1)?.bitrate, 300_000)
  })
})
