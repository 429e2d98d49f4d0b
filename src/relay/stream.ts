/**
 * Turns the records of one topic, read in order, into what viewers are sent: applies the readers' rule, drops what
 * repeats, and tells of what is missing. Live relay and replays each have one, so both show the same.
 */
import { FramelogError } from '../errors.ts'
import type { Chunk, Damage, LogRecord } from '../log/log.ts'
import { floorOf, ReaderRule } from '../log/reader-rule.ts'
import {
  type CatalogEntry,
  type DataEntry,
  decodeRecord,
  type Entry,
  type FrameEntry,
} from '../log/record.ts'
import { type Catalog, mainTrack, parseCatalog } from '../media/catalog.ts'
import type { Moment } from '../media/timed-data.ts'
import type { Millis, Offset, TrackName } from '../units.ts'
import { Packet } from './packet.ts'

export interface Accepted {
  readonly entry: Entry
  readonly record: LogRecord
  /** What viewers get of it, where they get anything. */
  readonly packet: Packet | undefined
  /** Whether a GOP begins with it. */
  readonly opensGop: boolean
  /** Whether it is a frame beside the main track that decodes alone: sound, mostly. */
  readonly standsAlone: boolean
  /** Numbers before its own that do not count and that no gap names: they were lost. */
  readonly hole: Hole | undefined
}

export interface Claimant {
  readonly session: string
  readonly resumeHash: string
}

export interface Hole {
  readonly from: number
  readonly to: number
  readonly packet: Packet
}

/** Records that are there and cannot be read: what they were is not known. */
export interface Damaged {
  readonly damage: Damage
  readonly packet: Packet
}

export class RecordStream {
  readonly rule: ReaderRule
  /** Where the GOP begins that the newest frame belongs to. */
  gop: { readonly start: Offset; readonly epoch: Offset } | undefined
  /** Who made the newest claim that a claim or a catalog told of. */
  claimant: Claimant | undefined
  /** Timestamp of the newest record that counted, timed data aside: that tells nothing of the publisher. */
  time: Millis | undefined
  /** Where the newest frame of the main track stands. */
  newest: Offset | undefined
  /** The newest catalog, as viewers are sent it. */
  catalog: Packet | undefined
  #catalogBytes: Uint8Array | undefined
  #main: TrackName | undefined
  /** Of the newest frame of the main track. */
  #moment: Moment | undefined

  /** @param floor the lowest epoch that can count */
  constructor(floor?: Offset) {
    this.rule = new ReaderRule(floor)
  }

  /** What counts in a chunk, and what cannot be read, in the order of their offsets. */
  *read({ records, damaged = [] }: Chunk): Generator<Accepted | Damaged> {
    let passed = 0
    for (const record of records) {
      for (let span = damaged[passed]; span && span.from < record.offset; span = damaged[++passed])
        yield this.#damage(span)
      const taken = this.#take(record)
      if (taken !== undefined) yield taken
    }
    for (const span of damaged.slice(passed)) yield this.#damage(span)
  }

  /** @returns undefined for a record that does not count */
  take(record: LogRecord): Accepted | undefined {
    const taken = this.#take(record)
    return taken && 'entry' in taken ? taken : undefined
  }

  #take(record: LogRecord): Accepted | Damaged | undefined {
    const entry = decodeRecord(record)
    if (entry.kind === 'corrupt')
      return this.#damage({ from: record.offset, next: (record.offset + 1) as Offset })
    const last = 'epoch' in entry ? this.rule.lastSequence(entry.session) : -1
    if (this.rule.judge(record.offset, entry) !== 'accepted') return undefined
    const accepted = this.#accept(entry, record)
    return { ...accepted, hole: holeBefore(entry, last) }
  }

  #damage(damage: Damage): Damaged {
    // A catalog may be in it: the next one is news, be it the same.
    this.#catalogBytes = undefined
    const packet = new Packet({ type: 'gap', frames: 0, reason: 'stored records are damaged' })
    return { damage, packet }
  }

  #accept(entry: Entry, record: LogRecord): Omit<Accepted, 'hole'> {
    if (entry.kind === 'data') return this.#data(entry, record)
    if (this.time === undefined || record.timestamp > this.time) this.time = record.timestamp
    if ('start' in entry && entry.start !== undefined)
      this.gop = { start: entry.start, epoch: floorOf(entry) }
    switch (entry.kind) {
      case 'session':
        this.claimant = entry
        return { entry, record, packet: undefined, opensGop: false, standsAlone: false }
      case 'frame':
        return this.#frame(entry, record)
      case 'catalog':
        if (entry.resumeHash !== undefined)
          this.claimant = { session: entry.session, resumeHash: entry.resumeHash }
        return { entry, record, packet: this.#newCatalog(entry), opensGop: false, standsAlone: false }
      case 'gap': {
        const frames = entry.to - entry.from + 1
        const packet = new Packet({ type: 'gap', frames, reason: entry.reason })
        return { entry, record, packet, opensGop: false, standsAlone: false }
      }
      case 'end':
        // What comes after an end begins with a catalog again, be it the same.
        this.#catalogBytes = undefined
        return {
          entry,
          record,
          packet: new Packet({ type: 'end', reason: entry.reason }),
          opensGop: false,
          standsAlone: false,
        }
      default:
        return { entry, record, packet: undefined, opensGop: false, standsAlone: false }
    }
  }

  #frame(entry: FrameEntry, record: LogRecord): Omit<Accepted, 'hole'> {
    const { sequence, session } = entry
    const frame = { ...entry.frame, sequence }
    const packet = new Packet({
      type: 'frame',
      frame,
      session,
      offset: record.offset,
      time: record.timestamp,
    })
    const isMain = frame.track === this.#main
    if (isMain) {
      this.newest = record.offset
      this.#moment = { session, timestamp: frame.timestamp }
    }
    return {
      entry,
      record,
      packet,
      opensGop: frame.keyframe && isMain,
      standsAlone: frame.keyframe && !isMain,
    }
  }

  /** Where it names no moment and no frame has come, there is nothing that it could belong to. */
  #data(entry: DataEntry, record: LogRecord): Omit<Accepted, 'hole'> {
    const { track, moment = this.#moment, duration, data } = entry.record
    const packet =
      moment &&
      new Packet({
        type: 'data',
        track,
        ...moment,
        ...(duration === undefined ? {} : { duration }),
        offset: record.offset,
        time: record.timestamp,
        data,
      })
    return { entry, record, packet, opensGop: false, standsAlone: false }
  }

  /** A catalog stands before every GOP; viewers are sent it where it says something new. */
  #newCatalog(entry: CatalogEntry): Packet | undefined {
    const known = this.catalog?.event
    const same = this.#catalogBytes !== undefined && equal(this.#catalogBytes, entry.catalog)
    if (known?.type === 'catalog' && known.session === entry.session && same) return undefined
    let catalog: Catalog
    try {
      catalog = parseCatalog(entry.catalog)
    } catch (error) {
      if (!(error instanceof FramelogError)) throw error
      return undefined
    }
    this.#catalogBytes = entry.catalog
    this.#main = mainTrack(catalog)?.name
    this.catalog = new Packet({ type: 'catalog', session: entry.session, catalog })
    return this.catalog
  }
}

/** @param last number of the session that counted, -1 where that is not known */
function holeBefore(entry: Entry, last: number): Hole | undefined {
  if (entry.kind !== 'frame' && entry.kind !== 'gap') return undefined
  const from = last + 1
  const to = (entry.kind === 'frame' ? entry.sequence : entry.from) - 1
  if (last < 0 || to < from) return undefined
  const packet = new Packet({ type: 'gap', frames: to - from + 1, reason: 'the log does not have them' })
  return { from, to, packet }
}

function equal(a: Uint8Array, b: Uint8Array): boolean {
  if (a.byteLength !== b.byteLength) return false
  for (let i = 0; i < a.byteLength; i++) if (a[i] !== b[i]) return false
  return true
}
