/**
 * Record batches as brokers send them (Kafka's message format v2), each checked against its checksum before anything in
 * it is believed. What is damaged becomes a span of offsets that a reader is told of, and reading goes on behind it.
 */
import { crc32c, Reader, readRecordsBatch } from '@platformatic/kafka'
import type { Millis, Offset } from '../../units.ts'
import type { Chunk, Damage, Header, LogRecord } from '../log.ts'

export interface Decoded {
  readonly records: LogRecord[]
  readonly damaged: Damage[]
  /** Past the last batch, also where that holds no record for a reader. */
  readonly next: Offset
}

/** Bytes from a batch's begin to where its length counts from. */
const lengthEnd = 12
const checksumAt = 17
const attributesAt = 21
/** What a batch has in front of its records. */
const headBytes = 61
const isCompressed = 0b111
const isLogAppendTime = 1 << 3
const isControl = 1 << 5

interface Batch {
  readonly first: number
  /** Offset behind the last record that the batch had when it was written. */
  readonly next: number
  readonly bytes: Buffer
}

/**
 * Drops what lies before `from` (a broker sends whole batches), control batches, and a last batch that was cut off.
 * Values are copies: the bytes given are those of a whole answer.
 * @param maxBytes of values after which no more are taken; at least one is
 */
export function decodeBatches(
  bytes: Buffer,
  from: Offset,
  maxBytes: number = Number.POSITIVE_INFINITY,
): Decoded {
  const out = { records: [] as LogRecord[], damaged: [] as Damage[], next: from }
  let taken = 0
  for (const batch of batches(bytes)) {
    if (batch.next <= out.next) continue
    let records: LogRecord[] | undefined
    try {
      records = readBatch(batch)
    } catch {
      records = undefined
    }
    if (records === undefined) {
      const begin = Math.max(batch.first, out.next) as Offset
      out.damaged.push({ from: begin, next: batch.next as Offset })
    }
    for (const record of records ?? []) {
      if (record.offset < from) continue
      taken += record.value.byteLength
      if (taken > maxBytes && out.records.length > 0) return { ...out, next: record.offset }
      out.records.push(record)
    }
    out.next = batch.next as Offset
  }
  return out
}

/** @param end the topic's end as the broker told it, which may lag behind what it gave */
export const chunkOf = ({ records, damaged, next }: Decoded, end: number): Chunk => ({
  records,
  next,
  end: Math.max(end, next) as Offset,
  ...(damaged.length > 0 ? { damaged } : {}),
})

function* batches(bytes: Buffer): Generator<Batch> {
  for (let at = 0; at + headBytes <= bytes.byteLength; ) {
    const end = at + lengthEnd + bytes.readInt32BE(at + 8)
    if (end > bytes.byteLength || end < at + headBytes) return
    const batch = bytes.subarray(at, end)
    const first = Number(batch.readBigInt64BE(0))
    yield { first, next: first + Math.max(batch.readInt32BE(attributesAt + 2), 0) + 1, bytes: batch }
    at = end
  }
}

/** @returns undefined where the checksum is another. @throws where the records are laid out as they should not be */
function readBatch({ first, bytes }: Batch): LogRecord[] | undefined {
  if (bytes.readUInt32BE(checksumAt) !== crc32c(bytes.subarray(attributesAt))) return undefined
  const attributes = bytes.readInt16BE(attributesAt)
  if ((attributes & isControl) !== 0) return []
  const base = Number(bytes.readBigInt64BE(attributesAt + 6))
  const newest = Number(bytes.readBigInt64BE(attributesAt + 14))
  const stamp = (delta: number): Millis =>
    ((attributes & isLogAppendTime) === 0 ? base + delta : newest) as Millis
  if ((attributes & isCompressed) !== 0) return readCompressed(bytes, first, stamp)
  const count = bytes.readInt32BE(headBytes - 4)
  const cursor = new Cursor(bytes, headBytes)
  const records: LogRecord[] = []
  for (let i = 0; i < count; i++) {
    const end = cursor.varint() + cursor.at
    cursor.at += 1
    const timestamp = stamp(cursor.varint())
    const offset = (first + cursor.varint()) as Offset
    const key = cursor.text('utf8')
    const value = cursor.copy()
    const headers: Header[] = []
    for (let left = cursor.varint(); left > 0; left--)
      headers.push([cursor.text('utf8'), cursor.text('latin1')])
    records.push({ offset, key, value, headers, timestamp })
    cursor.at = end
  }
  return records
}

/** Other writers compress; the library knows how. */
function readCompressed(bytes: Buffer, first: number, stamp: (delta: number) => Millis): LogRecord[] {
  return readRecordsBatch(Reader.from(bytes)).records.map(
    ({ offsetDelta, timestampDelta, key, value, headers }) => ({
      offset: (first + offsetDelta) as Offset,
      key: key?.toString('utf8') ?? '',
      value: value === null ? new Uint8Array(0) : new Uint8Array(value),
      headers: headers.map(
        ([name, text]): Header => [name?.toString('utf8') ?? '', text?.toString('latin1') ?? ''],
      ),
      timestamp: stamp(Number(timestampDelta)),
    }),
  )
}

class Cursor {
  at: number
  readonly #bytes: Buffer

  constructor(bytes: Buffer, at: number) {
    this.#bytes = bytes
    this.at = at
  }

  /** Zigzag, up to 53 bits. */
  varint(): number {
    let value = 0
    for (let factor = 1; ; factor *= 128) {
      const byte = this.#bytes.readUInt8(this.at++)
      value += (byte & 0x7f) * factor
      if (byte < 0x80) break
    }
    return value % 2 === 0 ? value / 2 : -(value + 1) / 2
  }

  /** @returns borrowed bytes; none where there is null */
  bytes(): Buffer {
    const length = Math.max(this.varint(), 0)
    if (this.at + length > this.#bytes.byteLength) throw new RangeError('a record ends outside of its batch')
    this.at += length
    return this.#bytes.subarray(this.at - length, this.at)
  }

  text(encoding: 'utf8' | 'latin1'): string {
    return this.bytes().toString(encoding)
  }

  copy(): Uint8Array {
    return new Uint8Array(this.bytes())
  }
}
