import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import fc from 'fast-check'
import { arrivalLimits } from '../../src/browser/player/arrivals.ts'
import { lipSync } from '../../src/browser/player/lip-sync.ts'
import { Timeline, timelineLimits } from '../../src/browser/player/timeline.ts'
import { type Micros, micros } from '../../src/units.ts'

const interval = 1000 / 30
const at = (ms: number): Micros => micros(ms * 1000)

interface Run {
  readonly timeline: Timeline
  /** Page time, milliseconds. */
  now: number
  /** Media time of the next picture, milliseconds. */
  media: number
}

/** Pictures come at 30 a second, each so many milliseconds after its capture; media time 0 is page time 0. */
function play(run: Run, seconds: number, delay: (index: number) => number): void {
  const pictures = Math.round(seconds * 30)
  for (let i = 0; i < pictures; i++) {
    run.now = Math.max(run.now, run.media + delay(i))
    run.timeline.ready('video', at(run.media), run.now)
    run.timeline.advance(run.now)
    run.media += interval
  }
}

const begin = (mode: 'live' | 'replay' = 'live'): Run => ({ timeline: new Timeline(mode), now: 0, media: 0 })
const delayOf = ({ timeline }: Run): number => timeline.delay ?? Number.NaN

describe('a live timeline', () => {
  it('has no time for anything before the first frame', () => {
    const timeline = new Timeline('live')
    assert.equal(timeline.mediaAt(1000), undefined)
    assert.equal(timeline.dueAt(at(0)), undefined)
  })

  it('begins 40 ms behind the newest of the pictures that come at once with the join', () => {
    const { timeline } = begin()
    for (let media = 0; media <= 1500; media += interval) timeline.ready('video', at(media), 2000)
    const newest = Math.floor(1500 / interval) * interval
    assert.ok(Math.abs((timeline.dueAt(at(newest)) ?? 0) - (2000 + timelineLimits.firstMargin.video)) < 1)
  })

  it('comes down to a few milliseconds where pictures come evenly', () => {
    const run = begin()
    play(run, 8, () => 30)
    assert.ok(Math.abs(delayOf(run) - (30 + timelineLimits.margin.video)) < 1, String(delayOf(run)))
  })

  it('does not wait for what came with the join, nor for a decoder that had just begun', () => {
    const run = begin()
    // Half a GOP at once, and half a second in which the page has much to do.
    run.now = 1030
    play(run, 1, () => 30)
    play(run, 0.5, i => 30 + (15 - i) * 10)
    let most = 0
    for (let i = 0; i < 30; i++) {
      play(run, 1 / 30, () => 30)
      most = Math.max(most, delayOf(run))
    }
    assert.ok(most <= 30 + timelineLimits.firstMargin.video, String(most))
    assert.ok(delayOf(run) < 40, String(delayOf(run)))
  })

  it('waits for nearly all pictures where they come unevenly', () => {
    const run = begin()
    play(run, 10, i => 30 + (i % 5) * 8)
    const delay = delayOf(run) - timelineLimits.margin.video
    assert.ok(delay > 61 && delay < 63, String(delayOf(run)))
  })

  it('finds out at once what sound needs that is heard from now on', () => {
    const run = begin()
    play(run, 8, () => 30)
    const before = delayOf(run)
    run.timeline.hear(50)
    for (let i = 0; i < 10; i++) {
      run.timeline.ready('audio', at(run.media), run.media + 60)
      play(run, 0.04, () => 60)
    }
    const needed = 60 + 50 - lipSync.behind
    assert.ok(
      before < 40 && delayOf(run) >= needed && delayOf(run) < needed + 60,
      `${before}, ${delayOf(run)}`,
    )
  })

  it('does not wait for what a stall made late', () => {
    const run = begin()
    play(run, 8, () => 30)
    const before = delayOf(run)
    // A second of pictures arrives at once, as after a stalled connection.
    const stalledUntil = run.media + 1000
    for (let i = 0; i < 30; i++) {
      run.timeline.ready('video', at(run.media), stalledUntil)
      run.media += interval
    }
    run.now = stalledUntil
    play(run, 6, () => 30)
    assert.ok(Math.abs(delayOf(run) - before) < 20, `${before} → ${delayOf(run)}`)
  })

  it('follows a connection that has become slower for good', () => {
    const run = begin()
    play(run, 6, () => 30)
    play(run, 10 + arrivalLimits.window / 1000, () => 530)
    assert.ok(Math.abs(delayOf(run) - (530 + timelineLimits.margin.video)) < 5, String(delayOf(run)))
  })

  it('moves no faster than sound can follow while sound is heard', () => {
    const run = begin()
    run.timeline.hear(40)
    play(run, 5, () => 30)
    let before = delayOf(run)
    for (let second = 0; second < 8; second++) {
      play(run, 1, i => 30 + (i % 4) * 60)
      assert.ok(Math.abs(delayOf(run) - before) <= timelineLimits.rateWithSound * 1.25)
      before = delayOf(run)
    }
  })

  it('lets the picture wait for the sound only where that is heard, and not for all of it', () => {
    const heard = begin()
    const silent = begin()
    heard.timeline.hear(45)
    for (const run of [heard, silent]) {
      for (let i = 0; i < 300; i++) {
        run.timeline.ready('audio', at(run.media), run.media + 50)
        play(run, 1 / 30, () => 30)
      }
    }
    const { margin } = timelineLimits
    const { behind } = lipSync
    assert.ok(Math.abs(delayOf(silent) - (30 + margin.video)) < 1, String(delayOf(silent)))
    assert.ok(Math.abs(delayOf(heard) - (50 + margin.audio + 45 - behind)) < 1, String(delayOf(heard)))
    assert.ok(Math.abs(heard.timeline.soundLag - behind) < 1, String(heard.timeline.soundLag))
    assert.ok(silent.timeline.soundLag > 50)
  })

  it('never lets sound be further behind than that, whatever comes late, and however late', () => {
    fc.assert(
      fc.property(fc.array(fc.integer({ min: 0, max: 600 }), { minLength: 5, maxLength: 40 }), late => {
        const run = begin()
        run.timeline.hear(30)
        for (let i = 0; i < 40 * late.length; i++) {
          run.timeline.ready('audio', at(run.media), run.media + 40 + (late[Math.floor(i / 40)] ?? 0))
          play(run, 1 / 30, j => 30 + (late[Math.floor((i + j) / 57)] ?? 0))
          const { soundLag } = run.timeline
          assert.ok(soundLag >= 0 && soundLag <= lipSync.behind + 0.001, `${soundLag} ms behind`)
        }
      }),
      { numRuns: 100 },
    )
  })

  it('plays sound with its picture where it takes no longer', () => {
    const run = begin()
    run.timeline.hear(10)
    for (let i = 0; i < 300; i++) {
      run.timeline.ready('audio', at(run.media), run.media + 20)
      play(run, 1 / 30, () => 90)
    }
    assert.ok(Math.abs(delayOf(run) - (90 + timelineLimits.margin.video)) < 1, String(delayOf(run)))
    assert.ok(Math.abs(run.timeline.soundLag) < 1, String(run.timeline.soundLag))
  })

  it('begins anew with a new media clock', () => {
    const run = begin()
    play(run, 3, () => 30)
    run.timeline.reset()
    assert.equal(run.timeline.mediaAt(run.now), undefined)
    run.timeline.ready('video', at(0), run.now)
    assert.ok((run.timeline.mediaAt(run.now) ?? 0) <= 0)
  })
})

describe('the timeline of a replay', () => {
  it('plays at the speed of the clock from its first frame', () => {
    const { timeline } = begin('replay')
    timeline.ready('video', at(5000), 100)
    const first = timeline.dueAt(at(5000)) ?? Number.NaN
    assert.equal(first, 100 + timelineLimits.replayLead)
    for (let now = 100; now < 20_000; now += 100) timeline.advance(now)
    assert.equal(timeline.mediaAt(first + 10_000), at(15_000))
  })

  it('goes on where it was after it ran dry, instead of passing over what came late', () => {
    const { timeline } = begin('replay')
    timeline.ready('video', at(0), 0)
    timeline.ready('video', at(1000), 4000)
    assert.equal(timeline.dueAt(at(1000)), 4000 + timelineLimits.replayRefill)
  })
})
