/**
 * What the bodies of FLV's tags say (Adobe Flash Video File Format 10.1, annex E.4; Enhanced RTMP v2, 2025, for codecs that are
 * named by four characters). RTMP's messages have the same bodies.
 */
import { ByteReader } from '../../core/bytes.ts'
import { FramelogError } from '../../errors.ts'
import { quote } from '../../units.ts'
import { fourCc, nameOf } from '../mp4/boxes.ts'

export const tagTypes = { audio: 8, video: 9, script: 18 } as const

/** How a decoder is set up, a frame, or nothing that concerns anybody. */
export type TagBody =
  | { readonly kind: 'config'; readonly family: Family; readonly data: Uint8Array }
  | {
      readonly kind: 'frame'
      readonly family: Family
      readonly keyframe: boolean
      /** Presentation less decode time, milliseconds. */
      readonly composition: number
      /** To be added to both, nanoseconds. */
      readonly nanoseconds: number
      /** A view. */
      readonly data: Uint8Array
    }
  | undefined

export type VideoFamily = 'h264' | 'vp8' | 'vp9' | 'av1'
export type AudioFamily = 'aac' | 'opus'
export type Family = VideoFamily | AudioFamily

const videoCodecs: Readonly<Record<number, string>> = {
  2: 'H.263 (Sorenson)',
  3: 'Screen Video',
  4: 'VP6',
  5: 'VP6 with alpha',
  6: 'Screen Video 2',
  12: 'H.265',
}
const audioCodecs: Readonly<Record<number, string>> = {
  0: 'PCM',
  1: 'ADPCM',
  2: 'MP3',
  3: 'PCM',
  4: 'Nellymoser',
  5: 'Nellymoser',
  6: 'Nellymoser',
  7: 'G.711 A-law',
  8: 'G.711 mu-law',
  11: 'Speex',
  14: 'MP3',
}
const videoFamilies: ReadonlyMap<number, VideoFamily> = new Map([
  [fourCc('avc1'), 'h264'],
  [fourCc('vp08'), 'vp8'],
  [fourCc('vp09'), 'vp9'],
  [fourCc('av01'), 'av1'],
])
const audioFamilies: ReadonlyMap<number, AudioFamily> = new Map([
  [fourCc('mp4a'), 'aac'],
  [fourCc('Opus'), 'opus'],
])

/** Of video: 1 a keyframe, 2 and 3 none, 5 a command. */
const frameTypes = { key: 1, command: 5 } as const
/** Packet types of Enhanced RTMP, which picture and sound share; legacy H.264 and AAC have the first three. */
const packets = { start: 0, frame: 1, end: 2, frameWithoutOffset: 3, multitrack: 6, extension: 7 } as const
/** Of sound, where 3 is not what it is of pictures. */
const audioPackets = { start: 0, frame: 1, end: 2, multitrack: 5, extension: 7 } as const

const unsupported = (message: string): never => {
  throw new FramelogError('UNSUPPORTED_CODEC', message)
}

/** @param data borrowed. @throws OutOfBytes where it is cut off; FramelogError UNSUPPORTED_CODEC */
export function parseVideo(data: Uint8Array): TagBody {
  const reader = new ByteReader(data)
  const first = reader.u8()
  const frameType = (first >> 4) & 7
  if ((first & 0x80) !== 0) return parseEnhancedVideo(reader, frameType, first & 15)
  if (frameType === frameTypes.command) return undefined
  const codec = first & 15
  if (codec !== 7)
    unsupported(`The picture is ${videoCodecs[codec] ?? `of codec ${codec}`}, which cannot be carried`)
  const packet = reader.u8()
  const composition = signed24(reader)
  if (packet === packets.start) return { kind: 'config', family: 'h264', data: reader.rest() }
  if (packet !== packets.frame) return undefined
  const keyframe = frameType === frameTypes.key
  return { kind: 'frame', family: 'h264', keyframe, composition, nanoseconds: 0, data: reader.rest() }
}

/** @param data borrowed. @throws OutOfBytes where it is cut off; FramelogError UNSUPPORTED_CODEC */
export function parseAudio(data: Uint8Array): TagBody {
  const reader = new ByteReader(data)
  const first = reader.u8()
  const format = first >> 4
  if (format === 9) return parseEnhancedAudio(reader, first & 15)
  if (format !== 10)
    unsupported(`The sound is ${audioCodecs[format] ?? `of format ${format}`}, which cannot be carried`)
  const packet = reader.u8()
  if (packet === packets.start) return { kind: 'config', family: 'aac', data: reader.rest() }
  return { kind: 'frame', family: 'aac', keyframe: true, composition: 0, nanoseconds: 0, data: reader.rest() }
}

function parseEnhancedVideo(reader: ByteReader, frameType: number, type: number): TagBody {
  const { packet, nanoseconds } = extended(reader, type)
  if (frameType === frameTypes.command) return undefined
  if (packet === packets.multitrack)
    unsupported('The picture has several tracks in one, which cannot be carried')
  const code = reader.u32()
  const family = videoFamilies.get(code)
  if (family === undefined)
    return unsupported(`The picture is ${quote(nameOf(code))}, which cannot be carried`)
  if (packet === packets.start) return { kind: 'config', family, data: reader.rest() }
  if (packet !== packets.frame && packet !== packets.frameWithoutOffset) return undefined
  const composition = packet === packets.frame && family === 'h264' ? signed24(reader) : 0
  const keyframe = frameType === frameTypes.key
  return { kind: 'frame', family, keyframe, composition, nanoseconds, data: reader.rest() }
}

function parseEnhancedAudio(reader: ByteReader, type: number): TagBody {
  const { packet, nanoseconds } = extended(reader, type)
  if (packet === audioPackets.multitrack)
    unsupported('The sound has several tracks in one, which cannot be carried')
  const code = reader.u32()
  const family = audioFamilies.get(code)
  if (family === undefined) return unsupported(`The sound is ${quote(nameOf(code))}, which cannot be carried`)
  if (packet === audioPackets.start) return { kind: 'config', family, data: reader.rest() }
  if (packet !== audioPackets.frame) return undefined
  return { kind: 'frame', family, keyframe: true, composition: 0, nanoseconds, data: reader.rest() }
}

/** Extensions before a packet: a size less one in 8 bits, or in 16 behind 255; data; what it is, and the next type. */
function extended(reader: ByteReader, type: number): { packet: number; nanoseconds: number } {
  let packet = type
  let nanoseconds = 0
  while (packet === packets.extension) {
    const short = reader.u8() + 1
    const data = new ByteReader(reader.bytes(short === 256 ? reader.u16() + 1 : short))
    const next = reader.u8()
    if (next >> 4 === 0 && data.remaining >= 3) nanoseconds += (data.u8() << 16) | data.u16()
    packet = next & 15
  }
  return { packet, nanoseconds }
}

const signed24 = (reader: ByteReader): number => (((reader.u8() << 16) | reader.u16()) << 8) >> 8
