/**
 * The Movie Fragment box (ISO/IEC 14496-12 section 8.8.4): where the samples of the media data behind it lie.
 *   moof := mfhd traf*
 *   traf := tfhd tfdt? trun*          others, as for encryption and groups, are passed over
 * A run (trun, section 8.8.8) is a row of samples without a gap: a table whose columns are those that its flags name.
 */
import { ByteReader } from '../../core/bytes.ts'
import { FramelogError } from '../../errors.ts'
import { type Box, childOf, children, types, versionAndFlags } from './boxes.ts'
import type { Mp4Track, SampleDefaults } from './movie.ts'

const tfhdFlags = {
  baseDataOffset: 0x1,
  entry: 0x2,
  duration: 0x8,
  size: 0x10,
  flags: 0x20,
  baseIsMoof: 0x2_0000,
} as const
const trunFlags = {
  dataOffset: 0x1,
  firstFlags: 0x4,
  duration: 0x100,
  size: 0x200,
  flags: 0x400,
  compositionOffset: 0x800,
} as const
const columns = [trunFlags.duration, trunFlags.size, trunFlags.flags, trunFlags.compositionOffset]
/** Section 8.8.3.1. */
const isNonSync = 0x1_0000

/** A sample before its bytes: times in the track's ticks, before its edits. */
export interface PlannedSample {
  readonly track: Mp4Track
  /** Where in the stream its first byte lies. */
  readonly position: number
  readonly decodeTime: number
  readonly compositionOffset: number
  readonly duration: number
  readonly size: number
  readonly keyframe: boolean
}

const bad = (message: string): never => {
  throw new FramelogError('BAD_CONTAINER', message)
}

/** Samples of one track that lie behind each other, read from their table one by one. */
export class Run {
  readonly track: Mp4Track
  /** Where in the stream its first byte lies. */
  readonly position: number
  /** Bytes and ticks of all its samples. */
  readonly bytes: number
  readonly ticks: number
  readonly #table: Uint8Array
  readonly #flags: number
  readonly #firstFlags: number | undefined
  readonly #defaults: SampleDefaults
  readonly #count: number
  #reader: ByteReader
  #read = 0
  #at: number
  #decodeTime: number

  /** @param trun borrowed for as long as the run is read. @throws OutOfBytes, FramelogError BAD_CONTAINER */
  constructor(
    trun: Uint8Array,
    track: Mp4Track,
    defaults: SampleDefaults,
    place: { readonly base: number; readonly end: number; readonly decodeTime: number },
  ) {
    const reader = new ByteReader(trun)
    const { flags } = versionAndFlags(reader)
    this.track = track
    this.#defaults = defaults
    this.#flags = flags
    this.#count = reader.u32()
    this.position = (flags & trunFlags.dataOffset) !== 0 ? place.base + reader.i32() : place.end
    this.#firstFlags = (flags & trunFlags.firstFlags) !== 0 ? reader.u32() : undefined
    const row = 4 * columns.filter(column => (flags & column) !== 0).length
    this.#table = reader.bytes(this.#count * row)
    this.#reader = new ByteReader(this.#table)
    this.#at = this.position
    this.#decodeTime = place.decodeTime
    const sums = this.#sums(row)
    this.bytes = sums.bytes
    this.ticks = sums.ticks
    if (!Number.isSafeInteger(place.decodeTime + this.ticks)) bad('The time of a fragment is past 2^53')
  }

  /** @returns undefined behind the last sample; samples without bytes are passed over */
  next(): PlannedSample | undefined {
    // A count without a table costs its writer nothing: samples of no size are not looked for one by one.
    while (this.#read < this.#count && this.bytes > 0) {
      const reader = this.#reader
      const flags = this.#flags
      const duration = (flags & trunFlags.duration) !== 0 ? reader.u32() : this.#defaults.duration
      const size = (flags & trunFlags.size) !== 0 ? reader.u32() : this.#defaults.size
      const own = (flags & trunFlags.flags) !== 0 ? reader.u32() : this.#defaults.flags
      // Signed in version 1 only; but one past 2^31 in version 0 is negative too, by writers that knew no better.
      const compositionOffset = (flags & trunFlags.compositionOffset) !== 0 ? reader.i32() : 0
      const sampleFlags = this.#read === 0 ? (this.#firstFlags ?? own) : own
      const decodeTime = this.#decodeTime
      const position = this.#at
      this.#read += 1
      this.#decodeTime += duration
      this.#at += size
      if (size > 0)
        return {
          track: this.track,
          position,
          decodeTime,
          compositionOffset,
          duration,
          size,
          keyframe: (sampleFlags & isNonSync) === 0,
        }
    }
    return undefined
  }

  #sums(row: number): { bytes: number; ticks: number } {
    const { duration, size } = this.#defaults
    const bytes = (this.#flags & trunFlags.size) !== 0 ? 0 : this.#count * size
    const ticks = (this.#flags & trunFlags.duration) !== 0 ? 0 : this.#count * duration
    const sums = { bytes, ticks }
    if (row === 0) return sums
    const reader = new ByteReader(this.#table)
    for (let i = 0; i < this.#count; i++) {
      for (const column of columns) {
        if ((this.#flags & column) === 0) continue
        const value = reader.u32()
        if (column === trunFlags.duration) sums.ticks += value
        else if (column === trunFlags.size) sums.bytes += value
      }
    }
    return sums
  }
}

export interface FragmentPlace {
  /** Where in the stream the moof begins. */
  readonly moof: number
  /** Where in the stream its file begins, from which absolute offsets count. */
  readonly file: number
}

/**
 * @param times decode time behind the last sample of each track, for fragments that state none; brought up to date
 * @returns runs in the order of their bytes. @throws OutOfBytes, FramelogError BAD_CONTAINER
 */
export function parseFragment(
  data: Uint8Array,
  tracks: ReadonlyMap<number, Mp4Track>,
  times: Map<number, number>,
  place: FragmentPlace,
): Run[] {
  const runs: Run[] = []
  let end = place.moof
  for (const { type, data: traf } of children(data)) {
    if (type !== types.traf) continue
    const boxes = children(traf)
    const header = parseHeader(childOf(boxes, types.tfhd) ?? bad('A traf has no tfhd'), tracks)
    const base =
      header.offset !== undefined ? place.file + header.offset : header.baseIsMoof ? place.moof : end
    end = base
    let decodeTime = decodeTimeOf(boxes) ?? times.get(header.track.id) ?? 0
    for (const { type, data: trun } of boxes) {
      if (type !== types.trun) continue
      const run = new Run(trun, header.track, header.defaults, { base, end, decodeTime })
      end = run.position + run.bytes
      decodeTime += run.ticks
      if (run.bytes > 0) runs.push(run)
    }
    times.set(header.track.id, decodeTime)
  }
  return runs.sort((a, b) => a.position - b.position)
}

/** Section 8.8.7. */
function parseHeader(
  data: Uint8Array,
  tracks: ReadonlyMap<number, Mp4Track>,
): { track: Mp4Track; defaults: SampleDefaults; offset: number | undefined; baseIsMoof: boolean } {
  const reader = new ByteReader(data)
  const { flags } = versionAndFlags(reader)
  const id = reader.u32()
  const track = tracks.get(id) ?? bad(`A fragment is of track ${id}, which the moov does not have`)
  const offset = (flags & tfhdFlags.baseDataOffset) !== 0 ? reader.i64() : undefined
  const field = (flag: number, otherwise: number): number => ((flags & flag) !== 0 ? reader.u32() : otherwise)
  const defaults = {
    entry: field(tfhdFlags.entry, track.defaults.entry),
    duration: field(tfhdFlags.duration, track.defaults.duration),
    size: field(tfhdFlags.size, track.defaults.size),
    flags: field(tfhdFlags.flags, track.defaults.flags),
  }
  if (track.track !== undefined && defaults.entry !== track.defaults.entry)
    bad(`Track ${id} goes on with its sample entry ${defaults.entry}; begin a new stream instead`)
  return { track, defaults, offset, baseIsMoof: (flags & tfhdFlags.baseIsMoof) !== 0 }
}

/** Section 8.8.12. */
function decodeTimeOf(boxes: readonly Box[]): number | undefined {
  const data = childOf(boxes, types.tfdt)
  if (data === undefined) return undefined
  const reader = new ByteReader(data)
  return versionAndFlags(reader).version === 1 ? reader.i64() : reader.u32()
}
