/**
 * MP4 in fragments, with an index in front (ISO/IEC 14496-12): ftyp, moov, sidx, and for each part a moof with a run for each track,
 * and an mdat. An edit list says where the presentation begins. Ticks are microseconds.
 */
import { ByteWriter, joinBytes } from '../../core/bytes.ts'
import { parseCodec } from '../../media/codec.ts'
import { movieHeaderOf } from '../mp4/movie-header.ts'
import type { ClipFormat, ClipFrame, ClipPlan } from './clip.ts'

const sizes = { box: 8, mfhd: 16, tfhd: 16, tfdt: 20, trun: 20, sample: 16, sidx: 40, reference: 12 } as const

/** Section 8.8.3.1: depends on others and is no point to begin at, or depends on none. */
const sampleFlags = { delta: 0x0101_0000, key: 0x0200_0000 } as const

const timescale = 1_000_000

export const mp4Clip: ClipFormat = {
  mimeType: 'video/mp4',
  holds: ({ codec }) => parseCodec(codec).family !== 'unknown',
  // A duration in sidx has 32 bits.
  longest: 600_000,
  // Their number has 16.
  parts: 60_000,
  isExact: true,
  header: plan => joinBytes([movieHeaderOf(plan.tracks, plan), index(plan)]),
  sizeOf: frames => moofSize(runsOf(frames)) + sizes.box + bytesOf(frames),
  part(frames, number) {
    const runs = runsOf(frames)
    const moof = moofSize(runs)
    const writer = new ByteWriter(moof + sizes.box + bytesOf(frames))
    writer.u32(moof).latin1('moof')
    writer
      .u32(sizes.mfhd)
      .latin1('mfhd')
      .u32(0)
      .u32(number + 1)
    let offset = moof + sizes.box
    for (const { track, frames: run } of runs) {
      writeRun(writer, track, run, offset)
      offset += bytesOf(run)
    }
    writer.u32(sizes.box + bytesOf(frames)).latin1('mdat')
    for (const { frames: run } of runs) for (const { data } of run) writer.bytes(data)
    return writer.finish()
  },
}

interface TrackRun {
  readonly track: number
  readonly frames: readonly ClipFrame[]
}

/** By their tracks. */
function runsOf(frames: readonly ClipFrame[]): TrackRun[] {
  const runs = new Map<number, ClipFrame[]>()
  for (const frame of frames) {
    const run = runs.get(frame.track)
    if (run === undefined) runs.set(frame.track, [frame])
    else run.push(frame)
  }
  return [...runs].map(([track, frames]) => ({ track, frames })).sort((a, b) => a.track - b.track)
}

const bytesOf = (frames: readonly ClipFrame[]): number =>
  frames.reduce((sum, { data }) => sum + data.byteLength, 0)

const trafSize = ({ frames }: TrackRun): number =>
  sizes.box + sizes.tfhd + sizes.tfdt + sizes.trun + sizes.sample * frames.length

const moofSize = (runs: readonly TrackRun[]): number =>
  sizes.box + sizes.mfhd + runs.reduce((sum, run) => sum + trafSize(run), 0)

function writeRun(writer: ByteWriter, track: number, frames: readonly ClipFrame[], offset: number): void {
  const trun = sizes.trun + sizes.sample * frames.length
  writer.u32(trafSize({ track, frames })).latin1('traf')
  // Offsets count from the moof.
  writer
    .u32(sizes.tfhd)
    .latin1('tfhd')
    .u32(0x02_0000)
    .u32(track + 1)
  writer
    .u32(sizes.tfdt)
    .latin1('tfdt')
    .u32(0x0100_0000)
    .i64(frames[0]?.decodeTimestamp ?? 0)
  // Version 1: signed offsets; data offset, then duration, size, flags and offset of each sample.
  writer.u32(trun).latin1('trun').u32(0x0100_0f01).u32(frames.length).u32(offset)
  frames.forEach(({ timestamp, decodeTimestamp, duration, keyframe, data }, i) => {
    const next = frames[i + 1]?.decodeTimestamp
    // A sample lasts until the next one is decoded.
    const lasts = next === undefined ? duration : next - decodeTimestamp
    writer
      .u32(Math.max(0, Math.min(lasts, 0xffff_ffff)))
      .u32(data.byteLength)
      .u32(keyframe ? sampleFlags.key : sampleFlags.delta)
      .u32((timestamp - decodeTimestamp) >>> 0)
  })
}

/** Section 8.16.3: where each part lies, from the end of this box on. */
function index({ parts }: ClipPlan): Uint8Array {
  const size = sizes.sidx + sizes.reference * parts.length
  const writer = new ByteWriter(size)
    .u32(size)
    .latin1('sidx')
    .u32(0x0100_0000)
    .u32(1)
    .u32(timescale)
    .i64(parts[0]?.start ?? 0)
    .i64(0)
    .u32(parts.length)
  for (const { size, duration, isKey } of parts)
    writer
      .u32(size)
      .u32(duration)
      .u32(isKey ? 0x9000_0000 : 0)
  return writer.finish()
}
