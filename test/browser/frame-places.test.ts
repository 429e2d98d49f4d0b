import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { FramePlaces } from '../../src/browser/player/frame-places.ts'
import { micros, millis, type Offset } from '../../src/units.ts'

const gop = (session: string, seconds: number, offset: number) => ({
  session,
  timestamp: micros(seconds * 1_000_000),
  offset: offset as Offset,
  time: millis(1000 * offset),
  keyframe: true,
})
const at = (session: string, seconds: number) => ({ session, timestamp: micros(seconds * 1_000_000) })

describe('the places of frames', () => {
  it('tell where the next one begins, over sessions whose clocks begin anew', () => {
    const gops = new FramePlaces()
    for (const each of [gop('a', 0, 10), gop('a', 2, 20), gop('b', 0, 30), gop('b', 2, 40)]) gops.add(each)
    assert.equal(gops.after(at('a', 1)), 20)
    assert.equal(gops.after(at('a', 3)), 30)
    assert.equal(gops.after(at('b', 0)), 40)
    assert.equal(gops.after(at('b', 9)), undefined)
  })

  it('tell which frame is shown, and which keyframe follows it', () => {
    const places = new FramePlaces()
    const frames = [gop('a', 0, 10), gop('a', 0.1, 11), gop('a', 0.2, 12), gop('a', 0.3, 14)]
    for (const [i, frame] of frames.entries()) places.add({ ...frame, keyframe: i % 3 === 0 })
    assert.equal(places.at(at('a', 0.15))?.offset, 11)
    assert.equal(places.at(at('a', 0.2))?.time, 12_000)
    assert.equal(places.at(at('b', 0.2)), undefined)
    assert.equal(places.at(undefined), undefined)
    assert.equal(places.after(at('a', 0.15)), 14)
    assert.equal(places.after(at('a', 0.3)), undefined)
  })

  it('take whoever has seen nothing over the first', () => {
    const gops = new FramePlaces()
    assert.equal(gops.after(undefined), undefined)
    gops.add(gop('a', 0, 10))
    gops.add(gop('a', 2, 20))
    assert.equal(gops.after(undefined), 20)
    assert.equal(gops.after(at('unknown', 1)), 10)
    gops.clear()
    assert.equal(gops.after(at('a', 1)), undefined)
  })

  it('are limited in number, and the newest stay', () => {
    const gops = new FramePlaces()
    for (let i = 0; i < 10_000; i++) gops.add(gop('a', i, i))
    assert.equal(gops.after(at('a', 9998)), 9999)
    assert.ok((gops.after(at('a', -1)) ?? 0) >= 10_000 - 4096)
  })
})
