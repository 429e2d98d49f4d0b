import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { Feed } from '../../src/browser/player/feed.ts'
import { MissingFrames } from '../../src/browser/player/missing-frames.ts'
import { type Picture, PictureQueue, pictureLimit } from '../../src/browser/player/picture-queue.ts'
import type { Catalog } from '../../src/media/catalog.ts'
import type { NumberedFrame } from '../../src/media/frame.ts'
import { micros, trackName } from '../../src/units.ts'

const video = trackName('video')
const audio = trackName('audio')
const catalog: Catalog = {
  version: 1,
  tracks: [
    { name: video, kind: 'video', codec: 'vp8', width: 640, height: 360 },
    { name: audio, kind: 'audio', codec: 'opus', sampleRate: 48_000, channels: 2 },
  ],
}
const frame = (sequence: number, keyframe = false, track = video): NumberedFrame => ({
  track,
  sequence,
  timestamp: micros(sequence * 10_000),
  keyframe,
  data: new Uint8Array(10),
})

describe('a feed', () => {
  it('leaves out pictures before the first keyframe, and after a missing frame until the next', () => {
    const feed = new Feed(() => false)
    const numbers = new MissingFrames()
    feed.catalog('aaaaaaaa', catalog)
    for (const [number, key] of [[1], [2, true], [3], [5], [6], [7, true], [8]] as [number, true?][]) {
      const missing = numbers.before(number)
      feed.frame({ ...frame(number, key), ...(missing === undefined ? {} : { missing }) })
    }
    assert.deepEqual(
      [...(feed.current?.pictures ?? [])].map(({ sequence }) => sequence),
      [2, 3, 7, 8],
    )
    // Number 4 never came; 1, 5 and 6 are of no use.
    assert.equal(feed.lost, 4)
  })

  it('keeps a replayed session until the one before it is played out', () => {
    const feed = new Feed(() => false)
    feed.catalog('aaaaaaaa', catalog)
    feed.frame(frame(0, true))
    assert.equal(feed.catalog('bbbbbbbb', catalog), true)
    feed.frame(frame(0, true))
    feed.frame(frame(1, true, audio))
    assert.equal(feed.current?.session, 'aaaaaaaa')
    assert.equal(feed.current.pictures.length, 1)
    const next = feed.advance()
    assert.equal(next?.session, 'bbbbbbbb')
    assert.equal(next.continues, false)
    assert.equal(next.sounds.length, 1)
    assert.equal(feed.hasNext, false)
  })

  it('goes to the newest session at once when live', () => {
    const feed = new Feed(() => true)
    feed.catalog('aaaaaaaa', catalog)
    feed.frame(frame(0, true))
    feed.catalog('bbbbbbbb', catalog)
    assert.equal(feed.current?.session, 'bbbbbbbb')
    assert.equal(feed.hasNext, false)
  })

  it('takes a repeated catalog for what it is, and revives an ended segment with it', () => {
    const feed = new Feed(() => true)
    feed.catalog('aaaaaaaa', catalog)
    feed.end()
    assert.equal(feed.current?.ended, true)
    assert.equal(feed.catalog('aaaaaaaa', catalog), false)
    assert.equal(feed.current.ended, false)
  })

  it('has what is older than a keyframe give way to it when live', () => {
    const feed = new Feed(() => true)
    feed.catalog('aaaaaaaa', catalog)
    for (const number of [0, 1, 2, 3]) feed.frame(frame(number, number === 0))
    feed.frame(frame(4, true))
    assert.equal(feed.current?.pictures.length, 1)
  })
})

class TestPicture implements Picture {
  static open = 0
  readonly timestamp

  constructor(ms: number) {
    this.timestamp = micros(ms * 1000)
    TestPicture.open += 1
  }

  close(): void {
    TestPicture.open -= 1
  }
}

describe('a queue of pictures', () => {
  it('gives the newest that is due and closes the older ones', () => {
    TestPicture.open = 0
    const queue = new PictureQueue<TestPicture>()
    for (const ms of [0, 33, 66, 99]) queue.push(new TestPicture(ms))
    const due = queue.take(micros(70_000))
    assert.equal(due?.picture.timestamp, micros(66_000))
    assert.equal(due.dropped, 2)
    assert.equal(queue.take(micros(70_000)), undefined)
    due.picture.close()
    queue.clear()
    assert.equal(TestPicture.open, 0)
  })

  it('holds no more than decoders can lend, however long nobody looks', () => {
    TestPicture.open = 0
    const queue = new PictureQueue<TestPicture>()
    for (let i = 0; i < 1000; i++) queue.push(new TestPicture(i))
    assert.equal(TestPicture.open, pictureLimit)
    queue.clear()
    assert.equal(TestPicture.open, 0)
  })
})

describe('missing frames', () => {
  const met = (numbers: MissingFrames, ...sequences: number[]): (number | undefined)[] =>
    sequences.map(sequence => numbers.before(sequence))

  it('are told by the numbers, and not by what the gateway says besides', () => {
    const numbers = new MissingFrames()
    assert.deepEqual(met(numbers, 7, 8, 11), [undefined, undefined, 2])
    numbers.tell(5)
    assert.deepEqual(met(numbers, 12, 10, 13), [undefined, undefined, undefined])
  })

  it('are told by the gateway alone where other renditions are left out of the numbers', () => {
    const numbers = new MissingFrames()
    assert.deepEqual(met(numbers, 1, 2), [undefined, undefined])
    numbers.begin(false)
    assert.deepEqual(met(numbers, 4, 9), [undefined, undefined])
    numbers.tell(0)
    assert.deepEqual(met(numbers, 12, 14), [0, undefined])
    numbers.tell(2)
    numbers.tell(3)
    assert.deepEqual(met(numbers, 20), [5])
    numbers.begin(true)
    assert.deepEqual(met(numbers, 30, 31), [undefined, undefined])
  })

  it('are none after going elsewhere', () => {
    const numbers = new MissingFrames()
    assert.deepEqual(met(numbers, 7), [undefined])
    numbers.clear()
    assert.deepEqual(met(numbers, 900), [undefined])
  })
})
