/**
 * The appends of one topic that are not settled yet, in their order: the batch that is sent or has to go again, what
 * was too large in one piece, and what waits.
 */
import { BoundedQueue } from '../../core/queue.ts'
import type { FramelogError } from '../../errors.ts'
import type { Offset } from '../../units.ts'
import type { NewRecord, Topic } from '../log.ts'

/** Bytes of values in a batch; a single larger append goes alone. */
const batchBytes = 512 * 1024
const maxWaitingCalls = 100_000

export interface Call {
  readonly records: readonly NewRecord[]
  readonly bytes: number
  /** When it was made, milliseconds of performance.now(). */
  readonly since: number
  readonly resolve: (offset: Offset) => void
  readonly reject: (error: FramelogError) => void
}

export class Lane {
  readonly topic: Topic
  state: 'idle' | 'sent' | 'pausing' = 'idle'
  /** Why the last attempt failed. */
  failure: FramelogError | undefined
  failures = 0
  #batch: readonly Call[] = []
  /** A batch that was too large in one piece: goes one by one before anything that waits. */
  #apart: readonly Call[] = []
  readonly #waiting = new BoundedQueue<Call>(
    { items: maxWaitingCalls, bytes: Number.MAX_SAFE_INTEGER },
    ({ bytes }) => bytes,
  )
  #bytes = 0

  constructor(topic: Topic) {
    this.topic = topic
  }

  /** Of all that is not settled yet. */
  get bytes(): number {
    return this.#bytes
  }

  get batch(): readonly Call[] {
    return this.#batch
  }

  get oldest(): Call | undefined {
    return this.#batch[0] ?? this.#apart[0] ?? this.#waiting.peek()
  }

  /** @returns false where too many wait */
  push(call: Call): boolean {
    if (!this.#waiting.push(call)) return false
    this.#bytes += call.bytes
    return true
  }

  /** Makes the batch of the next request, where none has to go again. @returns its bytes */
  fill(): number {
    if (this.#batch.length === 0) {
      const [alone, ...others] = this.#apart
      this.#apart = others
      this.#batch = alone === undefined ? this.#gather() : [alone]
    }
    return this.#batch.reduce((sum, { bytes }) => sum + bytes, 0)
  }

  /** The batch is in the log. @returns the bytes that are settled by that */
  accept(baseOffset: number): number {
    const before = this.#bytes
    const batch = this.#batch
    this.#batch = []
    this.state = 'idle'
    this.failures = 0
    this.failure = undefined
    let at = baseOffset
    for (const call of batch) {
      this.#bytes -= call.bytes
      call.resolve(at as Offset)
      at += call.records.length
    }
    return before - this.#bytes
  }

  /** The batch goes again one by one. @returns false where it is one already */
  split(): boolean {
    if (this.#batch.length < 2) return false
    this.#apart = this.#batch
    this.#batch = []
    this.state = 'idle'
    return true
  }

  /** Fails all of it, also what is sent. @returns the bytes that are settled by that */
  fail(error: FramelogError): number {
    const calls = [...this.#batch, ...this.#apart, ...this.#waiting]
    const bytes = this.#bytes
    this.#batch = []
    this.#apart = []
    this.#waiting.clear()
    this.#bytes = 0
    for (const call of calls) call.reject(error)
    return bytes
  }

  #gather(): Call[] {
    const batch: Call[] = []
    let bytes = 0
    for (let call = this.#waiting.peek(); call !== undefined; call = this.#waiting.peek()) {
      if (batch.length > 0 && bytes + call.bytes > batchBytes) break
      bytes += call.bytes
      batch.push(call)
      this.#waiting.shift()
    }
    return batch
  }
}
