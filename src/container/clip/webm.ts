/**
 * WebM with its duration and index in front (RFC 9559): EBML header, Segment of known size, Info, Tracks, Cues, and a Cluster for each
 * part. Ticks are milliseconds, as players expect.
 */
import { joinBytes } from '../../core/bytes.ts'
import { parseCodec } from '../../media/codec.ts'
import { ids } from '../webm/ebml.ts'
import {
  bytesOfId,
  ebmlHeader,
  element,
  float,
  type Part,
  text,
  trackEntry,
  unsigned,
  vint,
} from '../webm/elements.ts'
import type { ClipFormat, ClipFrame, ClipPart, ClipPlan } from './clip.ts'

const nanosecondsOfTick = 1_000_000

const held: ReadonlySet<string> = new Set(['vp8', 'vp9', 'av1', 'opus'])

export const webmClip: ClipFormat = {
  mimeType: 'video/webm',
  holds: ({ codec }) => held.has(parseCodec(codec).family),
  // A block's time within its Cluster has 16 bits, with a sign.
  longest: 30_000,
  parts: 200_000,
  isExact: false,
  header,
  sizeOf: (frames, origin) => {
    const { size } = clusterOf(frames, origin)
    return size
  },
  part(frames, _index, origin) {
    const { parts } = clusterOf(frames, origin)
    return joinBytes(parts)
  },
}

const ticks = (micros: number, origin: number): number => Math.max(0, Math.round((micros - origin) / 1000))

/** A size in eight bytes: what it is, is known only behind what it counts. */
const longVint = (size: number): number[] => [
  ...[1, 0, Math.floor(size / 2 ** 40) & 255, Math.floor(size / 2 ** 32) & 255],
  ...[(size >>> 24) & 255, (size >>> 16) & 255, (size >>> 8) & 255, size & 255],
]

function clusterOf(frames: readonly ClipFrame[], origin: number): { size: number; parts: Part[] } {
  const begin = Math.min(...frames.map(({ timestamp }) => ticks(timestamp, origin)))
  const blocks: Part[] = [unsigned(ids.timestamp, begin)]
  for (const { track, timestamp, keyframe, data } of frames) {
    const time = ticks(timestamp, origin) - begin
    const head = [0x80 | (track + 1), (time >> 8) & 255, time & 255, keyframe ? 0x80 : 0]
    blocks.push([...bytesOfId(ids.simpleBlock), ...vint(head.length + data.byteLength), ...head], data)
  }
  const length = blocks.reduce((sum, part) => sum + part.length, 0)
  const parts = [[...bytesOfId(ids.cluster), ...longVint(length)], ...blocks]
  return { size: length + 12, parts }
}

function header(plan: ClipPlan): Uint8Array {
  const { tracks, parts, origin, duration } = plan
  const info = element(ids.info, [
    unsigned(ids.timestampScale, nanosecondsOfTick),
    element(ids.duration, [float(duration / 1000)]),
    text(ids.muxingApp, 'framelog'),
    text(ids.writingApp, 'framelog'),
  ])
  const entries = element(
    ids.tracks,
    tracks.map(({ track, config }, i) => trackEntry(track, config, i + 1)),
  )
  const before = info.byteLength + entries.byteLength
  const clusters = parts.reduce((sum, { size }) => sum + size, 0)
  // Where a cluster lies depends on the size of the cues, and that on nothing: their fields are as long as can be.
  const cues = cuesOf(parts, origin, before)
  const segment = [...bytesOfId(ids.segment), ...longVint(before + cues.byteLength + clusters)]
  return joinBytes([ebmlHeader(), segment, info, entries, cues])
}

/** Time and place of each part that begins with a keyframe. @param before bytes of the Segment's data before the cues */
function cuesOf(parts: readonly ClipPart[], origin: number, before: number): Uint8Array {
  const keyed = parts.filter(({ isKey }) => isKey).length
  let position = before + keyed * cueBytes + 12
  const points: Part[] = []
  for (const { start, size, isKey } of parts) {
    if (isKey) points.push(cuePoint(ticks(start, origin), position))
    position += size
  }
  return joinBytes([[...bytesOfId(ids.cues), ...longVint(keyed * cueBytes)], ...points])
}

const fixed = (id: number, value: number): number[] => [
  ...bytesOfId(id),
  0x88,
  ...longVint(value).map((byte, i) => (i === 0 ? 0 : byte)),
]

function cuePoint(time: number, position: number): Part {
  const positions = [...[...bytesOfId(ids.cueTrack), 0x81, 1], ...fixed(ids.cueClusterPosition, position)]
  const inner = [
    ...fixed(ids.cueTime, time),
    ...[...bytesOfId(ids.cueTrackPositions), ...vint(positions.length), ...positions],
  ]
  return [...bytesOfId(ids.cuePoint), ...vint(inner.length), ...inner]
}

const cueBytes = cuePoint(0, 0).length
