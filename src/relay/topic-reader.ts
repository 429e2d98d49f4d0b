/** The one reader of a broadcast's topic: begins with the newest GOP, catches up, and follows. */
import type { FramelogError } from '../errors.ts'
import type { Chunk, Log, Tail, Topic } from '../log/log.ts'
import type { Offset } from '../units.ts'
import { type EntryPoint, newestGop } from './entry-point.ts'
import { RecordStream } from './stream.ts'

export interface ReaderSink {
  onChunk(reader: TopicReader, chunk: Chunk): void
  /** The reader is over: see `TailSink.onEnd`. Not called before it has caught up; `caughtUp` rejects then. */
  onLost(reader: TopicReader, error: FramelogError): void
}

export class TopicReader {
  readonly topic: Topic
  readonly stream: RecordStream
  /** Everything before it has been handed on. The receiver keeps it. */
  next: Offset
  readonly #log: Log
  /** The topic's end when the reader was made. */
  readonly #end: Offset
  readonly #caughtUp = Promise.withResolvers<void>()
  #hasCaughtUp = false
  #tail: Tail | undefined

  private constructor(log: Log, topic: Topic, point: EntryPoint, end: Offset) {
    this.#log = log
    this.topic = topic
    this.stream = new RecordStream(point.floor)
    this.next = point.from
    this.#end = end
    this.#caughtUp.promise.catch(() => {})
    if (point.from >= end) this.#finish()
  }

  /** @returns undefined where there is no topic of the name. @throws what the log throws */
  static async find(log: Log, name: string): Promise<TopicReader | undefined> {
    const topic = await log.find(name)
    if (topic === undefined) return undefined
    const point = await newestGop(log, topic)
    const { next } = await log.bounds(topic)
    return new TopicReader(log, topic, point, next)
  }

  /** Resolves when all that was there at the beginning has been handed on. */
  get caughtUp(): Promise<void> {
    return this.#caughtUp.promise
  }

  start(sink: ReaderSink): void {
    this.#tail = this.#log.tail(this.topic, this.next, {
      onChunk: chunk => {
        sink.onChunk(this, chunk)
        if (chunk.next >= this.#end) this.#finish()
      },
      onEnd: error => {
        if (this.#hasCaughtUp) sink.onLost(this, error)
        else this.#caughtUp.reject(error)
      },
    })
  }

  /** Whoever waits for it to catch up is told why it does not. */
  close(error: FramelogError): void {
    this.#tail?.close()
    this.#caughtUp.reject(error)
  }

  #finish(): void {
    this.#hasCaughtUp = true
    this.#caughtUp.resolve()
  }
}
