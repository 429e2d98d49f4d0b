/** Between the library's records and the contract's. */
import type { fetchV17, MessageRecord } from '@platformatic/kafka'
import type { Millis, Offset } from '../../units.ts'
import type { Header, LogRecord, NewRecord } from '../log.ts'

type Batches = fetchV17.FetchResponsePartition['records']

const isControl = 1 << 5
const isLogAppendTime = 1 << 3

export interface Decoded {
  readonly records: LogRecord[]
  /** Past the last batch, also where that holds no record for a reader. */
  readonly next: Offset
}

/**
 * Drops what lies before `from` (a broker sends whole batches) and control batches.
 * Values are copied: the library's lie in the buffer of a whole network chunk.
 * @param maxBytes of values after which no more are taken; at least one is
 */
export function decodeBatches(
  batches: Batches,
  from: Offset,
  maxBytes: number = Number.POSITIVE_INFINITY,
): Decoded {
  const records: LogRecord[] = []
  let next = from as number
  let bytes = 0
  for (const batch of batches ?? []) {
    const first = Number(batch.firstOffset)
    if ((batch.attributes & isControl) === 0) {
      for (const { offsetDelta, timestampDelta, key, value, headers } of batch.records) {
        const offset = first + offsetDelta
        if (offset < from) continue
        bytes += value?.byteLength ?? 0
        if (bytes > maxBytes && records.length > 0) return { records, next: offset as Offset }
        const stamp =
          (batch.attributes & isLogAppendTime) === 0
            ? batch.firstTimestamp + timestampDelta
            : batch.maxTimestamp
        records.push({
          offset: offset as Offset,
          key: key?.toString('utf8') ?? '',
          value: value === null ? new Uint8Array(0) : new Uint8Array(value),
          headers: headers.map(
            ([name, text]): Header => [name?.toString('utf8') ?? '', text?.toString('latin1') ?? ''],
          ),
          timestamp: Number(stamp) as Millis,
        })
      }
    }
    next = Math.max(next, first + batch.lastOffsetDelta + 1)
  }
  return { records, next: next as Offset }
}

/** Borrows the value's bytes. */
export const encodeMessage = (topic: string, record: NewRecord): MessageRecord => ({
  topic,
  partition: 0,
  key: Buffer.from(record.key),
  value: Buffer.from(record.value.buffer, record.value.byteOffset, record.value.byteLength),
  // A Map with a key object for each header keeps also names that come twice.
  headers: new Map(record.headers.map(([name, text]) => [Buffer.from(name), Buffer.from(text, 'latin1')])),
  timestamp: BigInt(Math.round(record.timestamp)),
})
