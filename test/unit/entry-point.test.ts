import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import type { Log, LogRecord, NewRecord } from '../../src/log/log.ts'
import { encodeEntry } from '../../src/log/record.ts'
import { entryPointOf, newestGop, searchBytes } from '../../src/relay/entry-point.ts'
import { millis, type Offset, offset, trackName } from '../../src/units.ts'
import { testFrame } from '../support/clients.ts'

const topic = { name: 'video-cam', id: 't' }

/** A topic of large records of another program, after one GOP of ours; made as they are read. */
function foreign(
  bytes: number,
  next: number,
  record: NewRecord = { key: 'boxes', value: new Uint8Array(bytes), headers: [], timestamp: millis(0) },
) {
  let read = 0
  const recordAt = (at: number): LogRecord =>
    at < 10
      ? {
          ...encodeEntry(
            {
              kind: 'frame',
              epoch: offset(0),
              session: 'abcd1234',
              sequence: at,
              frame: testFrame(at),
              start: offset(1),
            },
            millis(0),
          ),
          offset: at as Offset,
        }
      : { ...record, offset: at as Offset }
  const log = {
    bounds: async () => ({ first: offset(0), next: offset(next) }),
    read: async (_: unknown, from: number, maxBytes: number) => {
      const count = Math.min(next - from, Math.max(1, Math.floor(maxBytes / bytes)))
      const records = Array.from({ length: count }, (_, i) => recordAt(from + i))
      read += count * bytes
      return { records, next: from + count, end: next }
    },
  } as unknown as Log
  return { log, read: () => read }
}

describe('the search for the newest GOP', () => {
  it('goes back past records of other programs', async () => {
    const { log } = foreign(100, 2000)
    assert.deepEqual(await newestGop(log, topic), { from: 1, floor: 0 })
  })

  it('passes over timed data, which carries no start', async () => {
    const data = {
      kind: 'data',
      record: { track: trackName('meta-score'), data: new Uint8Array(9) },
    } as const
    const { log } = foreign(100, 2000, encodeEntry(data, millis(0)))
    assert.deepEqual(await newestGop(log, topic), { from: 1, floor: 0 })
    const position = { kind: 'offset', offset: offset(500) } as const
    assert.deepEqual(await entryPointOf(log, topic, position, false), { from: 1, floor: 0, wanted: 500 })
  })

  it('gives up after a number of records, and begins there', async () => {
    const { log } = foreign(100, 100_000)
    assert.deepEqual(await newestGop(log, topic), { from: 100_000 - 8192 })
  })

  it('gives up after a number of bytes, and begins where all that follows was looked at', async () => {
    const bytes = 256 * 1024
    const { log, read } = foreign(bytes, 2000)
    assert.deepEqual(await newestGop(log, topic), { from: 2000 - 64 })
    assert.ok(read() <= searchBytes + 1024 * 1024)
  })

  it('reads no more than that ahead of a position, either', async () => {
    const { log, read } = foreign(256 * 1024, 100_000)
    const point = await entryPointOf(log, topic, { kind: 'offset', offset: offset(50_000) }, false)
    assert.deepEqual(point, { from: 50_000 })
    assert.ok(read() <= 2 * (searchBytes + 1024 * 1024))
  })
})
