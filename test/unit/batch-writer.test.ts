import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { createRecordsBatch } from '@platformatic/kafka'
import fc from 'fast-check'
import { encodeBatch } from '../../src/log/kafka/batch-writer.ts'
import { decodeBatches } from '../../src/log/kafka/record-batches.ts'
import type { NewRecord } from '../../src/log/log.ts'
import { millis, offset } from '../../src/units.ts'

const latin1 = fc.string({ unit: fc.integer({ min: 0, max: 255 }).map(code => String.fromCharCode(code)) })
const anyRecord: fc.Arbitrary<NewRecord> = fc.record({
  key: fc.string({ unit: 'grapheme' }),
  value: fc.uint8Array({ maxLength: 300 }),
  headers: fc.array(fc.tuple(fc.string({ unit: 'grapheme' }), latin1), { maxLength: 12 }),
  timestamp: fc.integer({ min: 0, max: 2 ** 47 }).map(millis),
})
const anyRecords = fc.array(anyRecord, { minLength: 1, maxLength: 80 })
/** Stamped within a day: the library writes no delta below -2^31. */
const recordsOfADay = fc.array(
  fc
    .tuple(anyRecord, fc.integer({ min: 0, max: 86_400_000 }))
    .map(([record, at]): NewRecord => ({ ...record, timestamp: millis(1_800_000_000_000 + at) })),
  { minLength: 1, maxLength: 80 },
)

describe('a batch that is written', () => {
  it('is byte for byte what the library writes', () => {
    fc.assert(
      fc.property(recordsOfADay, records => {
        const theirs = createRecordsBatch(
          records.map(({ key, value, headers, timestamp }) => ({
            topic: '',
            key: Buffer.from(key),
            value: Buffer.from(value),
            headers: new Map(headers.map(([name, text]) => [Buffer.from(name), Buffer.from(text, 'latin1')])),
            timestamp: BigInt(timestamp),
          })),
        )
        assert.deepEqual(encodeBatch(records), theirs.buffer)
      }),
      { numRuns: 300 },
    )
  })

  it('is read back as it was', () => {
    fc.assert(
      fc.property(anyRecords, records => {
        const read = decodeBatches(encodeBatch(records), offset(0), records.length)
        assert.deepEqual(
          read.records.map(({ offset: _, value, ...rest }) => ({ ...rest, value: [...value] })),
          records.map(record => ({ ...record, value: [...record.value] })),
        )
      }),
    )
  })
})
