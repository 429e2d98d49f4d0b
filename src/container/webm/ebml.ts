/**
 * EBML (RFC 8794): an element is an id, a size, and so many bytes of data. Ids keep the marker bit that tells their
 * length (section 5); sizes lose it (section 4), and a size of all ones says that it is unknown (section 6.2).
 */
import type { Chunks } from '../chunks.ts'

/** Ids of Matroska (RFC 9559 section 5), as far as they are read or written here. */
export const ids = {
  ebml: 0x1a45dfa3,
  ebmlVersion: 0x4286,
  ebmlReadVersion: 0x42f7,
  ebmlMaxIdLength: 0x42f2,
  ebmlMaxSizeLength: 0x42f3,
  docType: 0x4282,
  docTypeVersion: 0x4287,
  docTypeReadVersion: 0x4285,
  void: 0xec,
  crc32: 0xbf,
  segment: 0x18538067,
  seekHead: 0x114d9b74,
  info: 0x1549a966,
  timestampScale: 0x2ad7b1,
  duration: 0x4489,
  muxingApp: 0x4d80,
  writingApp: 0x5741,
  tracks: 0x1654ae6b,
  trackEntry: 0xae,
  trackNumber: 0xd7,
  trackUid: 0x73c5,
  trackType: 0x83,
  flagLacing: 0x9c,
  defaultDuration: 0x23e383,
  codecId: 0x86,
  codecPrivate: 0x63a2,
  codecDelay: 0x56aa,
  seekPreRoll: 0x56bb,
  video: 0xe0,
  pixelWidth: 0xb0,
  pixelHeight: 0xba,
  audio: 0xe1,
  samplingFrequency: 0xb5,
  channels: 0x9f,
  contentEncodings: 0x6d80,
  contentEncoding: 0x6240,
  contentEncodingScope: 0x5032,
  contentEncodingType: 0x5033,
  contentCompression: 0x5034,
  contentCompAlgo: 0x4254,
  contentCompSettings: 0x4255,
  cluster: 0x1f43b675,
  timestamp: 0xe7,
  simpleBlock: 0xa3,
  blockGroup: 0xa0,
  block: 0xa1,
  blockDuration: 0x9b,
  referenceBlock: 0xfb,
  cues: 0x1c53bb6b,
  cuePoint: 0xbb,
  cueTime: 0xb3,
  cueTrackPositions: 0xb7,
  cueTrack: 0xf7,
  cueClusterPosition: 0xf1,
  chapters: 0x1043a770,
  tags: 0x1254c367,
  attachments: 0x1941a469,
} as const

/** What may stand in a Segment: meeting one ends a Cluster of unknown size. */
export const topLevel: ReadonlySet<number> = new Set([
  ids.seekHead,
  ids.info,
  ids.tracks,
  ids.cluster,
  ids.cues,
  ids.chapters,
  ids.tags,
  ids.attachments,
])

/** A size that says nothing: the element ends where its parent does, or where something begins that it cannot hold. */
export const unknownSize = -1

export interface ElementHeader {
  readonly id: number
  /** Bytes of data, or `unknownSize`. */
  readonly size: number
  /** Bytes of the header itself. */
  readonly length: number
}

/** Why bytes are no header: too few so far, or such as cannot begin one. */
export type NoHeader = 'short' | 'bad'

/** @param at bytes to look past; nothing is taken */
export function peekHeader(chunks: Chunks, at = 0): ElementHeader | NoHeader {
  const first = chunks.at(at)
  if (first === undefined) return 'short'
  const idLength = Math.clz32(first) - 23
  if (idLength > 4) return 'bad'
  let id = first
  for (let i = 1; i < idLength; i++) {
    const byte = chunks.at(at + i)
    if (byte === undefined) return 'short'
    id = id * 256 + byte
  }
  const begin = chunks.at(at + idLength)
  if (begin === undefined) return 'short'
  const sizeLength = Math.clz32(begin) - 23
  if (sizeLength > 8) return 'bad'
  let size = begin & (0xff >> sizeLength)
  let allOnes = size === 0xff >> sizeLength
  for (let i = 1; i < sizeLength; i++) {
    const byte = chunks.at(at + idLength + i)
    if (byte === undefined) return 'short'
    allOnes &&= byte === 0xff
    size = size * 256 + byte
  }
  if (!allOnes && !Number.isSafeInteger(size)) return 'bad'
  return { id, size: allOnes ? unknownSize : size, length: idLength + sizeLength }
}

/** The elements in a master element that is there as a whole. @returns views; undefined where they do not fit in it */
export function children(data: Uint8Array): { id: number; data: Uint8Array }[] | undefined {
  const found: { id: number; data: Uint8Array }[] = []
  let at = 0
  while (at < data.byteLength) {
    const id = readVint(data, at, 4, true)
    const size = id && readVint(data, at + id.length, 8, false)
    if (id === undefined || size === undefined || size.value === unknownSize) return undefined
    const begin = at + id.length + size.length
    if (size.value > data.byteLength - begin || found.length >= 4096) return undefined
    at = begin + size.value
    found.push({ id: id.value, data: data.subarray(begin, at) })
  }
  return found
}

/** A number behind the marker of its length (RFC 8794 section 4). @returns undefined where it is cut off or too long */
export function readVint(
  data: Uint8Array,
  at: number,
  longest: number,
  keepsMarker: boolean,
): { value: number; length: number } | undefined {
  const first = data[at]
  if (first === undefined) return undefined
  const length = Math.clz32(first) - 23
  if (length > longest || at + length > data.byteLength) return undefined
  let value = keepsMarker ? first : first & (0xff >> length)
  let allOnes = value === 0xff >> length
  for (let i = 1; i < length; i++) {
    const byte = data[at + i] ?? 0
    allOnes &&= byte === 0xff
    value = value * 256 + byte
  }
  if (!keepsMarker && allOnes) return { value: unknownSize, length }
  return Number.isSafeInteger(value) ? { value, length } : undefined
}

/** An unsigned integer of 0 to 8 bytes (RFC 8794 section 7.2). @returns undefined where it is longer or past 2^53 */
export function readUnsigned(data: Uint8Array): number | undefined {
  if (data.byteLength > 8) return undefined
  let value = 0
  for (const byte of data) value = value * 256 + byte
  return Number.isSafeInteger(value) ? value : undefined
}

/** A float of 0, 4 or 8 bytes (section 7.3). */
export function readFloat(data: Uint8Array): number | undefined {
  const view = new DataView(data.buffer, data.byteOffset, data.byteLength)
  if (data.byteLength === 4) return view.getFloat32(0)
  if (data.byteLength === 8) return view.getFloat64(0)
  return data.byteLength === 0 ? 0 : undefined
}

/** Text of ASCII, as codec ids and document types are; what follows a zero is padding (section 7.4). */
export function readText(data: Uint8Array): string {
  const end = data.indexOf(0)
  return String.fromCharCode(...data.subarray(0, Math.min(end < 0 ? data.byteLength : end, 64)))
}
