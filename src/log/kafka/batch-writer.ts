/**
 * Writes a record batch (Kafka's message format v2) into one buffer of its exact size. The library's makes a buffer for every
 * number and text of a record, dozens a frame, and three copies of the payload: a fifth of all that a gateway leaves to the
 * garbage collector, whose pauses are what the slowest frames wait for.
 */
import type { Header, NewRecord } from '../log.ts'
import { checksumOf } from './checksum.ts'

/** Bytes from a batch's begin to where its length counts from, to its checksum, to what that covers, and to its records. */
const lengthEnd = 12
const checksumAt = 17
const attributesAt = 21
const headBytes = 61
const magic = 2

/** @param records borrowed until return; one at least. @returns owned bytes */
export function encodeBatch(records: readonly NewRecord[]): Buffer {
  const first = stampOf(records[0])
  let newest = first
  let length = headBytes
  const sizes: number[] = []
  for (const [i, record] of records.entries()) {
    const stamp = stampOf(record)
    if (stamp > newest) newest = stamp
    const size = sizeOf(record, stamp - first, i)
    sizes.push(size)
    length += varintSize(size) + size
  }
  const cursor = new Cursor(Buffer.allocUnsafe(length))
  // The offset is the broker's to give. There is no producer that the broker knows, so its epoch and number say nothing.
  cursor.i64(0)
  cursor.i32(length - lengthEnd)
  cursor.i32(0)
  cursor.i8(magic)
  cursor.at = attributesAt
  cursor.i16(0)
  cursor.i32(records.length - 1)
  cursor.i64(first)
  cursor.i64(newest)
  cursor.i64(-1)
  cursor.i16(0)
  cursor.i32(0)
  cursor.i32(records.length)
  for (const [i, record] of records.entries()) {
    cursor.varint(sizes[i] ?? 0)
    cursor.i8(0)
    cursor.varint(stampOf(record) - first)
    cursor.varint(i)
    cursor.text(record.key, 'utf8')
    cursor.value(record.value)
    cursor.varint(record.headers.length)
    for (const [name, value] of record.headers) {
      cursor.text(name, 'utf8')
      cursor.text(value, 'latin1')
    }
  }
  const { bytes } = cursor
  bytes.writeUInt32BE(checksumOf(bytes.subarray(attributesAt)), checksumAt)
  return bytes
}

const stampOf = (record: NewRecord | undefined): number => Math.round(record?.timestamp ?? 0)

/** Of what stands behind a record's own length. */
function sizeOf({ key, value, headers }: NewRecord, stampDelta: number, index: number): number {
  let size = 1 + varintSize(stampDelta) + varintSize(index)
  size += withLength(Buffer.byteLength(key)) + withLength(value.byteLength) + varintSize(headers.length)
  for (const header of headers) size += headerSize(header)
  return size
}

/** A header's value has a byte for each character. */
const headerSize = ([name, value]: Header): number =>
  withLength(Buffer.byteLength(name)) + withLength(value.length)

const withLength = (length: number): number => varintSize(length) + length

/** Zigzag: a small number of either sign is short. */
const zigzag = (value: number): number => (value < 0 ? -2 * value - 1 : 2 * value)

function varintSize(value: number): number {
  let size = 1
  for (let left = zigzag(value); left >= 0x80; left = Math.floor(left / 0x80)) size += 1
  return size
}

class Cursor {
  at = 0
  readonly bytes: Buffer

  constructor(bytes: Buffer) {
    this.bytes = bytes
  }

  i8(value: number): void {
    this.at = this.bytes.writeInt8(value, this.at)
  }

  i16(value: number): void {
    this.at = this.bytes.writeInt16BE(value, this.at)
  }

  i32(value: number): void {
    this.at = this.bytes.writeInt32BE(value, this.at)
  }

  i64(value: number): void {
    this.i32(Math.floor(value / 0x1_0000_0000))
    this.at = this.bytes.writeUInt32BE(value >>> 0, this.at)
  }

  varint(value: number): void {
    let left = zigzag(value)
    for (; left >= 0x80; left = Math.floor(left / 0x80)) this.bytes[this.at++] = (left % 0x80) | 0x80
    this.bytes[this.at++] = left
  }

  text(text: string, encoding: 'utf8' | 'latin1'): void {
    this.varint(encoding === 'latin1' ? text.length : Buffer.byteLength(text))
    this.at += this.bytes.write(text, this.at, encoding)
  }

  value(value: Uint8Array): void {
    this.varint(value.byteLength)
    this.bytes.set(value, this.at)
    this.at += value.byteLength
  }
}
