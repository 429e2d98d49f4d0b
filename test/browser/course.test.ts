import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { Course } from '../../src/browser/player/course.ts'
import type { NumberedFrame } from '../../src/media/frame.ts'
import { type Millis, micros, type Offset } from '../../src/units.ts'
import type { MessageOf } from '../../src/wire/message.ts'
import { testFrame } from '../support/clients.ts'

const place = (seek: number, more: Partial<MessageOf<'place'>> = {}): MessageOf<'place'> => ({
  type: 'place',
  seek,
  live: false,
  topic: 'first',
  ...more,
})

/** A frame that stands at ten times its number. */
const came = (course: Course, n: number): string =>
  course.frame(testFrame(n), true, { offset: (10 * n) as Offset, time: (1000 * n) as Millis })

const shows = (n: number) => ({
  session: 'aaaaaaaa',
  timestamp: micros((testFrame(n) as NumberedFrame).timestamp),
})

const begun = (from = 'live'): Course => {
  const course = new Course({ from })
  course.hello()
  course.place(place(0, { live: from === 'live' }))
  course.begin('aaaaaaaa')
  return course
}

describe('a course', () => {
  it('goes on behind what came, in the same topic, whatever it began with', () => {
    const course = begun('-30s')
    assert.deepEqual(new Course({ from: '-30s' }).hello(), { from: '-30s' })
    assert.equal(came(course, 3), 'shown')
    assert.deepEqual(course.hello(), { from: '@31', topic: 'first' })
    course.place(place(0))
    assert.equal(came(course, 2), 'stale', 'the GOP that it goes on in comes first')
    assert.equal(came(course, 3), 'stale')
    assert.equal(came(course, 4), 'shown')
  })

  it('takes nothing of where it was once it has asked for something else', () => {
    const course = begun()
    came(course, 1)
    const sent = course.seek({ from: 'start' })
    assert.deepEqual(sent, { type: 'seek', seek: 1, from: 'start' })
    assert.equal(came(course, 2), 'stale')
    assert.equal(course.begin('aaaaaaaa'), false)
    assert.equal(course.takes, false)
    assert.deepEqual(course.seek({ from: '@5', step: -1 }), { type: 'seek', seek: 2, from: '@5', step: -1 })
    assert.equal(course.place(place(1)), false, 'the answer to the one before')
    assert.equal(came(course, 0), 'stale')
    assert.equal(course.place(place(2)), true)
    assert.equal(came(course, 0), 'shown')
  })

  it('hides what lies before what it has asked for', () => {
    const course = begun()
    course.seek({ from: '@25' })
    course.place(place(1, { offset: 25 }))
    assert.deepEqual(
      [1, 2, 3, 4].map(n => came(course, n)),
      ['hidden', 'hidden', 'shown', 'shown'],
    )
  })

  it('tells where and when what is shown is', () => {
    const course = begun()
    for (const n of [1, 2, 3]) came(course, n)
    assert.equal(course.timeAt(shows(2)), 2000)
    assert.equal(course.at(shows(2)), '@20')
    assert.equal(course.behind(shows(2)), '@21')
    assert.equal(course.at({ session: 'bbbbbbbb', timestamp: micros(0) }), undefined)
    course.seek({ from: 'start' })
    assert.equal(course.timeAt(shows(2)), undefined)
  })

  it('is live where the gateway says so, also at the end of a replay', () => {
    const course = begun('start')
    assert.equal(course.isLive, false)
    came(course, 1)
    assert.equal(course.place(place(0, { live: true })), true)
    assert.equal(course.isLive, true)
    course.seek({ from: 'start' })
    assert.equal(course.isLive, false)
  })

  it('begins anew on a new connection while it waits for an answer', () => {
    const course = begun()
    came(course, 9)
    course.seek({ from: 'start' })
    assert.deepEqual(course.hello(), { from: 'start' })
    course.place(place(0))
    assert.equal(came(course, 0), 'shown')
    assert.deepEqual(course.seek({ from: 'live' }), { type: 'seek', seek: 1, from: 'live' })
  })

  it('asks for a step once more where the connection was lost before it was taken', () => {
    const course = begun()
    came(course, 9)
    course.seek({ from: '@90', step: -1 })
    assert.deepEqual(course.hello(), { from: '@90', topic: 'first' })
    course.place(place(0))
    assert.equal(course.owesStep, true)
    assert.deepEqual(course.seek(course.aim), { type: 'seek', seek: 1, from: '@90', step: -1 })
    course.place(place(1))
    assert.equal(course.owesStep, false)
  })

  it('begins with what is on now once it has come there, whatever it began with', () => {
    const course = begun('start')
    came(course, 1)
    course.arrive()
    course.forget()
    assert.deepEqual(course.hello(), { from: 'live' })
  })

  it('gets elsewhere by a new connection where the gateway is too old to say what it sends', () => {
    const course = new Course({ from: 'live' })
    course.hello()
    course.begin('aaaaaaaa')
    assert.equal(came(course, 1), 'shown')
    assert.equal(course.seek({ from: '-30s' }), undefined)
    assert.deepEqual(course.hello(), { from: '-30s' })
    course.begin('aaaaaaaa')
    assert.equal(came(course, 0), 'shown')
    assert.deepEqual(course.hello(), { from: '@1' })
  })

  it('begins anew with another session: its offsets may be of another topic', () => {
    const course = begun()
    came(course, 9)
    course.begin('bbbbbbbb')
    assert.equal(course.hasBegun, false)
    assert.equal(came(course, 0), 'shown')
  })
})
