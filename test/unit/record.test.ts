import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, it } from 'node:test'
import fc from 'fast-check'
import type { Header, LogRecord } from '../../src/log/log.ts'
import { decodeRecord, type Entry, encodeEntry, type WrittenEntry } from '../../src/log/record.ts'
import { writtenHops } from '../../src/media/hops.ts'
import { type TimedData, timedDataLimits } from '../../src/media/timed-data.ts'
import { micros, millis, type Offset, trackName } from '../../src/units.ts'
import { anyHops } from '../support/hops.ts'

interface Golden {
  readonly name: string
  readonly key: string
  readonly timestamp: number
  readonly headers: Header[]
  /** Hexadecimal. */
  readonly value: string
  readonly entry: Record<string, unknown>
}

const golden = ['records-v1.json', 'data-v1.json', 'hops-v1.json'].flatMap(
  file => JSON.parse(readFileSync(join(import.meta.dirname, '..', 'golden', file), 'utf8')) as Golden[],
)

const bytes = (hex: string): Uint8Array => Uint8Array.from(Buffer.from(hex, 'hex'))

const recordOf = ({ key, timestamp, headers, value }: Golden): LogRecord => ({
  key,
  timestamp: millis(timestamp),
  headers,
  value: bytes(value),
  offset: 1000 as Offset,
})

/** JSON has no bytes: the value stands for `data` and `catalog`. */
function entryOf({ entry, value }: Golden): unknown {
  if (entry.kind === 'frame') return { ...entry, frame: { ...(entry.frame as object), data: bytes(value) } }
  if (entry.kind === 'data') return { ...entry, record: { ...(entry.record as object), data: bytes(value) } }
  return entry.kind === 'catalog' ? { ...entry, catalog: bytes(value) } : entry
}

describe('the record format', () => {
  for (const record of golden) {
    it(`reads the golden record: ${record.name}`, () => {
      assert.deepEqual(decodeRecord(recordOf(record)), entryOf(record))
    })
  }

  it('writes golden records as they are', () => {
    for (const record of golden) {
      if (record.entry.kind === 'unknown' || record.entry.kind === 'corrupt' || record.name.includes('later'))
        continue
      const { key, headers, value } = encodeEntry(entryOf(record) as WrittenEntry, millis(record.timestamp))
      assert.deepEqual(
        { key, headers, value: Buffer.from(value).toString('hex') },
        { key: record.key, headers: record.headers, value: record.value },
      )
    }
  })

  it('gives any frame back', () => {
    const frames = fc.record(
      {
        track: fc.constant(trackName('video')),
        timestamp: fc.maxSafeInteger().map(micros),
        duration: fc.nat().map(micros),
        capturedAt: fc.nat().map(millis),
        hops: anyHops(...writtenHops),
        keyframe: fc.boolean(),
        data: fc.uint8Array({ minLength: 1 }),
      },
      { requiredKeys: ['track', 'timestamp', 'keyframe', 'data'], noNullPrototype: true },
    )
    fc.assert(
      fc.property(frames, fc.nat(), fc.option(fc.nat(999), { nil: undefined }), (frame, sequence, start) => {
        const entry: Entry = {
          kind: 'frame',
          epoch: 5 as Offset,
          session: 'abcd1234',
          sequence,
          frame,
          ...(start === undefined ? {} : { start: start as Offset }),
        }
        const record = { ...encodeEntry(entry, millis(1)), offset: 1000 as Offset }
        assert.deepEqual(decodeRecord(record), entry)
      }),
    )
  })

  it('gives any timed data back, as large as it may be and no larger', () => {
    const records: fc.Arbitrary<TimedData> = fc.record(
      {
        track: fc.constantFrom('meta-score', 'meta-a', `meta-${'z'.repeat(27)}`).map(trackName),
        moment: fc.record(
          { session: fc.constant('abcd1234'), timestamp: fc.maxSafeInteger().map(micros) },
          { noNullPrototype: true },
        ),
        duration: fc.nat().map(micros),
        data: fc.uint8Array({ minLength: 1 }),
      },
      { requiredKeys: ['track', 'data'], noNullPrototype: true },
    )
    const again = (record: TimedData): Entry =>
      decodeRecord({ ...encodeEntry({ kind: 'data', record }, millis(1)), offset: 1000 as Offset })
    fc.assert(fc.property(records, record => assert.deepEqual(again(record), { kind: 'data', record })))
    const [track, { bytes: limit }] = [trackName('meta-score'), timedDataLimits]
    assert.equal(again({ track, data: new Uint8Array(limit) }).kind, 'data')
    assert.equal(again({ track, data: new Uint8Array(limit + 1) }).kind, 'unknown')
    assert.equal(again({ track: trackName('metascore'), data: new Uint8Array(1) }).kind, 'unknown')
  })

  it('says in a catalog whose claim it belongs to, and reads catalogs that do not say it', () => {
    const entry: Entry = {
      kind: 'catalog',
      epoch: 5 as Offset,
      session: 'abcd1234',
      catalog: Uint8Array.of(123, 125),
      start: 7 as Offset,
    }
    for (const each of [entry, { ...entry, resumeHash: 'f'.repeat(64) }]) {
      const record = { ...encodeEntry(each, millis(1)), offset: 1000 as Offset }
      assert.deepEqual(decodeRecord(record), each)
    }
  })

  it('finds damage by the checksum', () => {
    const record = recordOf(golden.find(({ entry }) => entry.kind === 'frame') as Golden)
    const value = Uint8Array.from(record.value)
    value[0] = (value[0] ?? 0) ^ 1
    assert.equal(decodeRecord({ ...record, value }).kind, 'corrupt')
  })

  it('never throws, whatever another writer left', () => {
    const texts = fc.oneof(
      fc.string({ maxLength: 20 }),
      fc.constantFrom('1', '-1', '99999999999999999999', 'abcd1234', ''),
    )
    const names = fc.constantFrom('v', 's', 'e', 'n', 't', 'd', 'dt', 'k', 'c', 'start', 'rh', 'crc', 'x')
    const records = fc.record({
      key: fc.constantFrom('video', 'meta-score', '.session', '.catalog', '.gap', '.end', '', 'Ünknown'),
      headers: fc.array(fc.tuple(names, texts), { maxLength: 14 }),
      value: fc.oneof(
        fc.uint8Array(),
        fc.json().map(json => Uint8Array.from(Buffer.from(json))),
      ),
      timestamp: fc.constant(millis(0)),
      offset: fc.nat().map(n => n as Offset),
    })
    fc.assert(
      fc.property(records, record => assert.ok(decodeRecord(record).kind)),
      { numRuns: 2000 },
    )
  })
})
