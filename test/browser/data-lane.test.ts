import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { Course } from '../../src/browser/player/course.ts'
import { DataLane, dataLaneLimits } from '../../src/browser/player/data-lane.ts'
import { timedDataLimits } from '../../src/media/timed-data.ts'
import { micros, millis, type Offset } from '../../src/units.ts'
import { testData, testFrame } from '../support/clients.ts'

const at = (seconds: number, session = 'aaaaaaaa') => ({ session, timestamp: micros(seconds * 1_000_000) })

describe('timed data that waits for its picture', () => {
  const setUp = () => {
    const got: string[] = []
    const lane = new DataLane(({ data }) => {
      const text = Buffer.from(data).toString()
      got.push(text)
      if (text === 'seek') lane.clear()
    })
    const add = (text: string, seconds: number, session?: string): void =>
      lane.add(testData(text, at(seconds, session)))
    const take = (): string[] => got.splice(0)
    return { lane, add, take }
  }

  it('is handed on with the first picture at or behind its moment, in the order of moments', () => {
    const { lane, add, take } = setUp()
    add('far ahead', 1000)
    add('second', 2)
    add('first', 1)
    add('second, too', 2)
    assert.deepEqual(take(), [])
    lane.show(at(0.99))
    assert.deepEqual(take(), [])
    lane.show(at(2))
    assert.deepEqual(take(), ['first', 'second', 'second, too'])
    lane.show(at(3))
    assert.deepEqual(take(), [])
  })

  it('is handed on at once where that picture is shown already', () => {
    const { lane, add, take } = setUp()
    lane.show(at(5))
    add('late', 4)
    add('now', 5)
    add('ahead', 5.1)
    assert.deepEqual(take(), ['late', 'now'])
  })

  it('belongs to no other session: what waits of one that is over is left, what comes of the next is kept', () => {
    const { lane, add, take } = setUp()
    lane.show(at(5))
    add('of the first', 6)
    add('of the next', 1, 'bbbbbbbb')
    lane.show(at(0, 'bbbbbbbb'))
    assert.deepEqual(take(), [])
    lane.show(at(1, 'bbbbbbbb'))
    assert.deepEqual(take(), ['of the next'])
    lane.show(at(10))
    assert.deepEqual(take(), [])
  })

  it('is left where the viewer goes elsewhere, be it by what it was handed', () => {
    const { lane, add, take } = setUp()
    lane.show(at(1))
    add('left', 2)
    lane.clear()
    add('new', 1)
    assert.deepEqual(take(), [], 'no picture of where it went is shown yet')
    lane.show(at(3))
    assert.deepEqual(take(), ['new'])
    add('seek', 4)
    add('behind it', 5)
    lane.show(at(6))
    assert.deepEqual(take(), ['seek'])
    lane.show(at(6))
    assert.deepEqual(take(), [])
  })

  it('is limited in number and bytes, and what came first goes', () => {
    const { lane, add, take } = setUp()
    const { items, bytes } = dataLaneLimits
    for (let n = 0; n < items + 10; n++) add(`${n}`, 1)
    lane.show(at(1))
    assert.deepEqual(
      take(),
      Array.from({ length: items }, (_, i) => `${i + 10}`),
    )
    const fits = bytes / timedDataLimits.bytes
    for (let n = 0; n < fits + 1; n++)
      lane.add({ ...testData('', at(2)), data: new Uint8Array(timedDataLimits.bytes) })
    lane.show(at(2))
    assert.equal(take().length, fits)
  })

  it('has no place where it has no moment', () => {
    const { lane, take } = setUp()
    lane.add(testData('of an unknown moment'))
    lane.show(at(1))
    assert.deepEqual(take(), [])
  })
})

describe('the course of a viewer', () => {
  const relayed = (offset: number) => ({ offset: offset as Offset, time: millis(0) })
  const place = { type: 'place', seek: 0, live: true } as const

  it('takes timed data once, over connections, and goes on behind it', () => {
    const course = new Course({ from: 'live' })
    course.hello()
    course.place(place)
    assert.ok(course.begin('aaaaaaaa'))
    assert.equal(course.data(relayed(3)), true)
    assert.equal(course.hasBegun, false)
    course.frame(testFrame(0), true, relayed(4))
    assert.equal(course.data(relayed(5)), true)
    assert.equal(course.data(relayed(5)), false)
    assert.deepEqual(course.hello(), { from: '@6' })
    course.place({ ...place, live: false, offset: 6 })
    assert.equal(course.frame(testFrame(0), true, relayed(4)), 'stale')
    assert.equal(course.data(relayed(5)), false)
    assert.equal(course.frame(testFrame(1), true, relayed(6)), 'shown')
    assert.equal(course.data(relayed(7)), true)
  })

  it('takes none of where it was before a seek', () => {
    const course = new Course({ from: 'live' })
    course.hello()
    course.place(place)
    course.begin('aaaaaaaa')
    course.frame(testFrame(0), true, relayed(4))
    course.seek({ from: 'start' })
    assert.equal(course.data(relayed(5)), false)
    course.place({ ...place, seek: 1, live: false })
    assert.equal(course.data(relayed(1)), true)
  })
})
