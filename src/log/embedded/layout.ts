/**
 * How a record lies in the store. Key: topic number u32, offset i64, so that a topic is one range in order.
 * Value: layout version u8 (2), CRC-32 u32 of the record's key in the store and of all that follows, timestamp i64, key length u8, key, count of headers u8, then for each its name's
 * length u8, name, value's length u32, value (Latin-1), and the record's value to the end.
 * Version 1, which is read and no longer written, has no CRC.
 * A mark (sizes.ts): bytes before it i64, timestamp i64, CRC-32 u32 of its key and of what is before. At first it had none.
 */
import { crc32 } from 'node:zlib'
import { ByteReader, ByteWriter } from '../../core/bytes.ts'
import { FramelogError } from '../../errors.ts'
import type { Millis, Offset } from '../../units.ts'
import type { Header, LogRecord, NewRecord } from '../log.ts'
import type { Mark } from './sizes.ts'

const layoutVersion = 2
const unchecked = 1
const crcAt = 1
const checkedFrom = 5

export function recordKey(topic: number, offset: number): Buffer {
  const key = Buffer.allocUnsafe(12)
  key.writeUInt32BE(topic, 0)
  key.writeBigInt64BE(BigInt(offset), 4)
  return key
}

/** Marks have the keys of their records. */
export const markKey = recordKey

const markBytes = 16

export function encodeMark(topic: number, { offset, before, time }: Mark): [key: Buffer, value: Buffer] {
  const key = markKey(topic, offset)
  const bytes = Buffer.allocUnsafe(markBytes + 4)
  bytes.writeBigInt64BE(BigInt(before), 0)
  bytes.writeBigInt64BE(BigInt(time), 8)
  bytes.writeUInt32BE(crc32(bytes.subarray(0, markBytes), crc32(key)), markBytes)
  return [key, bytes]
}

/** @returns undefined where it is not as it was written: what it says decides what is removed */
export function decodeMark(key: Buffer, bytes: Buffer): Mark | undefined {
  const isWhole =
    bytes.length === markBytes ||
    (bytes.length === markBytes + 4 &&
      bytes.readUInt32BE(markBytes) === crc32(bytes.subarray(0, markBytes), crc32(key)))
  if (key.length !== 12 || !isWhole) return undefined
  return {
    offset: offsetOfKey(key),
    before: Number(bytes.readBigInt64BE(0)),
    time: Number(bytes.readBigInt64BE(8)),
  }
}

export const topicOfKey = (key: Buffer): number => key.readUInt32BE(0)
export const offsetOfKey = (key: Buffer): Offset => Number(key.readBigInt64BE(4)) as Offset

/** @param key of the record in the store. @returns owned bytes */
export function encodeRecord(record: NewRecord, key: Buffer): Buffer {
  if (record.key.length > 255 || record.headers.length > 255) {
    throw new FramelogError('LOG_FAILED', 'A record key over 255 characters, or over 255 headers')
  }
  let length = checkedFrom + 8 + 1 + record.key.length + 1 + record.value.byteLength
  for (const [name, value] of record.headers) length += 5 + name.length + value.length
  const writer = new ByteWriter(length).u8(layoutVersion).u32(0).i64(record.timestamp)
  writer.u8(record.key.length).latin1(record.key).u8(record.headers.length)
  for (const [name, value] of record.headers) {
    writer.u8(name.length).latin1(name).u32(value.length).latin1(value)
  }
  const written = writer.bytes(record.value).finish()
  const bytes = Buffer.from(written.buffer, written.byteOffset, written.byteLength)
  bytes.writeUInt32BE(crcOf(key, bytes), crcAt)
  return bytes
}

const crcOf = (key: Buffer, bytes: Uint8Array): number => crc32(bytes.subarray(checkedFrom), crc32(key))

/**
 * Whether the bytes are what was written under this key: nothing of the disk, of another record or of another time.
 * Of version 1 only the shape can be told.
 */
export function isIntact(key: Buffer, bytes: Buffer): boolean {
  if (bytes.length > checkedFrom && bytes[0] === layoutVersion)
    return bytes.readUInt32BE(crcAt) === crcOf(key, bytes)
  if (bytes[0] !== unchecked) return false
  try {
    decodeStored(bytes, offsetOfKey(key))
    return true
  } catch {
    return false
  }
}

/** @param bytes owned by the record from here on. @throws FramelogError LOG_CORRUPT */
export function decodeStored(bytes: Uint8Array, offset: Offset): LogRecord {
  try {
    const reader = new ByteReader(bytes)
    const version = reader.u8()
    if (version === layoutVersion) reader.u32()
    else if (version !== unchecked) throw new RangeError(`layout version ${version}`)
    const timestamp = reader.i64() as Millis
    const key = reader.latin1(reader.u8())
    const headers: Header[] = []
    for (let left = reader.u8(); left > 0; left--) {
      const name = reader.latin1(reader.u8())
      headers.push([name, reader.latin1(reader.u32())])
    }
    return { offset, timestamp, key, headers, value: reader.rest() }
  } catch (cause) {
    throw new FramelogError('LOG_CORRUPT', `The stored record at offset ${offset} cannot be read`, { cause })
  }
}

/** As `decodeStored`, of bytes that come from the disk. @throws FramelogError LOG_CORRUPT */
export function decodeIntact(key: Buffer, bytes: Buffer): LogRecord {
  const offset = offsetOfKey(key)
  if (!isIntact(key, bytes))
    throw new FramelogError('LOG_CORRUPT', `The stored record at offset ${offset} is not what was written`)
  return decodeStored(bytes, offset)
}

/** The timestamp alone, for searches. */
export const timestampOfStored = (bytes: Uint8Array): number => {
  const reader = new ByteReader(bytes)
  if (reader.u8() === layoutVersion) reader.u32()
  return reader.i64()
}
