/**
 * Boxes (ISO/IEC 14496-12 section 4.2): a size in 32 bits, a type of four characters, and the data. The size counts the
 * header; 1 stands for a size in 64 bits behind the type, 0 for all that is left of the stream. Types are compared as
 * numbers.
 */
import { ByteReader } from '../../core/bytes.ts'
import type { Chunks } from '../chunks.ts'

/** A type as the number that its four characters are. */
export const fourCc = (name: string): number =>
  [...name].reduce((number, character) => number * 256 + character.charCodeAt(0), 0)

/** The inverse, for messages: whatever the bytes are. */
export const nameOf = (type: number): string =>
  String.fromCharCode(type >>> 24, (type >>> 16) & 255, (type >>> 8) & 255, type & 255)

export const types = {
  ftyp: fourCc('ftyp'),
  styp: fourCc('styp'),
  moov: fourCc('moov'),
  moof: fourCc('moof'),
  mdat: fourCc('mdat'),
  mvhd: fourCc('mvhd'),
  trak: fourCc('trak'),
  tkhd: fourCc('tkhd'),
  edts: fourCc('edts'),
  elst: fourCc('elst'),
  mdia: fourCc('mdia'),
  mdhd: fourCc('mdhd'),
  hdlr: fourCc('hdlr'),
  minf: fourCc('minf'),
  stbl: fourCc('stbl'),
  stsd: fourCc('stsd'),
  stts: fourCc('stts'),
  mvex: fourCc('mvex'),
  trex: fourCc('trex'),
  traf: fourCc('traf'),
  tfhd: fourCc('tfhd'),
  tfdt: fourCc('tfdt'),
  trun: fourCc('trun'),
} as const

/** A size that says nothing: the box goes on to the end of the stream. */
export const toTheEnd = -1

export interface BoxHeader {
  readonly type: number
  /** Bytes of data, or `toTheEnd`. */
  readonly size: number
  /** Bytes of the header itself. */
  readonly length: number
}

/** Why bytes are no header: too few so far, or a size that cannot be. Nothing is taken. */
export function peekBox(chunks: Chunks): BoxHeader | 'short' | 'bad' {
  const size = peekU32(chunks, 0)
  const type = peekU32(chunks, 4)
  if (size === undefined || type === undefined) return 'short'
  if (size === 0) return { type, size: toTheEnd, length: 8 }
  if (size !== 1) return size < 8 ? 'bad' : { type, size: size - 8, length: 8 }
  const high = peekU32(chunks, 8)
  const low = peekU32(chunks, 12)
  if (high === undefined || low === undefined) return 'short'
  const large = high * 0x1_0000_0000 + low
  return large < 16 || !Number.isSafeInteger(large) ? 'bad' : { type, size: large - 16, length: 16 }
}

function peekU32(chunks: Chunks, at: number): number | undefined {
  let value = 0
  for (let i = 0; i < 4; i++) {
    const byte = chunks.at(at + i)
    if (byte === undefined) return undefined
    value = value * 256 + byte
  }
  return value
}

export interface Box {
  readonly type: number
  readonly data: Uint8Array
}

/** The boxes in one that is there as a whole. @returns views. @throws OutOfBytes where they do not fit in it */
export function children(data: Uint8Array): Box[] {
  const reader = new ByteReader(data)
  const found: Box[] = []
  // What is left behind the last box is too short to be one: some writers close a list with four zeros.
  while (reader.remaining >= 8) {
    const size = reader.u32()
    const type = reader.u32()
    const length = size === 1 ? reader.i64() - 16 : size === 0 ? reader.remaining : size - 8
    found.push({ type, data: reader.bytes(length) })
  }
  return found
}

/** The data of the first box of a type. */
export const childOf = (boxes: readonly Box[], type: number): Uint8Array | undefined =>
  boxes.find(box => box.type === type)?.data

/** What a full box (section 4.2.2) begins with. */
export function versionAndFlags(reader: ByteReader): { version: number; flags: number } {
  const both = reader.u32()
  return { version: both >>> 24, flags: both & 0xff_ffff }
}
