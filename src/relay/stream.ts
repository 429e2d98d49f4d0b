/**
 * Turns the records of one topic, read in order, into what viewers are sent: applies the readers' rule and
 * drops what repeats. Live relay and replays each have one, so both show the same.
 */
import { FramelogError } from '../errors.ts'
import type { LogRecord } from '../log/log.ts'
import { floorOf, ReaderRule } from '../log/reader-rule.ts'
import { type CatalogEntry, decodeRecord, type Entry, type FrameEntry } from '../log/record.ts'
import { type Catalog, mainTrack, parseCatalog } from '../media/catalog.ts'
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
}

export interface StreamCounters {
  stale: number
  repeated: number
  corrupt: number
  unknown: number
}

export class RecordStream {
  readonly rule: ReaderRule
  readonly counters: StreamCounters = { stale: 0, repeated: 0, corrupt: 0, unknown: 0 }
  /** Where the GOP begins that the newest frame belongs to. */
  gop: { readonly start: Offset; readonly epoch: Offset } | undefined
  /** Timestamp of the newest record that counted. */
  time: Millis | undefined
  /** The newest catalog, as viewers are sent it. */
  catalog: Packet | undefined
  #catalogBytes: Uint8Array | undefined
  #main: TrackName | undefined

  /** @param floor the lowest epoch that can count */
  constructor(floor?: Offset) {
    this.rule = new ReaderRule(floor)
  }

  /** @returns undefined for a record that does not count */
  take(record: LogRecord): Accepted | undefined {
    const entry = decodeRecord(record)
    const verdict = this.rule.judge(record.offset, entry)
    if (verdict !== 'accepted') {
      if (verdict === 'skipped') this.counters[entry.kind === 'corrupt' ? 'corrupt' : 'unknown'] += 1
      else this.counters[verdict] += 1
      return undefined
    }
    if (this.time === undefined || record.timestamp > this.time) this.time = record.timestamp
    if ('start' in entry && entry.start !== undefined)
      this.gop = { start: entry.start, epoch: floorOf(entry) }
    switch (entry.kind) {
      case 'frame':
        return this.#frame(entry, record)
      case 'catalog':
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

  #frame(entry: FrameEntry, record: LogRecord): Accepted {
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
    return {
      entry,
      record,
      packet,
      opensGop: frame.keyframe && isMain,
      standsAlone: frame.keyframe && !isMain,
    }
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
      this.counters.unknown += 1
      return undefined
    }
    this.#catalogBytes = entry.catalog
    this.#main = mainTrack(catalog)?.name
    this.catalog = new Packet({ type: 'catalog', session: entry.session, catalog })
    return this.catalog
  }
}

function equal(a: Uint8Array, b: Uint8Array): boolean {
  if (a.byteLength !== b.byteLength) return false
  for (let i = 0; i < a.byteLength; i++) if (a[i] !== b[i]) return false
  return true
}
