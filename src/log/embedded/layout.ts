/**
 * How a record lies in the store. Key: topic number u32, offset i64, so that a topic is one range in order.
 * Value: layout version u8, timestamp i64, key length u8, key, count of headers u8, then for each its name's
 * length u8, name, value's length u32, value (Latin-1), and the record's value to the end.
 * A mark (sizes.ts): bytes before it i64, timestamp i64.
 */
import { ByteReader, ByteWriter } from '../../core/bytes.ts'
import { FramelogError } from '../../errors.ts'
import type { Millis, Offset } from '../../units.ts'
import type { Header, LogRecord, NewRecord } from '../log.ts'
import type { Mark } from './sizes.ts'

const layoutVersion = 1

export function recordKey(topic: number, offset: number): Buffer {
  const key = Buffer.allocUnsafe(12)
  key.writeUInt32BE(topic, 0)
  key.writeBigInt64BE(BigInt(offset), 4)
  return key
}

/** Marks have the keys of their records. */
export const markKey = recordKey

export function encodeMark({ before, time }: Mark): Buffer {
  const bytes = Buffer.allocUnsafe(16)
  bytes.writeBigInt64BE(BigInt(before), 0)
  bytes.writeBigInt64BE(BigInt(time), 8)
  return bytes
}

export const decodeMark = (key: Buffer, bytes: Buffer): Mark => ({
  offset: offsetOfKey(key),
  before: Number(bytes.readBigInt64BE(0)),
  time: Number(bytes.readBigInt64BE(8)),
})

export const topicOfKey = (key: Buffer): number => key.readUInt32BE(0)
export const offsetOfKey = (key: Buffer): Offset => Number(key.readBigInt64BE(4)) as Offset

/** @returns owned bytes */
export function encodeRecord(record: NewRecord): Buffer {
  if (record.key.length > 255 || record.headers.length > 255) {
    throw new FramelogError('LOG_FAILED', 'A record key over 255 characters, or over 255 headers')
  }
  let length = 1 + 8 + 1 + record.key.length + 1 + record.value.byteLength
  for (const [name, value] of record.headers) length += 5 + name.length + value.length
  const writer = new ByteWriter(length).u8(layoutVersion).i64(record.timestamp)
  writer.u8(record.key.length).latin1(record.key).u8(record.headers.length)
  for (const [name, value] of record.headers) {
    writer.u8(name.length).latin1(name).u32(value.length).latin1(value)
  }
  const bytes = writer.bytes(record.value).finish()
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength)
}

/** @param bytes owned by the record from here on. @throws FramelogError LOG_CORRUPT */
export function decodeStored(bytes: Uint8Array, offset: Offset): LogRecord {
  try {
    const reader = new ByteReader(bytes)
    const version = reader.u8()
    if (version !== layoutVersion) throw new RangeError(`layout version ${version}`)
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

/** The timestamp alone, for searches. */
export const timestampOfStored = (bytes: Uint8Array): number => {
  const reader = new ByteReader(bytes)
  reader.u8()
  return reader.i64()
}
