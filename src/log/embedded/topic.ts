/** One topic of the embedded log: what the process knows of it, and who follows it. */
import type { FramelogError } from '../../errors.ts'
import type { Offset } from '../../units.ts'
import type { Chunk, LogRecord, TailSink, Topic } from '../log.ts'
import type { TopicSizes } from './sizes.ts'

export interface StoredTopic {
  readonly id: string
  /** The first part of its records' keys. Never used again after a deletion. */
  readonly number: number
  readonly compact: boolean
  /** Milliseconds after which records go; absent keeps them. */
  readonly retention?: number
  /** Bytes past which the oldest records go; absent keeps them. */
  readonly retentionBytes?: number
}

interface Commit {
  readonly next: number
  readonly records: readonly LogRecord[]
  readonly resolve: () => void
}

export class EmbeddedTopic {
  readonly topic: Topic
  readonly stored: StoredTopic
  /** Offset that the next append gets; runs ahead of `end` while commits are under way. */
  next: number
  /** The first offset whose commit is still to come. */
  end: number
  /** The first offset that is served. Records below it go, or are gone. */
  first: number
  /** Up to here records are gone. */
  removed: number
  /** When it was last looked which records are too old, in milliseconds since 1970. */
  lookedAt = 0
  readonly sizes: TopicSizes
  /** Bytes of appends that are not committed yet. */
  waitingBytes = 0
  /** Compact topics only: the offset that holds each key. */
  readonly offsetOfKey = new Map<string, number>()
  readonly #tails = new Set<EmbeddedTail>()
  /** Commits that were told of before an earlier one, by their first offset; `waitingBytes` bounds them. */
  readonly #settled = new Map<number, Commit>()

  constructor(topic: Topic, stored: StoredTopic, first: number, next: number, sizes: TopicSizes) {
    this.topic = topic
    this.stored = stored
    this.first = first
    this.removed = first
    this.next = next
    this.end = next
    this.sizes = sizes
  }

  /** Hides what lies before an offset, never the newest record, and never shows again what was hidden. */
  moveFirst(to: number): void {
    if (!this.stored.compact) this.first = Math.max(this.first, Math.min(to, this.end - 1))
  }

  /**
   * A commit is done, or has failed and leaves a hole. The store commits in order and tells of it in any: what is told
   * early waits for what was appended before it.
   * @returns when all up to it have been told of
   */
  settled(first: number, next: number, records: readonly LogRecord[]): Promise<void> {
    const { promise, resolve } = Promise.withResolvers<void>()
    this.#settled.set(first, { next, records, resolve })
    for (let commit = this.#settled.get(this.end); commit; commit = this.#settled.get(this.end)) {
      this.#settled.delete(this.end)
      if (commit.records.length === 0 && this.first === this.end && !this.stored.compact)
        this.first = commit.next
      this.end = commit.next
      const chunk: Chunk = { records: commit.records, next: this.end as Offset, end: this.end as Offset }
      if (commit.records.length > 0) for (const tail of this.#tails) tail.offer(chunk)
      commit.resolve()
    }
    return promise
  }

  follow(from: Offset, sink: TailSink, readAt: (from: Offset) => Chunk): EmbeddedTail {
    const tail = new EmbeddedTail(from, sink, readAt, () => this.#tails.delete(tail))
    this.#tails.add(tail)
    tail.start()
    return tail
  }

  finish(error: FramelogError): void {
    for (const tail of [...this.#tails]) tail.finish(error)
  }
}

/**
 * Reads from the store until it has caught up, then takes committed records as they come.
 * Reading goes chunk by chunk, each in a turn of its own, so that a deep tail holds up nobody.
 */
export class EmbeddedTail {
  #next: Offset
  #state: 'reading' | 'live' | 'closed' = 'reading'
  readonly #sink: TailSink
  readonly #readAt: (from: Offset) => Chunk
  readonly #onClose: () => void

  constructor(from: Offset, sink: TailSink, readAt: (from: Offset) => Chunk, onClose: () => void) {
    this.#next = from
    this.#sink = sink
    this.#readAt = readAt
    this.#onClose = onClose
  }

  start(): void {
    setImmediate(() => this.#read())
  }

  /** A commit happened. While reading, the store has it too, and the reading meets it there. */
  offer(chunk: Chunk): void {
    if (this.#state !== 'live') return
    this.#next = chunk.next
    this.#sink.onChunk(chunk)
  }

  finish(error: FramelogError): void {
    if (this.#state === 'closed') return
    this.close()
    setImmediate(() => this.#sink.onEnd(error))
  }

  close(): void {
    this.#state = 'closed'
    this.#onClose()
  }

  #read(): void {
    if (this.#state !== 'reading') return
    let chunk: Chunk
    try {
      chunk = this.#readAt(this.#next)
    } catch (error) {
      this.finish(error as FramelogError)
      return
    }
    this.#next = chunk.next
    if (chunk.next >= chunk.end) this.#state = 'live'
    if (chunk.records.length > 0) this.#sink.onChunk(chunk)
    if (this.#state === 'reading') this.start()
  }
}
