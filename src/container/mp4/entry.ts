/**
 * Sample entries (ISO/IEC 14496-12 section 8.5.2; 14496-15 for avc1 and avc3, 14496-14 for mp4a, the bindings of VP8 and
 * VP9, of AV1 and of Opus): what the samples of a track are, and what their decoder must be told.
 */
import { ByteReader } from '../../core/bytes.ts'
import { FramelogError } from '../../errors.ts'
import { quote } from '../../units.ts'
import type { ContainerTrack } from '../announcer.ts'
import { demuxLimits } from '../demuxer.ts'
import { type Box, childOf, children, fourCc, nameOf } from './boxes.ts'

/** Where the codec's own box lies, by the entry's type. */
const videoEntries: ReadonlyMap<number, { family: 'vp8' | 'vp9' | 'av1' | 'h264'; box?: number }> = new Map([
  [fourCc('avc1'), { family: 'h264', box: fourCc('avcC') }],
  [fourCc('avc3'), { family: 'h264', box: fourCc('avcC') }],
  [fourCc('vp08'), { family: 'vp8' }],
  [fourCc('vp09'), { family: 'vp9' }],
  [fourCc('av01'), { family: 'av1', box: fourCc('av1C') }],
])
const audioEntries: ReadonlyMap<number, 'opus' | 'aac'> = new Map([
  [fourCc('Opus'), 'opus'],
  [fourCc('mp4a'), 'aac'],
])
const encrypted: ReadonlySet<number> = new Set([fourCc('encv'), fourCc('enca')])
const dOps = fourCc('dOps')
const esds = fourCc('esds')

/** Bytes of an entry before its boxes: section 12.1.3 for pictures, 12.2.3 for sound. */
const fixedBytes = { video: 78, audio: 28 } as const

const unsupported = (message: string): never => {
  throw new FramelogError('UNSUPPORTED_CODEC', message)
}

/**
 * @param id the track's, for messages
 * @throws OutOfBytes where the entry is cut off; FramelogError UNSUPPORTED_CODEC, BAD_CONTAINER
 */
export function parseEntry({ type, data }: Box, id: number, kind: 'video' | 'audio'): ContainerTrack {
  if (encrypted.has(type)) unsupported(`Track ${id} is encrypted, which cannot be carried`)
  const video = kind === 'video' ? videoEntries.get(type) : undefined
  if (video !== undefined) return videoOf(data, video.family, video.box, id)
  const audio = kind === 'audio' ? audioEntries.get(type) : undefined
  if (audio !== undefined) return audioOf(data, audio, id)
  return unsupported(`Track ${id} is ${quote(nameOf(type))}, which cannot be carried`)
}

function videoOf(
  data: Uint8Array,
  family: 'vp8' | 'vp9' | 'av1' | 'h264',
  box: number | undefined,
  id: number,
): ContainerTrack {
  const reader = new ByteReader(data)
  reader.bytes(24)
  const width = reader.u16()
  const height = reader.u16()
  const description = box === undefined ? undefined : childOf(children(data.subarray(fixedBytes.video)), box)
  if (family === 'h264' && description === undefined)
    throw new FramelogError('BAD_CONTAINER', `Track ${id} has no avcC`)
  return { kind: 'video', family, width, height, ...described(description, id) }
}

function audioOf(data: Uint8Array, family: 'opus' | 'aac', id: number): ContainerTrack {
  const reader = new ByteReader(data)
  reader.bytes(16)
  const channels = reader.u16()
  reader.bytes(6)
  // 16.16 bits: a rate past 65,535 stands in the codec's own box only.
  const sampleRate = reader.u32() / 65_536
  const boxes = children(data.subarray(fixedBytes.audio))
  const own = childOf(boxes, family === 'opus' ? dOps : esds)
  const description = own && (family === 'opus' ? opusHeadOf(own) : audioSpecificConfigOf(own, id))
  return { kind: 'audio', family, sampleRate, channels, ...described(description, id) }
}

/** The bytes come out of a header that is let go: they are copied. */
function described(description: Uint8Array | undefined, id: number): { description?: Uint8Array } {
  if (description === undefined || description.byteLength === 0) return {}
  if (description.byteLength > demuxLimits.description)
    throw new FramelogError('BAD_CONTAINER', `Track ${id} has too large a configuration`)
  return { description: description.slice() }
}

/**
 * The same header as Ogg has it (RFC 7845 section 5.1): little-endian and behind a magic word, where `dOps` (Opus in
 * ISO Base Media File Format, section 4.3.2) is big-endian and counts its version from 0.
 */
function opusHeadOf(dops: Uint8Array): Uint8Array {
  const reader = new ByteReader(dops)
  reader.u8()
  const channels = reader.u8()
  const preSkip = reader.u16()
  const rate = reader.u32()
  const gain = reader.u16()
  const mapping = reader.rest()
  const head = new Uint8Array(18 + mapping.byteLength)
  head.set([0x4f, 0x70, 0x75, 0x73, 0x48, 0x65, 0x61, 0x64, 1, channels])
  const view = new DataView(head.buffer)
  view.setUint16(10, preSkip, true)
  view.setUint32(12, rate, true)
  view.setUint16(16, gain, true)
  head.set(mapping, 18)
  return head
}

/** Tags of the descriptors on the way to an AudioSpecificConfig (ISO/IEC 14496-1 section 7.2.2). */
const tags = { elementaryStream: 3, decoderConfig: 4, decoderSpecific: 5 } as const
/** Object types that are AAC: of MPEG-4, and the three profiles of MPEG-2. */
const aacTypes: ReadonlySet<number> = new Set([0x40, 0x66, 0x67, 0x68])

function audioSpecificConfigOf(box: Uint8Array, id: number): Uint8Array | undefined {
  const stream = descriptor(new ByteReader(box.subarray(4)), tags.elementaryStream)
  if (stream === undefined) return undefined
  stream.u16()
  const flags = stream.u8()
  if ((flags & 0x80) !== 0) stream.u16()
  if ((flags & 0x40) !== 0) stream.bytes(stream.u8())
  if ((flags & 0x20) !== 0) stream.u16()
  const decoder = descriptor(stream, tags.decoderConfig)
  if (decoder === undefined) return undefined
  const objectType = decoder.u8()
  if (!aacTypes.has(objectType)) unsupported(`Track ${id} is mp4a.${objectType.toString(16)}, and not AAC`)
  decoder.bytes(12)
  return descriptor(decoder, tags.decoderSpecific)?.rest()
}

/** The first descriptor of a tag; sizes are in up to four bytes of 7 bits (section 8.3.3). */
function descriptor(reader: ByteReader, wanted: number): ByteReader | undefined {
  while (reader.remaining > 0) {
    const tag = reader.u8()
    let size = 0
    for (let i = 0; i < 4; i++) {
      const byte = reader.u8()
      size = size * 128 + (byte & 0x7f)
      if ((byte & 0x80) === 0) break
    }
    const data = reader.bytes(size)
    if (tag === wanted) return new ByteReader(data)
  }
  return undefined
}
