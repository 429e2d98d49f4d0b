/** One topic of the embedded log: what the process knows of it, and who follows it. */
import type { FramelogError } from '../../errors.ts'
import type { Offset } from '../../units.ts'
import type { Chunk, LogRecord, TailSink, Topic } from '../log.ts'
import { KeyOffsets } from './keys.ts'
import type { TopicSizes } from './sizes.ts'
import { EmbeddedTail } from './tail.ts'

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

export interface Commit {
  readonly first: number
  readonly next: number
  readonly records: readonly LogRecord[]
  /** Why it is not in the store. */
  readonly error?: FramelogError
}

interface SettledCommit extends Commit {
  readonly resolve: (failure: FramelogError | undefined) => void
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
  /** Compact topics only. */
  readonly keys = new KeyOffsets()
  readonly #tails = new Set<EmbeddedTail>()
  /** Commits that were told of before an earlier one, by their first offset; `waitingBytes` bounds them. */
  readonly #settled = new Map<number, SettledCommit>()
  /** Takes what lies between two offsets out of the store again. */
  readonly #undo: (first: number, next: number) => Promise<void>
  #refusal: FramelogError | undefined
  #isUndoing = false

  constructor(
    topic: Topic,
    stored: StoredTopic,
    first: number,
    next: number,
    sizes: TopicSizes,
    undo: (first: number, next: number) => Promise<void>,
  ) {
    this.topic = topic
    this.stored = stored
    this.first = first
    this.removed = first
    this.next = next
    this.end = next
    this.sizes = sizes
    this.#undo = undo
  }

  /** Hides what lies before an offset, never the newest record, and never shows again what was hidden. */
  moveFirst(to: number): void {
    if (!this.stored.compact) this.first = Math.max(this.first, Math.min(to, this.end - 1))
  }

  /**
   * An append failed: no later one gets in until whoever made it can have heard. Else a publisher whose frame was
   * refused would have the next ones in the log, and nobody would know of the hole.
   */
  refuse(error: FramelogError): void {
    this.#refusal = error
    // Promises tell of it in this turn's microtasks, however many lie between; a tick out of one comes behind them all.
    queueMicrotask(() =>
      process.nextTick(() => {
        if (!this.#isUndoing && this.#refusal === error) this.#refusal = undefined
      }),
    )
  }

  /** @throws FramelogError what an earlier append failed with */
  checkRefusal(): void {
    if (this.#refusal !== undefined) throw this.#refusal
  }

  /**
   * A commit is done, or has failed and leaves a hole. The store commits in order and tells of it in any: what is told
   * early waits for what was appended before it. What was appended behind one that failed fails with it, and is taken
   * out of the store again.
   * @returns why it failed, once all up to it have been told of
   */
  settled(commit: Commit): Promise<FramelogError | undefined> {
    const { promise, resolve } = Promise.withResolvers<FramelogError | undefined>()
    this.#settled.set(commit.first, { ...commit, resolve })
    if (!this.#isUndoing) this.#advance()
    return promise
  }

  #advance(): void {
    for (let commit = this.#settled.get(this.end); commit; commit = this.#settled.get(this.end)) {
      if (commit.error !== undefined) {
        void this.#fail(commit.error)
        return
      }
      this.#settled.delete(this.end)
      this.#show(commit.next, commit.records)
      commit.resolve(undefined)
    }
  }

  /** From here on nothing gets in; when all that is under way has settled, it has failed. */
  async #fail(error: FramelogError): Promise<void> {
    this.#refusal = error
    const failed: SettledCommit[] = []
    let at = this.end
    for (let commit = this.#settled.get(at); commit; commit = this.#settled.get(at)) {
      failed.push(commit)
      at = commit.next
    }
    if (at !== this.next) return
    const stored = failed.filter(commit => commit.error === undefined)
    const [first] = stored
    // Of a compact topic an older record would be gone with the one that took its place; its order tells nothing.
    if (first !== undefined && !this.stored.compact) {
      this.#isUndoing = true
      await this.#undo(first.first, at).catch(() => {})
      this.#isUndoing = false
    }
    this.#settled.clear()
    this.#show(at, this.stored.compact ? stored.flatMap(({ records }) => records) : [])
    for (const { resolve } of failed) resolve(error)
    this.refuse(error)
  }

  #show(next: number, records: readonly LogRecord[]): void {
    if (records.length === 0 && this.first === this.end && !this.stored.compact) this.first = next
    this.end = next
    const chunk: Chunk = { records, next: next as Offset, end: next as Offset }
    for (const tail of [...this.#tails]) tail.offer(chunk)
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
