/** Collects what a tail delivers, checks the order as it comes, and lets a test wait for it. */
import assert from 'node:assert/strict'
import type { FramelogError } from '../../src/errors.ts'
import type { Chunk, Damage, Log, LogRecord, Tail, Topic } from '../../src/log/log.ts'
import type { Offset } from '../../src/units.ts'

interface Waiter {
  readonly count: number
  readonly resolve: (records: readonly LogRecord[]) => void
  readonly reject: (error: Error) => void
}

export class TailReader implements Disposable {
  readonly records: LogRecord[] = []
  readonly damaged: Damage[] = []
  /** Resolves with what ended the tail. */
  readonly ended: Promise<FramelogError>
  /** Calls of the sink after close() or after the end. */
  lateCalls = 0
  readonly #tail: Tail
  readonly #end: (error: FramelogError) => void
  #next: Offset
  #state: 'open' | 'closed' | 'ended' = 'open'
  #waiters: Waiter[] = []
  #failure: Error | undefined
  /** Whoever waited has met the failure. */
  #isTold = false

  constructor(log: Log, topic: Topic, from: Offset) {
    const { promise, resolve } = Promise.withResolvers<FramelogError>()
    this.ended = promise
    this.#end = resolve
    this.#next = from
    let inside = true
    this.#tail = log.tail(topic, from, {
      onChunk: chunk => (inside ? this.#fail(new Error('onChunk inside of tail()')) : this.#take(chunk)),
      onEnd: error => (inside ? this.#fail(new Error('onEnd inside of tail()')) : this.#finish(error)),
    })
    inside = false
  }

  /** Resolves as soon as `count` records have come in all. */
  until(count: number): Promise<readonly LogRecord[]> {
    if (this.#failure) {
      this.#isTold = true
      return Promise.reject(this.#failure)
    }
    if (this.records.length >= count) return Promise.resolve(this.records)
    const { promise, resolve, reject } = Promise.withResolvers<readonly LogRecord[]>()
    this.#waiters.push({ count, resolve, reject })
    return promise
  }

  get offsets(): number[] {
    return this.records.map(({ offset }) => offset)
  }

  get values(): string[] {
    return this.records.map(({ value }) => Buffer.from(value).toString())
  }

  close(): void {
    if (this.#state === 'open') this.#state = 'closed'
    this.#tail.close()
  }

  [Symbol.dispose](): void {
    this.close()
    if (this.#failure && !this.#isTold) throw this.#failure
  }

  #take({ records, damaged = [], next, end }: Chunk): void {
    if (this.#state !== 'open') {
      this.lateCalls += 1
      return
    }
    try {
      for (const record of records) {
        assert.ok(record.offset >= this.#next, `offset ${record.offset} where ${this.#next} is next`)
        this.#next = (record.offset + 1) as Offset
        this.records.push(record)
      }
      this.damaged.push(...damaged)
      assert.ok(next >= this.#next, 'a chunk leads on past its last record')
      assert.ok(end >= next, 'the end lies at or after where to read on')
      this.#next = next
    } catch (error) {
      this.#fail(error instanceof Error ? error : new Error(String(error)))
      return
    }
    const waiters = this.#waiters
    this.#waiters = waiters.filter(({ count }) => this.records.length < count)
    for (const { count, resolve } of waiters) if (this.records.length >= count) resolve(this.records)
  }

  #finish(error: FramelogError): void {
    if (this.#state !== 'open') {
      this.lateCalls += 1
      return
    }
    this.#state = 'ended'
    this.#end(error)
    for (const { reject } of this.#waiters) reject(error)
    this.#waiters = []
  }

  #fail(error: Error): void {
    this.#failure ??= error
    this.#isTold ||= this.#waiters.length > 0
    for (const { reject } of this.#waiters) reject(error)
    this.#waiters = []
  }
}
