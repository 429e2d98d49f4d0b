/** A tail of the embedded log, and whom it serves. */
import { FramelogError } from '../../errors.ts'
import type { Offset } from '../../units.ts'
import type { Chunk, Tail, TailSink } from '../log.ts'

/**
 * Reads from the store until it has caught up, then takes committed records as they come.
 * Reading goes chunk by chunk, each in a turn of its own, so that a deep tail holds up nobody.
 */
export class EmbeddedTail implements Tail {
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
    if (this.#state === 'live') this.#deliver(chunk)
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
    if (chunk.next >= chunk.end) this.#state = 'live'
    this.#deliver(chunk)
    if (this.#state === 'reading') this.start()
  }

  /** Also what holds no record: whoever waits for an offset must hear that it is past. */
  #deliver(chunk: Chunk): void {
    if (chunk.next === this.#next) return
    this.#next = chunk.next
    try {
      this.#sink.onChunk(chunk)
    } catch (cause) {
      this.finish(new FramelogError('INTERNAL', 'The receiver of a tail threw an error', { cause }))
    }
  }
}
