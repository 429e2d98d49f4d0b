/**
 * Record batches as brokers send them (Kafka's message format v2), each checked against its checksum before anything in
 * it is believed. What is damaged becomes a span of offsets that a reader is told of, and reading goes on behind it.
 */
import type { Millis, Offset } from '../../units.ts'
import type { Chunk, Damage, Header, LogRecord } from '../log.ts'
import { checksumOf } from './checksum.ts'
import { decompress } from './decompress.ts'

export interface Decoded {
  readonly records: LogRecord[]
  readonly damaged: Damage[]
  /** Past the last batch, also where that holds no record for a reader. */
  readonly next: Offset
}

/** Bytes from a batch's begin to where its length counts from. */
const lengthEnd = 12
const magicAt = 16
/** Of the format v2, which is all that brokers store since 0.11. */
const magic = 2
const checksumAt = 17
const attributesAt = 21
/** What a batch has in front of its records. */
const headBytes = 61
/** Records by which an answer may run ahead of the end that it tells: a broker notes the end before it reads. */
const endLag = 10_000
const isCompressed = 0b111
const isLogAppendTime = 1 << 3
const isControl = 1 << 5
/** Of a batch that was compressed: several times the 8 MiB that one has otherwise, and little beside a gateway. */
const maxDecompressed = 32 * 1024 * 1024
/** A record may have 7 bytes and costs some hundred here. Twice what a gateway writes at most, at 128 bytes each. */
const maxRecords = 128 * 1024
const maxHeaders = 4 * maxRecords
/** Bytes that a value may pin beyond itself: what stands beside a frame in an answer of its own is some 250. */
const maxPinned = 512

interface Batch {
  readonly first: number
  /** Offset behind the last record that the batch had when it was written. */
  readonly next: number
  readonly bytes: Buffer
}

/** Bytes that may still be decompressed of one answer. */
interface Budget {
  left: number
}

/**
 * Drops what lies before `from` (a broker sends whole batches), control batches, and a last batch that was cut off.
 * Values are copies where the bytes given, those of a whole answer, are much more than one.
 *
 * A batch's length, base offset and last offset stand outside of its checksum or are read where that fails: they are
 * believed only as far as they fit between their neighbours and the topic's end.
 * @param end the topic's end
 * @param maxBytes of values after which no more are taken; at least one is
 */
export function decodeBatches(
  bytes: Buffer,
  from: Offset,
  end: number,
  maxBytes: number = Number.POSITIVE_INFINITY,
): Decoded {
  const records: LogRecord[] = []
  const damaged: Damage[] = []
  const { batches, isCutShort } = split(bytes)
  let next: number = from
  let taken = 0
  const budget: Budget = { left: maxDecompressed }
  for (const [i, batch] of batches.entries()) {
    // Many that are compressed well come in one answer: the others are asked for again.
    if (budget.left <= 0 && next > from) return { records, damaged, next: next as Offset }
    const following = batches[i + 1]
    const isMisplaced = following !== undefined && following.first >= next && following.first <= batch.first
    const fits = batch.first <= end + endLag && (i === 0 || batch.first >= next) && !isMisplaced
    const found = fits ? tryBatch(batch, budget) : undefined
    if (found === undefined) {
      const begin = fits ? Math.max(batch.first, next) : next
      next = endOfDamage(batch, following, begin, fits, end)
      damaged.push({ from: begin as Offset, next: next as Offset })
      continue
    }
    if (batch.next <= next) continue
    for (const record of found) {
      if (record.offset < next) continue
      taken += record.value.byteLength
      if (taken > maxBytes && records.length > 0) return { records, damaged, next: record.offset }
      records.push(record)
    }
    next = batch.next
  }
  // A broker sends its first batch whole, however large: one that does not come out is damaged in its length.
  if (batches.length === 0 && isCutShort && next < end) {
    damaged.push({ from: next as Offset, next: (next + 1) as Offset })
    next += 1
  }
  return { records, damaged, next: next as Offset }
}

/** Where a reader goes on behind a damaged batch. */
function endOfDamage(
  batch: Batch,
  following: Batch | undefined,
  from: number,
  fits: boolean,
  end: number,
): number {
  const limit =
    following !== undefined && following.first > from && following.first < end ? following.first : end
  if (fits && batch.next > from && batch.next <= limit) return batch.next
  // One at a time, where nothing says how far it goes: a broker finds the batch behind it by its own index.
  return limit === end ? from + 1 : limit
}

function tryBatch(batch: Batch, budget: Budget): LogRecord[] | undefined {
  try {
    return readBatch(batch, budget)
  } catch {
    return undefined
  }
}

/** @param end the topic's end as the broker told it, which may lag behind what it gave */
export const chunkOf = ({ records, damaged, next }: Decoded, end: number): Chunk => ({
  records,
  next,
  end: Math.max(end, next) as Offset,
  ...(damaged.length > 0 ? { damaged: merged(damaged) } : {}),
})

function merged(spans: readonly Damage[]): Damage[] {
  const out: Damage[] = []
  for (const span of spans) {
    const last = out.at(-1)
    if (last?.next === span.from) out[out.length - 1] = { from: last.from, next: span.next }
    else out.push(span)
  }
  return out
}

function split(bytes: Buffer): { batches: Batch[]; isCutShort: boolean } {
  const batches: Batch[] = []
  let at = 0
  while (at + headBytes <= bytes.byteLength) {
    const end = at + lengthEnd + bytes.readInt32BE(at + 8)
    if (end > bytes.byteLength || end < at + headBytes) break
    const batch = bytes.subarray(at, end)
    const first = Number(batch.readBigInt64BE(0))
    batches.push({
      first,
      next: first + Math.max(batch.readInt32BE(attributesAt + 2), 0) + 1,
      bytes: batch,
    })
    at = end
  }
  return { batches, isCutShort: at < bytes.byteLength }
}

/** @returns undefined where the checksum is another. @throws where the records are laid out as they should not be */
function readBatch({ first, bytes }: Batch, budget: Budget): LogRecord[] | undefined {
  if (bytes.readInt8(magicAt) !== magic) return undefined
  if (bytes.readUInt32BE(checksumAt) !== checksumOf(bytes.subarray(attributesAt))) return undefined
  const attributes = bytes.readInt16BE(attributesAt)
  if ((attributes & isControl) !== 0) return []
  const base = Number(bytes.readBigInt64BE(attributesAt + 6))
  const newest = Number(bytes.readBigInt64BE(attributesAt + 14))
  const stamp = (delta: number): Millis =>
    ((attributes & isLogAppendTime) === 0 ? base + delta : newest) as Millis
  const count = bytes.readInt32BE(headBytes - 4)
  if (count > maxRecords) throw new RangeError('a batch of too many records')
  let headersLeft = maxHeaders
  const cursor = new Cursor(body(bytes, attributes & isCompressed, budget), 0)
  const records: LogRecord[] = []
  for (let i = 0; i < count; i++) {
    const end = cursor.varint() + cursor.at
    // What leads back would be read for ever.
    if (end <= cursor.at) throw new RangeError('a record ends before it begins')
    cursor.at += 1
    const timestamp = stamp(cursor.varint())
    const offset = (first + cursor.varint()) as Offset
    const key = cursor.text('utf8')
    const value = cursor.owned()
    const headers: Header[] = []
    const headerCount = Math.max(cursor.varint(), 0)
    headersLeft -= headerCount
    if (headersLeft < 0) throw new RangeError('a batch of too many headers')
    for (let left = headerCount; left > 0; left--) headers.push([cursor.text('utf8'), cursor.text('latin1')])
    records.push({ offset, key, value, headers, timestamp })
    cursor.at = end
  }
  return records
}

/** Other writers compress. One that does not come out counts as if it had filled the limit: the work was the same. */
function body(bytes: Buffer, codec: number, budget: Budget): Buffer {
  const stored = bytes.subarray(headBytes)
  if (codec === 0) return stored
  const left = budget.left
  budget.left = left - maxDecompressed
  const records = decompress(codec, stored, maxDecompressed)
  budget.left = left - records.byteLength
  return records
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

  /** A text is read where it stands: a frame has over twenty. */
  text(encoding: 'utf8' | 'latin1'): string {
    const from = this.#pass()
    return this.#bytes.toString(encoding, from, this.at)
  }

  /**
   * What fills the answer that it came in is not copied: whoever keeps it keeps little more. Live, that is nearly every
   * frame, and a copy of each is what brings the next garbage collection nearer.
   */
  owned(): Uint8Array {
    const from = this.#pass()
    const { buffer, byteOffset } = this.#bytes
    const length = this.at - from
    if (buffer.byteLength - length <= maxPinned) return new Uint8Array(buffer, byteOffset + from, length)
    return new Uint8Array(this.#bytes.subarray(from, this.at))
  }

  /** Passes over bytes with their length before them, none where there is null. @returns where they begin */
  #pass(): number {
    const length = Math.max(this.varint(), 0)
    const from = this.at
    if (from + length > this.#bytes.byteLength) throw new RangeError('a record ends outside of its batch')
    this.at = from + length
    return from
  }
}
