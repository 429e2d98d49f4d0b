/**
 * The newest thumbnail of each broadcast that is asked for, found in the log from its end backwards. What was looked at is
 * not looked at again: a broadcast whose thumbnail is on many pages is read once.
 */
import type { Clock } from '../core/clock.ts'
import { FramelogError } from '../errors.ts'
import type { Log, LogRecord, Topic } from '../log/log.ts'
import { decodeRecord } from '../log/record.ts'
import { type ImageType, imageType } from '../media/image.ts'
import type { BroadcastId, Offset } from '../units.ts'
import { bytesOf, probeBytes, searchBytes } from './entry-point.ts'

export const thumbnailTrack = 'meta-thumbnail'

export const thumbnailLimits = {
  /** Milliseconds for which what was found is taken for the newest. */
  fresh: 5000,
  /** Broadcasts whose thumbnails are kept, one record each. */
  broadcasts: 256,
  /** Records looked at in one search, the newest first; their bytes are `searchBytes`. */
  records: 8192,
  firstRecords: 64,
  searches: 8,
} as const

export interface Thumbnail {
  readonly type: ImageType
  readonly data: Uint8Array
}

interface Found {
  readonly offset: Offset
  readonly thumbnail: Thumbnail
}

/** What one search has left. */
interface Looked {
  readonly topic: string | undefined
  /** All before it was looked at. */
  readonly next: Offset
  readonly found: Found | undefined
}

export class Thumbnails {
  readonly #log: Log
  readonly #clock: Clock
  readonly #topicName: (id: BroadcastId) => string
  /** The one that was asked for last is the last. */
  readonly #known = new Map<BroadcastId, { readonly at: number; readonly looked: Promise<Looked> }>()
  #searches = 0

  constructor(log: Log, clock: Clock, topicName: (id: BroadcastId) => string) {
    this.#log = log
    this.#clock = clock
    this.#topicName = topicName
  }

  /** @returns undefined where there is none. @throws TOO_MANY, and what the log throws */
  async of(id: BroadcastId): Promise<Thumbnail | undefined> {
    const known = this.#known.get(id)
    const now = this.#clock.monotonic()
    if (known !== undefined && now - known.at < thumbnailLimits.fresh)
      return (await known.looked).found?.thumbnail
    if (this.#searches >= thumbnailLimits.searches)
      throw new FramelogError('TOO_MANY', `${this.#searches} thumbnails are being looked for`)
    const looked = this.#look(id, known?.looked)
    this.#remember(id, now, looked)
    return (await looked).found?.thumbnail
  }

  #remember(id: BroadcastId, at: number, looked: Promise<Looked>): void {
    this.#known.delete(id)
    for (const [oldest] of this.#known) {
      if (this.#known.size < thumbnailLimits.broadcasts) break
      this.#known.delete(oldest)
    }
    this.#known.set(id, { at, looked })
    // What could not be read is looked for again by whoever asks next.
    looked.catch(() => {
      if (this.#known.get(id)?.looked === looked) this.#known.delete(id)
    })
  }

  async #look(id: BroadcastId, earlier: Promise<Looked> | undefined): Promise<Looked> {
    this.#searches += 1
    try {
      const before = await earlier?.catch(() => undefined)
      const topic = await this.#log.find(this.#topicName(id))
      if (topic === undefined) return { topic: undefined, next: 0 as Offset, found: undefined }
      const { first, next } = await this.#log.bounds(topic)
      const known = before?.topic === topic.id ? before : undefined
      const from = Math.max(first, known?.next ?? 0, next - thumbnailLimits.records)
      const old = known?.found !== undefined && known.found.offset >= first ? known.found : undefined
      return { topic: topic.id, next, found: (await this.#search(topic, from, next)) ?? old }
    } finally {
      this.#searches -= 1
    }
  }

  /** The last one in a span, which is read from its end in growing parts. */
  async #search(topic: Topic, from: number, next: number): Promise<Found | undefined> {
    let budget = searchBytes
    let size: number = thumbnailLimits.firstRecords
    for (let end = next; end > from && budget > 0; size *= 2) {
      const begin = Math.max(from, end - size)
      let found: Found | undefined
      for (let at = begin; at < end && budget > 0; ) {
        const chunk = await this.#log.read(topic, at as Offset, probeBytes)
        for (const record of chunk.records) if (record.offset < end) found = thumbnailOf(record) ?? found
        if (chunk.next <= at) break
        at = chunk.next
        budget -= bytesOf(chunk)
      }
      if (found !== undefined) return found
      end = begin
    }
    return undefined
  }
}

function thumbnailOf(record: LogRecord): Found | undefined {
  if (record.key !== thumbnailTrack) return undefined
  const entry = decodeRecord(record)
  if (entry.kind !== 'data') return undefined
  const { data } = entry.record
  const type = imageType(data)
  return type && { offset: record.offset, thumbnail: { type, data } }
}
