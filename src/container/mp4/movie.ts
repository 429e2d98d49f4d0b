/** The Movie box (ISO/IEC 14496-12 section 8.2.1): what tracks there are, and what their fragments leave unsaid. */
import { ByteReader } from '../../core/bytes.ts'
import { FramelogError } from '../../errors.ts'
import type { ContainerTrack } from '../announcer.ts'
import { type Box, childOf, children, fourCc, types, versionAndFlags } from './boxes.ts'
import { parseEntry } from './entry.ts'

/** What holds for a sample where nothing nearer to it says otherwise (section 8.8.3). */
export interface SampleDefaults {
  /** Index of the sample entry, from 1. */
  readonly entry: number
  /** Ticks. */
  readonly duration: number
  /** Bytes. */
  readonly size: number
  readonly flags: number
}

export interface Mp4Track {
  readonly id: number
  /** Undefined for what is neither picture nor sound: its samples are passed over. */
  readonly track: ContainerTrack | undefined
  /** Ticks of a second. */
  readonly timescale: number
  /** Ticks that its media begins before what is presented, and microseconds that the presentation waits for it. */
  readonly mediaTime: number
  readonly delay: number
  readonly defaults: SampleDefaults
}

const kinds: ReadonlyMap<number, 'video' | 'audio'> = new Map([
  [fourCc('vide'), 'video'],
  [fourCc('soun'), 'audio'],
])

const noDefaults: SampleDefaults = { entry: 1, duration: 0, size: 0, flags: 0 }

export const howToFragment = 'make it with ffmpeg -movflags frag_every_frame+delay_moov+default_base_moof'

const bad = (message: string): never => {
  throw new FramelogError('BAD_CONTAINER', message)
}

/** @throws OutOfBytes where a box is cut off; FramelogError BAD_CONTAINER, UNSUPPORTED_CODEC */
export function parseMovie(data: Uint8Array): Mp4Track[] {
  const boxes = children(data)
  const header = childOf(boxes, types.mvhd) ?? bad('The moov has no mvhd')
  const extends_ = childOf(boxes, types.mvex) ?? bad(`The MP4 is not fragmented: ${howToFragment}`)
  const defaults = parseDefaults(extends_)
  const timescale = timescaleOf(header)
  return boxes
    .filter(({ type }) => type === types.trak)
    .map(({ data }) => parseTrack(children(data), timescale, defaults))
}

/** Section 8.8.3: one trex for each track. */
function parseDefaults(data: Uint8Array): ReadonlyMap<number, SampleDefaults> {
  const found = new Map<number, SampleDefaults>()
  for (const { type, data: trex } of children(data)) {
    if (type !== types.trex) continue
    const reader = new ByteReader(trex)
    versionAndFlags(reader)
    const id = reader.u32()
    found.set(id, { entry: reader.u32(), duration: reader.u32(), size: reader.u32(), flags: reader.u32() })
  }
  return found
}

function parseTrack(
  boxes: readonly Box[],
  movieTimescale: number,
  defaults: ReadonlyMap<number, SampleDefaults>,
): Mp4Track {
  const id = idOf(childOf(boxes, types.tkhd) ?? bad('A track has no tkhd'))
  const media = children(childOf(boxes, types.mdia) ?? bad(`Track ${id} has no mdia`))
  const timescale = timescaleOf(childOf(media, types.mdhd) ?? bad(`Track ${id} has no mdhd`))
  const kind = kinds.get(handlerOf(childOf(media, types.hdlr) ?? bad(`Track ${id} has no hdlr`)))
  const own = defaults.get(id) ?? noDefaults
  return {
    id,
    track: kind === undefined ? undefined : trackOf(media, id, kind, own.entry),
    timescale,
    ...editsOf(childOf(boxes, types.edts), movieTimescale),
    defaults: own,
  }
}

function trackOf(media: readonly Box[], id: number, kind: 'video' | 'audio', entry: number): ContainerTrack {
  const information = children(childOf(media, types.minf) ?? bad(`Track ${id} has no minf`))
  const table = children(childOf(information, types.stbl) ?? bad(`Track ${id} has no stbl`))
  const times = childOf(table, types.stts)
  // A writer that was not told to leave the moov empty puts the samples of its first fragment there.
  if (times !== undefined && entriesOf(times) > 0)
    bad(`The moov of the MP4 lists samples of its own: ${howToFragment}`)
  const descriptions = childOf(table, types.stsd) ?? bad(`Track ${id} has no stsd`)
  const entries = children(descriptions.subarray(8))
  return parseEntry(entries[entry - 1] ?? bad(`Track ${id} has no sample entry ${entry}`), id, kind)
}

function entriesOf(data: Uint8Array): number {
  const reader = new ByteReader(data)
  versionAndFlags(reader)
  return reader.u32()
}

/** Section 8.3.2: the times before the id have 32 bits, or 64 in version 1. */
function idOf(data: Uint8Array): number {
  const reader = new ByteReader(data)
  reader.bytes(versionAndFlags(reader).version === 1 ? 16 : 8)
  return reader.u32()
}

/** Sections 8.2.2 and 8.4.2, which begin alike. */
function timescaleOf(data: Uint8Array): number {
  const reader = new ByteReader(data)
  reader.bytes(versionAndFlags(reader).version === 1 ? 16 : 8)
  return reader.u32() || bad('A timescale is 0')
}

function handlerOf(data: Uint8Array): number {
  const reader = new ByteReader(data)
  reader.bytes(8)
  return reader.u32()
}

/**
 * Section 8.6.6: empty edits make a track wait, and the first edit that shows media says with which tick of it. What may
 * follow that edit would cut the media in pieces, which a live stream is not.
 */
function editsOf(edts: Uint8Array | undefined, movieTimescale: number): { mediaTime: number; delay: number } {
  const list = edts && childOf(children(edts), types.elst)
  if (list === undefined) return { mediaTime: 0, delay: 0 }
  const reader = new ByteReader(list)
  const { version } = versionAndFlags(reader)
  let delay = 0
  for (let left = reader.u32(); left > 0; left--) {
    const duration = version === 1 ? reader.i64() : reader.u32()
    const mediaTime = version === 1 ? reader.i64() : reader.i32()
    reader.u32()
    if (mediaTime >= 0) return { mediaTime, delay }
    delay += toMicros(duration, movieTimescale)
  }
  return { mediaTime: 0, delay }
}

/** Microseconds, not rounded: whole seconds apart, since ticks times a million pass 2^53. */
export function toMicros(ticks: number, timescale: number): number {
  const seconds = Math.floor(ticks / timescale)
  return seconds * 1_000_000 + ((ticks - seconds * timescale) * 1_000_000) / timescale
}
