import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import fc from 'fast-check'
import { frameTimeLimits, PictureTimes, SoundTimes } from '../../src/browser/player/mse/frame-times.ts'
import { Stretches } from '../../src/browser/player/mse/stretches.ts'
import { micros } from '../../src/units.ts'

describe('the times of pictures', () => {
  it('leave the times of an even stream as they are', () => {
    const times = new PictureTimes(30)
    for (let i = 0; i < 100; i++) {
      const timestamp = micros(i * 33_333)
      assert.equal(times.place(timestamp, i === 0).timestamp, timestamp)
    }
  })

  it('never leave two durations between frames, whatever the camera does, so that none is taken for a new beginning', () => {
    fc.assert(
      fc.property(
        fc.array(fc.integer({ min: 1, max: frameTimeLimits.gap - 1 }), {
          size: 'max',
          minLength: 2,
          maxLength: 300,
        }),
        distances => {
          const times = new PictureTimes(30)
          let timestamp = 0
          let last = times.place(micros(0), true)
          for (const distance of distances) {
            timestamp += distance
            const next = times.place(micros(timestamp), false)
            assert.ok(next.timestamp - last.timestamp <= 2 * last.duration)
            assert.ok(next.timestamp > last.timestamp)
            assert.ok(next.timestamp <= timestamp)
            last = next
          }
        },
      ),
    )
  })

  it('come back to the true ones soon after a hiccup', () => {
    const times = new PictureTimes(30)
    let timestamp = 0
    const step = (distance: number): number => {
      timestamp += distance
      return timestamp - times.place(micros(timestamp), false).timestamp
    }
    for (let i = 0; i < 30; i++) step(33_333)
    assert.ok(step(400_000) > 0)
    const off = Array.from({ length: 15 }, () => step(33_333))
    assert.equal(off.at(-1), 0)
  })

  it('let a keyframe and a long gap begin something else', () => {
    const times = new PictureTimes(30)
    times.place(micros(0), true)
    assert.equal(times.place(micros(900_000), true).timestamp, 900_000)
    assert.equal(
      times.place(micros(900_000 + frameTimeLimits.gap), false).timestamp,
      900_000 + frameTimeLimits.gap,
    )
  })
})

describe('pictures that last for a time that is known', () => {
  it('are written to last so long, and no longer', () => {
    const times = new PictureTimes(30)
    assert.deepEqual(times.place(micros(0), true, 48_000), { timestamp: 0, duration: 48_000 })
    assert.deepEqual(times.place(micros(48_000), false, 20_000), { timestamp: 48_000, duration: 20_000 })
    assert.equal(times.place(micros(68_000), false).timestamp, 68_000)
  })

  it('are written as others are where that is no time for a picture', () => {
    for (const lasts of [0, -5, frameTimeLimits.gap]) {
      const { duration } = new PictureTimes(30).place(micros(0), true, lasts)
      assert.ok(Math.abs(duration - (frameTimeLimits.stretch * 1_000_000) / 30) <= 1)
    }
  })
})

describe('the times of sound', () => {
  const packet = micros(20_000)

  it('leave neither holes nor overlaps, whatever small errors the clock has', () => {
    fc.assert(
      fc.property(
        fc.array(fc.integer({ min: -8000, max: 8000 }), { size: 'max', minLength: 2, maxLength: 300 }),
        errors => {
          const times = new SoundTimes()
          let end = 0
          errors.forEach((error, i) => {
            const placed = times.place(micros(1_000_000 + i * packet + error), packet)
            assert.ok(placed !== undefined)
            if (i > 0) assert.ok(Math.abs(placed.timestamp - end) <= frameTimeLimits.soundStep)
            assert.equal(placed.silence, 0)
            end = placed.timestamp + packet
          })
        },
      ),
    )
  })

  it('follow a drift', () => {
    const times = new SoundTimes()
    let off = 0
    for (let i = 0; i < 50 * 60; i++) {
      const timestamp = i * packet * 1.0005
      off = timestamp - (times.place(micros(timestamp), packet)?.timestamp ?? 0)
    }
    assert.ok(Math.abs(off) < 1000)
  })

  it('put silence where sound is missing, and nothing where all is missing for long', () => {
    const times = new SoundTimes()
    times.place(micros(0), packet)
    assert.equal(times.place(micros(220_000), packet)?.silence, 200_000)
    assert.equal(times.place(micros(240_000 + frameTimeLimits.soundGap + 1), packet)?.silence, 0)
  })

  it('leave out sound whose time was filled', () => {
    const times = new SoundTimes()
    times.place(micros(0), packet)
    assert.deepEqual(times.fill(micros(500_000), micros(0)), { timestamp: 20_000, duration: 480_000 })
    assert.equal(times.fill(micros(400_000), micros(0)), undefined)
    assert.equal(times.place(micros(100_000), packet), undefined)
    assert.equal(times.place(micros(500_000), packet)?.timestamp, 500_000)
  })
})

describe('stretches', () => {
  it('put sessions one behind the other, and tell whose time an element time is', () => {
    const stretches = new Stretches()
    const first = stretches.begin('aaaaaaaa', micros(7_000_000), 1_000_000)
    assert.equal(first.from, 1_000_000)
    first.end = 3_000_000
    const second = stretches.begin('bbbbbbbb', micros(40_000), 2_500_000)
    assert.equal(second.from, 3_000_000)
    assert.deepEqual(stretches.at(2)?.timestamp, 8_000_000)
    assert.deepEqual(stretches.at(3.5)?.timestamp, 540_000)
    assert.equal(stretches.at(3.5)?.stretch.session, 'bbbbbbbb')
    assert.equal(stretches.at(0)?.stretch.session, 'aaaaaaaa')
  })

  it('begin anew where the clock of a session goes back, for each track when its own does', () => {
    const stretches = new Stretches()
    const place = (kind: 'video' | 'audio', seconds: number) => {
      const frame = { timestamp: micros(seconds * 1_000_000), duration: micros(20_000) }
      const { base, first } = stretches.place(kind, frame, 'aaaaaaaa', 1_000_000)
      return [first / 1_000_000, (base + frame.timestamp) / 1_000_000]
    }
    assert.deepEqual(place('video', 100), [100, 1])
    assert.deepEqual(place('audio', 100.1), [100, 1.1])
    assert.deepEqual(place('video', 101), [100, 2])
    assert.deepEqual(place('video', 100.5), [100, 1.5], 'a B-frame')
    assert.deepEqual(place('video', 0), [0, 2.02])
    assert.deepEqual(place('audio', 101), [100, 2], 'of the clock before')
    assert.deepEqual(place('audio', 0.2), [0, 2.22])
    assert.deepEqual(place('audio', 0.4), [0, 2.42])
    assert.deepEqual(place('video', 0.5), [0, 2.52])
  })

  it('forget the oldest of very many', () => {
    const stretches = new Stretches()
    for (let i = 0; i < 100; i++)
      stretches.begin(`s${i}`, micros(0), i * 1_000_000).end = i * 1_000_000 + 900_000
    assert.equal(stretches.at(0)?.stretch.session, 's68')
    assert.equal(stretches.at(99.5)?.stretch.session, 's99')
  })
})
