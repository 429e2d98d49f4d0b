/** Where to begin reading a topic: random access by the `start` that records carry, without any index. */
import type { Bounds, Chunk, Log, LogRecord, Topic } from '../log/log.ts'
import { floorOf } from '../log/reader-rule.ts'
import { decodeRecord, type SessionEntry } from '../log/record.ts'
import type { Millis, Offset } from '../units.ts'
import type { Position } from './position.ts'
import { RecordStream } from './stream.ts'

export interface EntryPoint {
  readonly from: Offset
  /** What was asked for: what is before it is needed only to decode what comes. */
  readonly wanted?: Offset
  /** Lowest epoch that can count; see the readers' rule. */
  readonly floor?: Offset
}

/** Records looked at, back from the end or on from a position, in search of one that carries a `start`. */
const lookBack = [1, 64, 1024, 8192] as const
const lookOn = 8192
/** Of one read. */
export const probeBytes = 1024 * 1024
/** Bytes read in one search: records of a track that is not ours carry no `start`, and may be large. */
export const searchBytes = 32 * 1024 * 1024

/** Where to begin a replay; undefined to join live. @param isOver no frame follows what is there */
export async function entryPointOf(
  log: Log,
  topic: Topic,
  position: Position,
  isOver: boolean,
): Promise<EntryPoint | undefined> {
  switch (position.kind) {
    case 'live':
      return isOver ? { from: (await log.bounds(topic)).first } : undefined
    case 'start':
      return { from: (await log.bounds(topic)).first }
    case 'time':
      return gopAtTime(log, topic, position.time)
    case 'offset':
      return gopAt(log, topic, position.offset)
    default:
      return position satisfies never
  }
}

/** Where to begin a replay with the last keyframe before a position, or the first one behind it. */
export async function keyframeBeside(
  log: Log,
  topic: Topic,
  position: Position,
  step: -1 | 1,
  isOver: boolean,
): Promise<EntryPoint> {
  const { first, next } = await log.bounds(topic)
  const at = Math.min(Math.max(await offsetOf(log, topic, position, { first, next }), first), next) as Offset
  // Where none follows and none will, the last one is as far as it goes.
  if (step > 0 && !(isOver && (await isLastGop(log, topic, at, next))))
    return { from: Math.min(at + 1, next) as Offset }
  return keyframeBefore(log, topic, step > 0 ? next : at, first)
}

async function keyframeBefore(log: Log, topic: Topic, at: Offset, first: Offset): Promise<EntryPoint> {
  let before = at
  // The GOP of the record just before may open at the position itself.
  for (let i = 0; i < 3 && before > first; i++) {
    const point = await gopAt(log, topic, (before - 1) as Offset)
    const keyframe = await lastKeyframe(log, topic, point, at)
    if (keyframe !== undefined) return { ...point, wanted: keyframe }
    before = point.from
  }
  return { from: first }
}

/** Whether no keyframe of the main track lies behind an offset. */
async function isLastGop(log: Log, topic: Topic, at: Offset, next: Offset): Promise<boolean> {
  const point = await gopAt(log, topic, at)
  for await (const keyframe of keyframes(log, topic, point, next)) if (keyframe > at) return false
  return true
}

async function offsetOf(
  log: Log,
  topic: Topic,
  position: Position,
  { first, next }: Bounds,
): Promise<Offset> {
  switch (position.kind) {
    case 'live':
      return next
    case 'start':
      return first
    case 'time':
      return log.offsetAt(topic, position.time)
    case 'offset':
      return position.offset
    default:
      return position satisfies never
  }
}

async function lastKeyframe(
  log: Log,
  topic: Topic,
  point: EntryPoint,
  before: Offset,
): Promise<Offset | undefined> {
  let last: Offset | undefined
  for await (const keyframe of keyframes(log, topic, point, before)) last = keyframe
  return last
}

/** Offsets of the main track's keyframes from a point on and before an offset: no more is read than is asked for. */
async function* keyframes(log: Log, topic: Topic, point: EntryPoint, before: Offset): AsyncGenerator<Offset> {
  const stream = new RecordStream(point.floor)
  let bytes = 0
  for (let at = point.from; at < before && bytes < searchBytes; ) {
    const chunk = await log.read(topic, at, probeBytes)
    for (const met of stream.read(chunk))
      if ('opensGop' in met && met.opensGop && met.record.offset < before) yield met.record.offset
    if (chunk.next <= at) break
    at = chunk.next
    bytes += bytesOf(chunk)
  }
}

/**
 * Where to read from so that the newest GOP comes whole. Where none is found near the end, whoever published has been
 * silent for all that came since: it is read from there, and not from the beginning of what may be hours.
 */
export async function newestGop(log: Log, topic: Topic): Promise<EntryPoint> {
  const { first, next } = await log.bounds(topic)
  const { point, from } = await lastPoint(log, topic, first, next)
  return point ?? { from }
}

/** Where to read from so that the first frame at or after an offset can be decoded. */
async function gopAt(log: Log, topic: Topic, wanted: Offset): Promise<EntryPoint> {
  const { first, next } = await log.bounds(topic)
  const from = Math.min(Math.max(wanted, first), next) as Offset
  if (from === first) return { from: first }
  let bytes = 0
  for (let at = from; at < next && at - from < lookOn && bytes < searchBytes; ) {
    // Mostly the first record tells: a megabyte of them takes many times as long to read.
    const chunk = await log.read(topic, at, at === from ? 1 : probeBytes)
    for (const record of chunk.records) {
      const point = pointOf(record, first)
      if (point) return point.from <= from ? { ...point, wanted: from } : { from }
    }
    if (chunk.next <= at) break
    at = chunk.next
    bytes += bytesOf(chunk)
  }
  // Nothing but claims and other programs' records: the frames to come may belong to the GOP before the position.
  const { point } = await lastPoint(log, topic, first, from)
  return point ? { ...point, wanted: from } : { from }
}

/** The same by time: the first record stamped at or after it. */
async function gopAtTime(log: Log, topic: Topic, time: Millis): Promise<EntryPoint> {
  return gopAt(log, topic, await log.offsetAt(topic, time))
}

/** The claim at an epoch, where retention has left it. */
export async function claimAt(log: Log, topic: Topic, epoch: Offset): Promise<SessionEntry | undefined> {
  const { first } = await log.bounds(topic)
  if (epoch < first) return undefined
  const { records } = await log.read(topic, epoch, 1)
  const [record] = records
  if (record === undefined || record.offset !== epoch) return undefined
  const entry = decodeRecord(record)
  return entry.kind === 'session' ? entry : undefined
}

function pointOf(record: LogRecord, first: Offset): EntryPoint | undefined {
  const entry = decodeRecord(record)
  if (!('start' in entry) || entry.start === undefined || entry.start > record.offset) return undefined
  return { from: Math.max(entry.start, first) as Offset, floor: floorOf(entry) }
}

interface Search {
  readonly point?: EntryPoint
  /** All from here on was looked at. */
  readonly from: Offset
}

/** Of the last record before an offset that carries a `start`, where there is one not too far back. */
async function lastPoint(log: Log, topic: Topic, first: Offset, before: Offset): Promise<Search> {
  let budget = searchBytes
  let looked = before
  for (const back of lookBack) {
    const from = Math.max(first, before - back) as Offset
    let point: EntryPoint | undefined
    for (let at = from; at < before && budget > 0; ) {
      const chunk = await log.read(topic, at, probeBytes)
      for (const record of chunk.records) if (record.offset < before) point = pointOf(record, first) ?? point
      if (chunk.next <= at) break
      at = chunk.next
      budget -= bytesOf(chunk)
    }
    // Where time was short it may not be the last one: a lower bound, too.
    if (point !== undefined) return { point, from }
    if (budget <= 0) break
    looked = from
    if (from === first) break
  }
  return { from: looked }
}

export const bytesOf = ({ records }: Chunk): number =>
  records.reduce((sum, { value }) => sum + value.byteLength, 0)
