import assert from 'node:assert/strict'
import { it } from 'node:test'
import { RecorderClock } from '../../src/browser/publisher/recorder-clock.ts'

/** @param pace milliseconds of the page for each of the recording's. @returns how far off the last frame was placed */
function record(pace: number, seconds: number): number {
  const startedAt = 5000
  const clock = new RecorderClock(startedAt)
  let off = 0
  for (let i = 0; i < seconds * 30; i++) {
    const timestamp = (i * 1000) / 30
    const captured = startedAt + timestamp * pace
    // 20 ms to encode, and now and then a little more.
    off = clock.place(timestamp, captured + 20 + (i % 7) * 3) - captured
  }
  return off
}

it('places frames at their start and their time, and not when they came', () => {
  assert.ok(Math.abs(record(1, 60)) < 1)
})

it('follows a recorder whose clock is slower than the page’s', () => {
  // 240 ms apart after a minute, of which it may lag behind by what they part in two windows of the clock.
  assert.ok(Math.abs(record(1.004, 60)) < 45, `${record(1.004, 60)} ms off`)
})

it('is never ahead of what has come', () => {
  const clock = new RecorderClock(1000)
  for (let i = 0; i < 300; i++) {
    const now = 1000 + i * 33 + 16
    assert.ok(clock.place(i * 33, now) <= now)
  }
})
