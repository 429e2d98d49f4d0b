import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, it } from 'node:test'
import fc from 'fast-check'
import { ByteReader, ByteWriter, OutOfBytes } from '../../src/core/bytes.ts'
import { BoundedQueue } from '../../src/core/queue.ts'
import { errorKinds, FramelogError, toFramelogError } from '../../src/errors.ts'
import { parsePosition } from '../../src/relay/position.ts'
import { broadcastId, isBroadcastId, isTrackName, type Millis } from '../../src/units.ts'

describe('bytes', () => {
  it('give every safe integer back', () => {
    fc.assert(
      fc.property(fc.maxSafeInteger(), n => {
        assert.equal(new ByteReader(new ByteWriter(8).i64(n).finish()).i64(), n)
      }),
    )
  })

  it('say where they end, and refuse integers past 2^53', () => {
    assert.throws(() => new ByteReader(new Uint8Array(3)).u32(), OutOfBytes)
    assert.throws(() => new ByteReader(new Uint8Array(8).fill(0x7f)).i64(), OutOfBytes)
    assert.throws(() => new ByteWriter(2).u8(1).finish(), RangeError)
  })
})

describe('a bounded queue', () => {
  it('gives items in order through any growth', () => {
    fc.assert(
      fc.property(fc.array(fc.boolean(), { maxLength: 300, size: 'max' }), pushes => {
        const queue = new BoundedQueue<number>({ items: 1000, bytes: 10_000 }, () => 1)
        const model: number[] = []
        for (const [i, isPush] of pushes.entries()) {
          if (isPush) {
            assert.ok(queue.push(i))
            model.push(i)
          } else assert.equal(queue.shift(), model.shift())
          assert.equal(queue.peek(), model[0])
          assert.deepEqual([...queue], model)
        }
      }),
    )
  })

  it('refuses what exceeds its items or its bytes, and stays as it was', () => {
    const queue = new BoundedQueue<number>({ items: 3, bytes: 10 }, n => n)
    assert.deepEqual(
      [queue.push(4), queue.push(7), queue.push(6), queue.push(0), queue.push(0)],
      [true, false, true, true, false],
    )
    assert.deepEqual([queue.length, queue.bytes], [3, 10])
    queue.clear()
    assert.deepEqual([queue.length, queue.bytes, queue.shift()], [0, 0, undefined])
  })
})

describe('ids', () => {
  it('follow their patterns', () => {
    for (const good of ['a', '0', 'camera-1', `a${'-'.repeat(62)}`]) assert.ok(isBroadcastId(good), good)
    for (const bad of ['', '-a', 'A', 'a_b', 'a/b', `a${'b'.repeat(63)}`, 'a\n', 7, undefined])
      assert.ok(!isBroadcastId(bad))
    assert.ok(isTrackName('video-low') && !isTrackName(`a${'b'.repeat(32)}`))
    assert.throws(() => broadcastId('Nope'), { code: 'BAD_BROADCAST_ID' })
  })
})

describe('errors', () => {
  it('have a status, a close code that applications may use, and advice', () => {
    for (const [code, { status, close, advice }] of Object.entries(errorKinds)) {
      assert.ok(status >= 400 && status < 600, code)
      assert.ok(close === 1011 || (close >= 4000 && close < 5000), code)
      assert.match(advice, /^[A-Z].*\.$/, code)
    }
  })

  it('pass through as they are, and keep the cause of any other', () => {
    const coded = new FramelogError('TOO_MANY', 'x')
    assert.equal(toFramelogError(coded), coded)
    const cause = new Error('y')
    assert.equal(toFramelogError(cause).cause, cause)
    assert.equal(toFramelogError('z').code, 'INTERNAL')
  })
})

describe('positions', () => {
  const now = Date.parse('2026-01-02T03:04:05Z') as Millis
  it('are read in all their forms', () => {
    assert.deepEqual(parsePosition('live', now), { kind: 'live' })
    assert.deepEqual(parsePosition('start', now), { kind: 'start' })
    assert.deepEqual(parsePosition('-30s', now), { kind: 'time', time: now - 30_000 })
    assert.deepEqual(parsePosition('-2h', now), { kind: 'time', time: now - 7_200_000 })
    assert.deepEqual(parsePosition('2026-01-02T03:04:05.250Z', now), { kind: 'time', time: now + 250 })
    assert.deepEqual(parsePosition('2026-01-02T04:04:05+01:00', now), { kind: 'time', time: now })
    assert.deepEqual(parsePosition('@123', now), { kind: 'offset', offset: 123 })
  })

  it('are refused otherwise', () => {
    for (const text of [
      '',
      'now',
      '30s',
      '-30',
      '@',
      '@-1',
      '2026',
      '2026-13-01T00:00:00Z',
      `@${'9'.repeat(16)}`,
    ]) {
      assert.throws(() => parsePosition(text, now), { code: 'BAD_POSITION' }, text)
    }
  })
})

it('docs/errors.md lists every code as it is', () => {
  const text = readFileSync(join(import.meta.dirname, '..', '..', 'docs', 'errors.md'), 'utf8')
  const rows = text.split('\n').filter(line => line.startsWith('| `'))
  const expected = Object.entries(errorKinds).map(
    ([code, { status, close, retryable, advice }]) =>
      `| \`${code}\` | ${status} | ${close} | ${retryable ? 'yes' : 'no'} | ${advice} |`,
  )
  assert.deepEqual(rows, expected)
})
