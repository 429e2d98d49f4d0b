/**
 * Reads a topic's records from the store. What is there and is not as it was written is passed over and named; it is
 * never believed, neither a value nor a time.
 */
import { FramelogError } from '../../errors.ts'
import type { Offset } from '../../units.ts'
import type { Chunk, Damage, LogRecord } from '../log.ts'
import { decodeIntact, isIntact, offsetOfKey, recordKey, timestampOfStored } from './layout.ts'
import type { Store } from './store.ts'
import type { EmbeddedTopic } from './topic.ts'

/** @throws FramelogError OFFSET_OUT_OF_RANGE */
export function readChunk(store: Store, found: EmbeddedTopic, from: Offset, maxBytes: number): Chunk {
  const { number } = found.stored
  const { first, end } = found
  if (from < first || from > end) {
    throw new FramelogError(
      'OFFSET_OUT_OF_RANGE',
      `Offset ${from} is not in ${first} to ${end} of ${found.topic.name}`,
    )
  }
  const records: LogRecord[] = []
  const damaged: Damage[] = []
  const upTo = (next: number): Chunk => ({
    records,
    ...(damaged.length > 0 ? { damaged } : {}),
    next: next as Offset,
    end: end as Offset,
  })
  let bytes = 0
  for (const { key, value } of store.records.getRange({
    start: recordKey(number, from),
    end: recordKey(number, end),
  })) {
    const offset = offsetOfKey(key)
    // The store lends the bytes until its next read; the record owns this copy.
    const record = intactRecord(key, Buffer.from(new Uint8Array(value).buffer))
    const size = record?.value.byteLength ?? value.byteLength
    if (offset > from && bytes + size > maxBytes) return upTo(offset)
    bytes += size
    if (record === undefined) addDamage(damaged, offset)
    else records.push(record)
    if (bytes >= maxBytes) return upTo(offset + 1)
  }
  return upTo(end)
}

function intactRecord(key: Buffer, bytes: Buffer): LogRecord | undefined {
  try {
    return decodeIntact(key, bytes)
  } catch (error) {
    if (error instanceof FramelogError && error.code === 'LOG_CORRUPT') return undefined
    throw error
  }
}

/** Neighbours make one span. */
function addDamage(damaged: Damage[], offset: Offset): void {
  const last = damaged.at(-1)
  const next = (offset + 1) as Offset
  if (last?.next === offset) damaged[damaged.length - 1] = { from: last.from, next }
  else damaged.push({ from: offset, next })
}

/**
 * The first offset whose record is not older than a time, else the end. Timestamps rise within a topic. The oldest
 * record is looked at first: mostly nothing has grown too old.
 */
export function searchTime(store: Store, found: EmbeddedTopic, time: number): number {
  let low = found.first
  let high = found.end
  for (let middle = low; low < high; middle = Math.floor((low + high) / 2)) {
    const probe = firstIntact(store, found.stored.number, middle, high)
    if (probe !== undefined && probe.time < time) low = probe.offset + 1
    else high = middle
  }
  return low
}

function firstIntact(
  store: Store,
  number: number,
  from: number,
  to: number,
): { offset: number; time: number } | undefined {
  const range = { start: recordKey(number, from), end: recordKey(number, to) }
  for (const { key, value } of store.records.getRange(range))
    if (isIntact(key, value)) return { offset: offsetOfKey(key), time: timestampOfStored(value) }
  return undefined
}
