/** The initialization segment of tracks: ftyp and moov (ISO/IEC 14496-12), with no samples of its own. */
import { joinBytes } from '../../core/bytes.ts'
import type { AudioTrack, VideoTrack } from '../../media/catalog.ts'
import { parseCodec } from '../../media/codec.ts'
import type { DecoderConfig } from '../decoder-config.ts'

const timescale = 1_000_000

type Part = Uint8Array | readonly number[]

/** @param config `avcC`, `av1C`, OpusHead or AudioSpecificConfig; VP9 has its own made here. @returns owned bytes */
export const movieHeader = (track: VideoTrack | AudioTrack, config: DecoderConfig): Uint8Array<ArrayBuffer> =>
  movieHeaderOf([{ track, config }])

interface HeaderTrack {
  readonly track: VideoTrack | AudioTrack
  readonly config: DecoderConfig
}

/** What is presented of a file that has an end, microseconds. */
interface Presented {
  readonly origin: number
  readonly duration: number
}

/**
 * @param tracks in the order of their ids, from 1 on
 * @param presented undefined for what has no end
 * @returns owned bytes
 */
export function movieHeaderOf(
  tracks: readonly HeaderTrack[],
  presented?: Presented,
): Uint8Array<ArrayBuffer> {
  const ftyp = box('ftyp', ascii('iso6'), u32(0), ascii('iso6mp41'))
  const mehd = presented === undefined ? [] : [full('mehd', 1, 0, u64(presented.duration))]
  const moov = box(
    'moov',
    mvhd(tracks.length, presented?.duration ?? 0),
    ...tracks.map((track, i) => trak(track, i + 1, presented)),
    box('mvex', ...mehd, ...tracks.map((_, i) => full('trex', 0, 0, u32(i + 1, 1, 0, 0, 0)))),
  )
  return joinBytes([ftyp, moov])
}

const mvhd = (tracks: number, duration: number): Part =>
  full(
    'mvhd',
    1,
    0,
    [...u64(0), ...u64(0), ...u32(timescale), ...u64(duration)],
    u32(0x1_0000),
    [1, 0],
    zeros(10),
    matrix,
    zeros(24),
    u32(tracks + 1),
  )

/** Section 8.6.6: one edit, which begins where the presentation does. */
const edits = ({ origin, duration }: Presented): Part =>
  box('edts', full('elst', 1, 0, u32(1), u64(duration), u64(origin), u16(1, 0)))

function trak({ track, config }: HeaderTrack, trackId: number, presented: Presented | undefined): Part {
  const isVideo = track.kind === 'video'
  const width = isVideo ? track.width : 0
  const height = isVideo ? track.height : 0
  const tkhd = full(
    'tkhd',
    1,
    3,
    [...u64(0), ...u64(0), ...u32(trackId, 0), ...u64(presented?.duration ?? 0)],
    zeros(8),
    u16(0, 0, isVideo ? 0 : 0x100, 0),
    matrix,
    u16(width, 0, height, 0),
  )
  const mdhd = full('mdhd', 0, 0, u32(0, 0, timescale, 0), u16(0x55c4, 0))
  const hdlr = full('hdlr', 0, 0, u32(0), ascii(isVideo ? 'vide' : 'soun'), zeros(12), ascii('framelog'), [0])
  const head = isVideo ? full('vmhd', 0, 1, zeros(8)) : full('smhd', 0, 0, zeros(4))
  const dinf = box('dinf', full('dref', 0, 0, u32(1), full('url ', 0, 1)))
  const stbl = box(
    'stbl',
    full('stsd', 0, 0, u32(1), sampleEntry(track, config, trackId)),
    full('stts', 0, 0, u32(0)),
    full('stsc', 0, 0, u32(0)),
    full('stsz', 0, 0, u32(0, 0)),
    full('stco', 0, 0, u32(0)),
  )
  const edts = presented === undefined ? [] : [edits(presented)]
  return box('trak', tkhd, ...edts, box('mdia', mdhd, hdlr, box('minf', head, dinf, stbl)))
}

/** ISO/IEC 14496-15 for avc1, -14 for mp4a; the bindings of VP9 1.0, AV1 1.2 and Opus in ISOBMFF 0.8.1. */
function sampleEntry(track: VideoTrack | AudioTrack, config: DecoderConfig, trackId: number): Part {
  const { family } = parseCodec(track.codec)
  if (track.kind === 'audio') {
    const entry = (type: string, extra: Part): Part =>
      box(
        type,
        zeros(6),
        u16(1),
        zeros(8),
        u16(track.channels, 16, 0, 0),
        u16(track.sampleRate & 0xffff, 0),
        extra,
      )
    return family === 'opus' ? entry('Opus', dOps(config ?? [])) : entry('mp4a', esds(config ?? [], trackId))
  }
  const entry = (type: string, extra: Part): Part =>
    box(
      type,
      zeros(6),
      u16(1),
      zeros(16),
      u16(track.width, track.height, 72, 0, 72, 0),
      u32(0),
      u16(1),
      zeros(32),
      u16(24, 0xffff),
      extra,
    )
  if (family === 'h264') return entry('avc1', box('avcC', config ?? []))
  if (family === 'av1') return entry('av01', box('av1C', config ?? []))
  return entry(family === 'vp8' ? 'vp08' : 'vp09', vpcC(track.codec))
}

/** Profile, level, bit depth with 4:2:0 where chroma sits with luma, and colours that are not stated. */
function vpcC(text: string): Part {
  const codec = parseCodec(text)
  const { profile, level, bitDepth } = codec.family === 'vp9' ? codec : { profile: 0, level: 31, bitDepth: 8 }
  return full('vpcC', 1, 0, [profile, level, (bitDepth << 4) | (1 << 1), 2, 2, 2, 0, 0])
}

/** The fields of OpusHead behind its magic, big-endian, with version 0 (section 4.3.2). */
function dOps(head: Part): Part {
  const [
    ,
    ,
    ,
    ,
    ,
    ,
    ,
    ,
    ,
    channels = 1,
    skipLow = 0,
    skipHigh = 0,
    r0 = 0,
    r1 = 0,
    r2 = 0,
    r3 = 0,
    gainLow = 0,
    gainHigh = 0,
  ] = head
  const mapping = [...head].slice(18)
  return box('dOps', [
    0,
    channels,
    skipHigh,
    skipLow,
    r3,
    r2,
    r1,
    r0,
    gainHigh,
    gainLow,
    ...(mapping.length > 0 ? mapping : [0]),
  ])
}

/** ES_Descriptor with DecoderConfigDescriptor, DecoderSpecificInfo and SLConfigDescriptor (ISO/IEC 14496-1, 7.2.6). */
function esds(config: Part, trackId: number): Part {
  const descriptor = (tag: number, ...content: readonly Part[]): number[] => {
    const data = content.flatMap(part => [...part])
    return [
      tag,
      0x80 | (data.length >> 21),
      0x80 | ((data.length >> 14) & 127),
      0x80 | ((data.length >> 7) & 127),
      data.length & 127,
      ...data,
    ]
  }
  const decoder = descriptor(4, [0x40, 0x15], zeros(11), descriptor(5, config))
  return full('esds', 0, 0, descriptor(3, u16(trackId), [0], decoder, descriptor(6, [2])))
}

const matrix: Part = u32(0x1_0000, 0, 0, 0, 0x1_0000, 0, 0, 0, 0x4000_0000)

const box = (type: string, ...content: readonly Part[]): Uint8Array<ArrayBuffer> => {
  const size = content.reduce((sum, part) => sum + part.length, 8)
  return joinBytes([u32(size), ascii(type), ...content])
}

const full = (type: string, version: number, flags: number, ...content: readonly Part[]): Uint8Array =>
  box(type, u32(version * 0x100_0000 + flags), ...content)

const ascii = (text: string): number[] => [...text].map(character => character.charCodeAt(0))
const zeros = (count: number): number[] => Array.from({ length: count }, () => 0)

function u32(...values: readonly number[]): number[] {
  return values.flatMap(value => [
    (value >>> 24) & 255,
    (value >>> 16) & 255,
    (value >>> 8) & 255,
    value & 255,
  ])
}

/** A number of 64 bits, a safe integer. */
const u64 = (value: number): number[] => u32(Math.floor(value / 0x1_0000_0000), value >>> 0)

function u16(...values: readonly number[]): number[] {
  return values.flatMap(value => [(value >>> 8) & 255, value & 255])
}
