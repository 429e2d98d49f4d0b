/** Writes boxes of ISO base media files in every form that they allow, also such as no muxer writes. */
import { concat } from './containers.ts'

export const latin1 = (text: string): Uint8Array =>
  Uint8Array.from(text, character => character.charCodeAt(0))

export function u16(...values: readonly number[]): Uint8Array {
  return Uint8Array.from(values.flatMap(value => [(value >> 8) & 255, value & 255]))
}

/** Also of negative numbers. */
export function u32(...values: readonly number[]): Uint8Array {
  const bytes = new Uint8Array(values.length * 4)
  const view = new DataView(bytes.buffer)
  for (const [i, value] of values.entries()) view.setUint32(i * 4, value >>> 0)
  return bytes
}

export function u64(value: number | bigint): Uint8Array {
  const bytes = new Uint8Array(8)
  new DataView(bytes.buffer).setBigUint64(0, BigInt.asUintN(64, BigInt(value)))
  return bytes
}

export function box(type: string, ...data: readonly Uint8Array[]): Uint8Array {
  const size = data.reduce((sum, { byteLength }) => sum + byteLength, 8)
  return concat(u32(size), latin1(type), ...data)
}

/** The same with its size in 64 bits. */
export function largeBox(type: string, ...data: readonly Uint8Array[]): Uint8Array {
  const size = data.reduce((sum, { byteLength }) => sum + byteLength, 16)
  return concat(u32(1), latin1(type), u64(size), ...data)
}

/** The same without a size: it goes on to the end of the stream. */
export const endlessBox = (type: string, ...data: readonly Uint8Array[]): Uint8Array =>
  concat(u32(0), latin1(type), ...data)

/** A header alone, which states a size that nothing stands for. */
export const boxHeader = (type: string, size: number): Uint8Array =>
  size > 0xffff_ffff ? concat(u32(1), latin1(type), u64(size)) : concat(u32(size), latin1(type))

export const fullBox = (
  type: string,
  version: number,
  flags: number,
  ...data: readonly Uint8Array[]
): Uint8Array => box(type, u32(version * 0x100_0000 + flags), ...data)

export const ftyp = (): Uint8Array => box('ftyp', latin1('isom'), u32(512), latin1('isomiso6'))

export interface TrackOptions {
  readonly id: number
  readonly handler?: 'vide' | 'soun' | 'text'
  readonly timescale?: number
  /** Replaces the sample entry of VP8 or Opus. */
  readonly entry?: Uint8Array
  readonly edits?: Uint8Array
  /** Version of tkhd and mdhd. */
  readonly version?: 0 | 1
  /** Samples that the moov itself lists. */
  readonly listed?: number
}

export function visualEntry(type: string, ...boxes: readonly Uint8Array[]): Uint8Array {
  const fixed = new Uint8Array(78)
  fixed.set(u16(1), 6)
  fixed.set(u16(320, 180), 24)
  return box(type, fixed, ...boxes)
}

export function soundEntry(type: string, ...boxes: readonly Uint8Array[]): Uint8Array {
  const fixed = new Uint8Array(28)
  fixed.set(u16(1), 6)
  fixed.set(u16(2, 16), 16)
  fixed.set(u16(48_000), 24)
  return box(type, fixed, ...boxes)
}

export const dOps = (channels: number, ...mapping: readonly number[]): Uint8Array =>
  box(
    'dOps',
    Uint8Array.of(0, channels),
    u16(312),
    u32(48_000),
    u16(0),
    Uint8Array.from(mapping.length === 0 ? [0] : mapping),
  )

/** A descriptor of ISO/IEC 14496-1, its size in as many bytes as asked for. */
export function descriptor(tag: number, width: number, ...data: readonly Uint8Array[]): Uint8Array {
  const content = concat(...data)
  const size = Array.from({ length: width }, (_, i) => {
    const bits = (content.byteLength >> (7 * (width - 1 - i))) & 127
    return i === width - 1 ? bits : bits | 128
  })
  return concat(Uint8Array.of(tag), Uint8Array.from(size), content)
}

const filled = (length: number): Uint8Array => new Uint8Array(length)

export function trak(options: TrackOptions): Uint8Array {
  const { id, handler = 'vide', timescale = 90_000, edits, version = 0, listed = 0 } = options
  const entry =
    options.entry ??
    (handler === 'soun' ? soundEntry('Opus', dOps(2)) : visualEntry(handler === 'text' ? 'wvtt' : 'vp08'))
  const times = filled(version === 1 ? 16 : 8)
  const stbl = box(
    'stbl',
    fullBox('stsd', 0, 0, u32(1), entry),
    fullBox('stts', 0, 0, listed === 0 ? u32(0) : u32(1, listed, 3000)),
    fullBox('stsc', 0, 0, u32(0)),
    fullBox('stsz', 0, 0, u32(0, 0)),
    fullBox('stco', 0, 0, u32(0)),
  )
  return box(
    'trak',
    fullBox('tkhd', version, 3, times, u32(id), filled(version === 1 ? 72 : 68)),
    ...(edits === undefined ? [] : [box('edts', edits)]),
    box(
      'mdia',
      fullBox('mdhd', version, 0, times, u32(timescale), filled(version === 1 ? 12 : 8)),
      fullBox('hdlr', 0, 0, u32(0), latin1(handler), filled(13)),
      box('minf', stbl),
    ),
  )
}

/** An edit list. @param edits duration in ticks of the movie (1,000 a second), media time in the track's */
export const elst = (version: 0 | 1, ...edits: readonly (readonly [number, number])[]): Uint8Array =>
  fullBox(
    'elst',
    version,
    0,
    u32(edits.length),
    ...edits.flatMap(([duration, time]) =>
      version === 1 ? [u64(duration), u64(time), u32(0x1_0000)] : [u32(duration, time, 0x1_0000)],
    ),
  )

export interface TrexOptions {
  readonly duration?: number
  readonly size?: number
  readonly flags?: number
  readonly entry?: number
}

export const trex = (
  id: number,
  { duration = 0, size = 0, flags = 0, entry = 1 }: TrexOptions = {},
): Uint8Array => fullBox('trex', 0, 0, u32(id, entry, duration, size, flags))

export const moov = (traks: readonly TrackOptions[], trexes: readonly Uint8Array[] = []): Uint8Array =>
  box(
    'moov',
    fullBox('mvhd', 0, 0, filled(8), u32(1000), filled(84)),
    ...traks.map(trak),
    box('mvex', ...(trexes.length > 0 ? trexes : traks.map(({ id }) => trex(id)))),
  )

export interface Sample {
  readonly data: Uint8Array
  readonly duration?: number
  readonly offset?: number
  readonly keyframe?: boolean
}

export const syncFlags = (keyframe: boolean): number => (keyframe ? 0x200_0000 : 0x101_0000)

/** A fragment of one track, with every column in its table. */
export function fragment(id: number, decodeTime: number, samples: readonly Sample[]): Uint8Array {
  const rows = samples.map(({ data, duration = 3000, offset = 0, keyframe = true }) =>
    u32(duration, data.byteLength, syncFlags(keyframe), offset),
  )
  const build = (offset: number): Uint8Array =>
    box(
      'moof',
      fullBox('mfhd', 0, 0, u32(1)),
      box(
        'traf',
        fullBox('tfhd', 0, 0x2_0000, u32(id)),
        fullBox('tfdt', 1, 0, u64(decodeTime)),
        fullBox('trun', 1, 0xf01, u32(samples.length, offset), ...rows),
      ),
    )
  const head = build(build(0).byteLength + 8)
  return concat(head, box('mdat', ...samples.map(({ data }) => data)))
}
