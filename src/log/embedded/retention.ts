/**
 * What may go, goes: records past the age or the size that their topic keeps, and the oldest of all topics where
 * the store is past its limit. The newest record of a topic stays: it tells which offset comes next.
 */
import { setImmediate as turn } from 'node:timers/promises'
import { FramelogError } from '../../errors.ts'
import { markKey, recordKey } from './layout.ts'
import type { Store } from './store.ts'
import type { EmbeddedTopic } from './topic.ts'

/** Part of a topic's size past which it is trimmed at once, without waiting for the next look. */
const promptly = 1.1
/** Parts of the limit of the store at which room is made, and down to which. */
const makeRoomAt = 15 / 16
const makeRoomTo = 14 / 16
/** Milliseconds for which it stays known which records are too old, at most; a tenth of a shorter retention. */
const lookEvery = 1000
/** Topics looked at in one turn. */
const lookedAtOnce = 100
/** What a record takes in pages besides its bytes: a node, and a page that is half used. */
const pageOverhead = 2048

export interface RetentionOptions {
  readonly store: Store
  readonly topics: () => Iterable<EmbeddedTopic>
  /** The first offset of a topic from a time on, up to its end. */
  readonly offsetAt: (topic: EmbeddedTopic, time: number) => number
  /** Bytes of pages in use past which the oldest records go; undefined: no limit. */
  readonly limit: number | undefined
  /** Milliseconds between two looks. */
  readonly every: number
  /** Called with the new first offsets in place, before the records below them are removed. */
  readonly onMove: () => Promise<void>
}

export class Retention implements Disposable {
  readonly #options: RetentionOptions
  readonly #timer: NodeJS.Timeout
  #state: 'idle' | 'running' | 'again' | 'closed' = 'idle'
  /** Of pages in use: as counted last, and what was appended since, by estimate. */
  #used = 0
  #appended = 0
  /** When nothing was left that may go, and the store was past its limit all the same; 0 where that is not so. */
  #exhausted = 0

  constructor(options: RetentionOptions) {
    this.#options = options
    this.#countUsed()
    this.#timer = setInterval(() => this.#look(), options.every)
    this.#timer.unref()
    if (this.#isCrowded()) this.#look()
  }

  /** Moves a topic's first offset over what has grown too old to be served. */
  hideOld(topic: EmbeddedTopic): void {
    const { retention } = topic.stored
    if (retention === undefined) return
    const now = Date.now()
    if (now - topic.lookedAt < Math.min(lookEvery, retention / 10)) return
    topic.lookedAt = now
    topic.moveFirst(this.#options.offsetAt(topic, now - retention))
  }

  /** Counts what is about to be appended. @throws FramelogError LOG_FULL, LOG_OVERLOADED */
  admit(records: number, bytes: number): void {
    const { limit, store } = this.#options
    if (limit === undefined) return
    const wanted = bytes + records * pageOverhead
    if (this.#used + this.#appended + wanted > limit) {
      this.#countUsed()
      if (this.#used + wanted > limit) {
        this.#makeRoom()
        if (this.#exhausted > 0)
          throw new FramelogError(
            'LOG_FULL',
            `The log in ${store.dir} holds the ${limit} bytes of DATA_LIMIT, and nothing is left that may go`,
          )
        throw new FramelogError('LOG_OVERLOADED', `Older records are on their way out of ${store.dir}`)
      }
    }
    this.#appended += wanted
  }

  /** After an append: what has grown far beyond what it may hold is trimmed now. */
  afterAppend({ stored, sizes, first, end }: EmbeddedTopic): void {
    const { retentionBytes } = stored
    const isOver = retentionBytes !== undefined && sizes.bytes > retentionBytes * promptly && first < end - 1
    if (isOver) this.#look()
    else if (this.#isCrowded()) this.#makeRoom()
  }

  /** Space came back in another way. */
  freed(): void {
    this.#exhausted = 0
    this.#countUsed()
  }

  [Symbol.dispose](): void {
    this.#state = 'closed'
    clearInterval(this.#timer)
  }

  /** Where nothing could go a moment ago, nothing can now. */
  #makeRoom(): void {
    if (performance.now() - this.#exhausted >= lookEvery) this.#look()
  }

  #isCrowded(): boolean {
    const { limit } = this.#options
    if (limit === undefined || this.#used + this.#appended <= limit * makeRoomAt) return false
    this.#countUsed()
    return this.#used > limit * makeRoomAt
  }

  #countUsed(): void {
    if (this.#options.limit === undefined) return
    this.#used = this.#options.store.usedBytes
    this.#appended = 0
  }

  /** One round at a time; whoever asks meanwhile gets one more behind it. */
  #look(): void {
    if (this.#state !== 'idle') {
      if (this.#state === 'running') this.#state = 'again'
      return
    }
    this.#state = 'running'
    this.#trim()
      // A full disk, or a topic that was deleted meanwhile: the next look tries again.
      .catch(() => {})
      .finally(() => {
        const again = this.#state === 'again'
        if (this.#state !== 'closed') this.#state = 'idle'
        if (again) this.#look()
      })
  }

  async #trim(): Promise<void> {
    const topics = [...this.#options.topics()].filter(({ stored }) => !stored.compact)
    for await (const topic of inTurns(topics)) {
      if (this.#isClosed()) return
      const { retention, retentionBytes } = topic.stored
      if (retention !== undefined) topic.moveFirst(this.#options.offsetAt(topic, Date.now() - retention))
      if (retentionBytes !== undefined) topic.moveFirst(topic.sizes.offsetFor(retentionBytes))
    }
    await this.#removeHidden(topics)
    const { limit } = this.#options
    if (limit === undefined || this.#isClosed()) return
    this.#countUsed()
    // What records take in pages is not known of each: what went is measured, and more goes where it was too little.
    for (let urge = 1; this.#used > limit * makeRoomAt; ) {
      const held = topics.reduce((sum, { sizes }) => sum + sizes.bytes, 0)
      const removable = bytesBefore(topics, Number.POSITIVE_INFINITY)
      const part = (this.#used - limit * makeRoomTo) / this.#used
      const wanted = Math.min(part * held, removable / 2) * urge
      const hasMoved = await this.#moveFirsts(topics, timeOf(topics, wanted))
      if (this.#isClosed()) return
      if (!hasMoved && wanted >= removable) {
        this.#exhausted = performance.now()
        return
      }
      urge = hasMoved ? 1 : urge * 2
      if (!hasMoved) continue
      await this.#removeHidden(topics)
      if (this.#isClosed()) return
      this.#countUsed()
    }
    this.#exhausted = 0
  }

  /** @returns whether anything may go that was there before */
  async #moveFirsts(topics: readonly EmbeddedTopic[], time: number): Promise<boolean> {
    let hasMoved = false
    for await (const topic of inTurns(topics)) {
      if (this.#isClosed()) break
      const before = topic.first
      topic.moveFirst(this.#options.offsetAt(topic, time))
      if (topic.first > before) hasMoved = true
    }
    return hasMoved
  }

  #isClosed(): boolean {
    return this.#state === 'closed'
  }

  async #removeHidden(topics: readonly EmbeddedTopic[]): Promise<void> {
    const hidden = topics.filter(topic => topic.first > topic.removed)
    if (hidden.length === 0) return
    await this.#options.onMove()
    const { store } = this.#options
    for (const topic of hidden) {
      const { number } = topic.stored
      const to = topic.first
      const marked = topic.sizes.forget(to, topic.next)
      await store.remove(store.marks, markKey(number, 0), markKey(number, Math.min(marked, to)))
      await store.remove(store.records, recordKey(number, 0), recordKey(number, to))
      topic.removed = to
    }
  }
}

async function* inTurns(topics: readonly EmbeddedTopic[]): AsyncGenerator<EmbeddedTopic> {
  for (const [i, topic] of topics.entries()) {
    if (i % lookedAtOnce === lookedAtOnce - 1) await turn()
    yield topic
  }
}

const bytesBefore = (topics: readonly EmbeddedTopic[], time: number): number =>
  topics.reduce((sum, { sizes }) => sum + sizes.bytesBefore(time), 0)

/** A time before which all topics hold so many bytes, about; one past the newest record where they do not. */
function timeOf(topics: readonly EmbeddedTopic[], bytes: number): number {
  let low = Number.MAX_SAFE_INTEGER
  let high = 0
  for (const { sizes } of topics) {
    const [oldest, newest] = sizes.times
    // Marks are not checked: a wild one does not lead this astray for ever.
    if (!Number.isSafeInteger(newest) || !Number.isSafeInteger(Math.floor(oldest))) continue
    low = Math.min(low, Math.floor(oldest))
    high = Math.max(high, newest + 1)
  }
  while (low < high) {
    const middle = Math.floor((low + high) / 2)
    if (bytesBefore(topics, middle) >= bytes) high = middle
    else low = middle + 1
  }
  return high
}
