/**
 * The record: how a frame, and what stands around it, is laid out in a log record.
 * `docs/record-format.md` is the same in words, with readers in other languages; `test/golden` holds records
 * that every later version must read.
 *
 * A frame's key is its track's name; so is that of timed data, which has no number. Keys of everything else begin with a
 * dot, which no track name does.
 * Header values are ASCII: decimal integers, or hexadecimal for the checksum.
 */
import { crc32 } from 'node:zlib'
import { decodeText, encodeText } from '../core/text.ts'
import type { Frame } from '../media/frame.ts'
import { addHops, type Hops, writtenHops } from '../media/hops.ts'
import { isDataTrackName, type TimedData, timedDataLimits } from '../media/timed-data.ts'
import { isTrackName, type Micros, type Millis, type Offset, type TrackName } from '../units.ts'
import type { Header, LogRecord, NewRecord } from './log.ts'

export const formatVersion = '1'

/** Which claim of which session wrote a record. */
export interface Claimed {
  /** Offset of the claim's session record. */
  readonly epoch: Offset
  /** 8 characters of a-z and 0-9. */
  readonly session: string
  /** Reading forward from here meets the catalog and the keyframe of the GOP that the record belongs to. */
  readonly start?: Offset
  /** Epoch under which that GOP began, where it was an earlier claim's: a session goes on within its GOP. */
  readonly startEpoch?: Offset
}

export interface FrameEntry extends Claimed {
  readonly kind: 'frame'
  readonly sequence: number
  readonly frame: Frame
}

export interface CatalogEntry extends Claimed {
  readonly kind: 'catalog'
  /** UTF-8 JSON of a Catalog; not checked here. */
  readonly catalog: Uint8Array
  /** The claim's, said again: retention may have removed the claim of a broadcast that goes on. */
  readonly resumeHash?: string
}

/** A claim: whoever appended the latest one holds the broadcast. Its epoch is the offset it gets. */
export interface SessionEntry {
  readonly kind: 'session'
  readonly session: string
  /** SHA-256 of the publisher's resume token, hexadecimal. */
  readonly resumeHash: string
  /** Tells this claim apart from every other. */
  readonly nonce: string
  /** Names the gateway that claims. */
  readonly gateway: string
}

/** Numbers `from` to `to` were dropped before the log and will never come. */
export interface GapEntry extends Claimed {
  readonly kind: 'gap'
  readonly from: number
  readonly to: number
  readonly reason: string
}

export interface EndEntry extends Claimed {
  readonly kind: 'end'
  readonly reason: string
}

/** Data beside the frames: whoever may write to the topic may write it, and no claim is needed. */
export interface DataEntry {
  readonly kind: 'data'
  readonly record: TimedData
}

export type WrittenEntry = FrameEntry | CatalogEntry | SessionEntry | GapEntry | EndEntry | DataEntry

/** What a reader skips: written by something else, by a later version, or damaged. */
export type SkippedEntry =
  | { readonly kind: 'unknown'; readonly reason: string }
  | { readonly kind: 'corrupt'; readonly reason: string }

export type Entry = WrittenEntry | SkippedEntry

export const controlKeys = { session: '.session', catalog: '.catalog', gap: '.gap', end: '.end' } as const

const checksum = (bytes: Uint8Array): string => crc32(bytes).toString(16).padStart(8, '0')

/** @returns a record that borrows the entry's bytes */
export function encodeEntry(entry: WrittenEntry, timestamp: Millis): NewRecord {
  const headers: Header[] = [['v', formatVersion]]
  if (entry.kind === 'session') {
    const { session, resumeHash, nonce, gateway } = entry
    const value = encodeText(JSON.stringify({ session, resumeHash, nonce, gateway }))
    return { key: controlKeys.session, value, headers, timestamp }
  }
  if (entry.kind === 'data') {
    const { track, moment, duration, data } = entry.record
    if (moment !== undefined) headers.push(['s', moment.session], ['t', String(moment.timestamp)])
    if (duration !== undefined) headers.push(['d', String(duration)])
    headers.push(['crc', checksum(data)])
    return { key: track, value: data, headers, timestamp }
  }
  headers.push(['s', entry.session], ['e', String(entry.epoch)])
  if (entry.start !== undefined) headers.push(['start', String(entry.start)])
  if (entry.startEpoch !== undefined) headers.push(['se', String(entry.startEpoch)])
  switch (entry.kind) {
    case 'frame': {
      const { frame } = entry
      headers.push(['n', String(entry.sequence)], ['t', String(frame.timestamp)])
      if (frame.duration !== undefined) headers.push(['d', String(frame.duration)])
      if (frame.decodeTimestamp !== undefined && frame.decodeTimestamp !== frame.timestamp) {
        headers.push(['dt', String(frame.decodeTimestamp)])
      }
      if (frame.keyframe) headers.push(['k', '1'])
      if (frame.capturedAt !== undefined) headers.push(['c', String(Math.round(frame.capturedAt))])
      if (frame.hops !== undefined) headers.push(['h', hopsText(frame.hops)])
      headers.push(['crc', checksum(frame.data)])
      return { key: frame.track, value: frame.data, headers, timestamp }
    }
    case 'catalog':
      if (entry.resumeHash !== undefined) headers.push(['rh', entry.resumeHash])
      headers.push(['crc', checksum(entry.catalog)])
      return { key: controlKeys.catalog, value: entry.catalog, headers, timestamp }
    case 'gap': {
      const { from, to, reason } = entry
      return {
        key: controlKeys.gap,
        value: encodeText(JSON.stringify({ from, to, reason })),
        headers,
        timestamp,
      }
    }
    case 'end':
      return {
        key: controlKeys.end,
        value: encodeText(JSON.stringify({ reason: entry.reason })),
        headers,
        timestamp,
      }
    default:
      return entry satisfies never
  }
}

/** Never throws: bytes of other writers are untrusted. The entry's bytes are the record's. */
export function decodeRecord(record: LogRecord): Entry {
  const fields = new Map<string, string>(record.headers)
  const version = fields.get('v')
  if (version === undefined) return unknown('no format version')
  if (version !== formatVersion) return unknown(`format version ${version.slice(0, 8)}`)
  if (record.key === controlKeys.session) return decodeSession(record.value)
  if (isDataTrackName(record.key) && !fields.has('e') && !fields.has('n')) return decodeData(record, fields)

  const epoch = integer(fields.get('e'))
  const session = fields.get('s')
  if (epoch === undefined || epoch < 0 || session === undefined || !sessionPattern.test(session)) {
    return unknown('no session or epoch')
  }
  const start = integer(fields.get('start'))
  const startEpoch = integer(fields.get('se'))
  const claimed: Claimed = {
    epoch: epoch as Offset,
    session,
    ...(start === undefined || start < 0 ? {} : { start: start as Offset }),
    ...(startEpoch === undefined || startEpoch < 0 ? {} : { startEpoch: startEpoch as Offset }),
  }
  const expected = fields.get('crc')
  if (expected !== undefined && expected !== checksum(record.value)) {
    return {
      kind: 'corrupt',
      reason: `checksum ${checksum(record.value)} where the header says ${expected.slice(0, 8)}`,
    }
  }

  switch (record.key) {
    case controlKeys.catalog: {
      const resumeHash = fields.get('rh')?.slice(0, 256)
      return {
        kind: 'catalog',
        ...claimed,
        catalog: record.value,
        ...(resumeHash === undefined ? {} : { resumeHash }),
      }
    }
    case controlKeys.gap:
      return decodeGap(record.value, claimed)
    case controlKeys.end:
      return { kind: 'end', ...claimed, reason: text(json(record.value)?.reason) }
    default:
      return decodeFrame(record, fields, claimed)
  }
}

function decodeFrame(record: LogRecord, fields: ReadonlyMap<string, string>, claimed: Claimed): Entry {
  if (!isTrackName(record.key)) return unknown('the key names no track')
  const sequence = integer(fields.get('n'))
  const timestamp = integer(fields.get('t'))
  if (sequence === undefined || timestamp === undefined) return unknown('no number or time')
  if (sequence < 0 || sequence > sequenceLimit) return unknown('a number that no frame has')
  if (record.value.byteLength === 0) return unknown('an empty frame')
  const duration = integer(fields.get('d'))
  if (duration !== undefined && duration < 0) return unknown('a negative duration')
  const decodeTimestamp = integer(fields.get('dt'))
  const capturedAt = integer(fields.get('c'))
  const hops = hopsOf(fields.get('h'))
  const frame: Frame = {
    track: record.key,
    timestamp: timestamp as Micros,
    keyframe: fields.get('k') === '1',
    data: record.value,
    ...(duration === undefined ? {} : { duration: duration as Micros }),
    ...(decodeTimestamp === undefined ? {} : { decodeTimestamp: decodeTimestamp as Micros }),
    ...(capturedAt === undefined ? {} : { capturedAt: capturedAt as Millis }),
    ...(hops === undefined ? {} : { hops }),
  }
  return { kind: 'frame', ...claimed, sequence, frame }
}

const hopsText = (hops: Hops): string => writtenHops.map(name => hops[name] ?? '-').join(' ')

/** A place that is none, or that a later version adds, is not known; it costs nobody the frame. */
function hopsOf(field: string | undefined): Hops | undefined {
  if (field === undefined) return undefined
  const [encoded, sent, received] = field.slice(0, 64).split(' ').map(integer)
  return addHops(undefined, { encoded, sent, received })
}

/** Damage here is no hole among the frames: the record is passed over, and no picture waits for a keyframe. */
function decodeData(record: LogRecord, fields: ReadonlyMap<string, string>): Entry {
  const { value } = record
  if (value.byteLength === 0 || value.byteLength > timedDataLimits.bytes)
    return unknown('data of no size that it may have')
  const expected = fields.get('crc')
  if (expected !== undefined && expected !== checksum(value)) return unknown('data with a wrong checksum')
  const session = fields.get('s')
  const timestamp = integer(fields.get('t'))
  if ((session === undefined) !== !fields.has('t')) return unknown('data with half a moment')
  if (session !== undefined && (timestamp === undefined || !sessionPattern.test(session)))
    return unknown('data with a moment that is none')
  const duration = integer(fields.get('d'))
  if (duration !== undefined && duration < 0) return unknown('a negative duration')
  return {
    kind: 'data',
    record: {
      track: record.key as TrackName,
      ...(session === undefined ? {} : { moment: { session, timestamp: timestamp as Micros } }),
      ...(duration === undefined ? {} : { duration: duration as Micros }),
      data: value,
    },
  }
}

/** Largest number of a frame: what follows it is still a safe integer. */
export const sequenceLimit = 2 ** 52

const sessionPattern = /^[a-z0-9]{8}$/

function decodeSession(value: Uint8Array): Entry {
  const { session, resumeHash, nonce, gateway } = json(value) ?? {}
  if (typeof session !== 'string' || !sessionPattern.test(session))
    return unknown('a session record without its id')
  return {
    kind: 'session',
    session,
    resumeHash: text(resumeHash),
    nonce: text(nonce),
    gateway: text(gateway),
  }
}

function decodeGap(value: Uint8Array, claimed: Claimed): Entry {
  const { from, to, reason } = json(value) ?? {}
  if (
    !Number.isSafeInteger(from) ||
    !Number.isSafeInteger(to) ||
    Number(from) < 0 ||
    Number(to) < Number(from) ||
    Number(to) > sequenceLimit
  ) {
    return unknown('a gap record without its numbers')
  }
  return { kind: 'gap', ...claimed, from: Number(from), to: Number(to), reason: text(reason) }
}

const unknown = (reason: string): Entry => ({ kind: 'unknown', reason })

const text = (value: unknown): string => (typeof value === 'string' ? value.slice(0, 256) : '')

function integer(field: string | undefined): number | undefined {
  if (field === undefined || !/^-?\d{1,16}$/.test(field)) return undefined
  const value = Number(field)
  return Number.isSafeInteger(value) ? value : undefined
}

function json(bytes: Uint8Array): Record<string, unknown> | undefined {
  if (bytes.byteLength > 64 * 1024) return undefined
  try {
    const value: unknown = JSON.parse(decodeText(bytes))
    return typeof value === 'object' && value !== null ? (value as Record<string, unknown>) : undefined
  } catch {
    return undefined
  }
}
