/** What is kept of a broadcast, read without joining it: the frames between two positions, as often as somebody wants them. */
import { FramelogError } from '../errors.ts'
import type { Chunk, Log, Topic } from '../log/log.ts'
import type { Catalog } from '../media/catalog.ts'
import type { NumberedFrame } from '../media/frame.ts'
import type { Millis, Offset } from '../units.ts'
import { type EntryPoint, entryPointOf } from './entry-point.ts'
import { parsePosition } from './position.ts'
import { RecordStream } from './stream.ts'

export const recordingLimits = {
  /** Bytes of one read. */
  chunk: 4 * 1024 * 1024,
  /** The same where only a keyframe is looked for. */
  look: 256 * 1024,
  /** Frames of a GOP, and their bytes, that are held until the wanted position has come. */
  held: { items: 20_000, bytes: 64 * 1024 * 1024 },
} as const

export interface RecordedFrame {
  readonly session: string
  readonly offset: Offset
  /** When the gateway received it. */
  readonly time: Millis
  readonly frame: NumberedFrame
  /** Whether a GOP begins with it. */
  readonly opensGop: boolean
  /** In force for it. */
  readonly catalog: Catalog
  /** From where its GOP can be read. */
  readonly entry: EntryPoint
}

/** Two places in a topic. What lies before `from.wanted` is only to be decoded. */
export interface Excerpt {
  readonly from: EntryPoint
  /** Offset of what does not belong to it any more. */
  readonly to: Offset
}

export class Recording {
  readonly #log: Log
  readonly #topic: Topic

  constructor(log: Log, topic: Topic) {
    this.#log = log
    this.#topic = topic
  }

  /** Of its topic: one that was deleted and made anew has another. */
  get id(): string {
    return this.#topic.id
  }

  /**
   * @param from as `parsePosition` takes it, not `live`. @param to likewise, not `start`; undefined for all that is there
   * @throws FramelogError BAD_POSITION, and what the log throws
   */
  async excerpt(from: string, to: string | undefined, now: Millis): Promise<Excerpt> {
    const [begin, end] = [parsePosition(from, now), parsePosition(to ?? 'live', now)]
    if (begin.kind === 'live') throw new FramelogError('BAD_POSITION', 'What is live is not kept yet')
    if (end.kind === 'start') throw new FramelogError('BAD_POSITION', 'Nothing lies before the start')
    const { first, next } = await this.#log.bounds(this.#topic)
    const point = (await entryPointOf(this.#log, this.#topic, begin, true)) ?? { from: first }
    const last =
      end.kind === 'time'
        ? await this.#log.offsetAt(this.#topic, end.time)
        : end.kind === 'offset'
          ? end.offset
          : next
    const until = Math.min(last, next) as Offset
    if ((point.wanted ?? point.from) >= until)
      throw new FramelogError('BAD_POSITION', 'Nothing is kept between these positions')
    return { from: point, to: until }
  }

  /**
   * The frames of an excerpt, from the keyframe on that its first one needs, in the order of the log; of what is damaged the
   * rest of the GOP is left out.
   * @throws what the log throws
   */
  async *frames({ from, to }: Excerpt): AsyncGenerator<readonly RecordedFrame[]> {
    const reader = new FrameReader(from)
    const wanted = from.wanted ?? from.from
    /** Undefined once the wanted position has come. */
    let held: RecordedFrame[] | undefined = []
    let heldBytes = 0
    for (let at = from.from; at < to; ) {
      const chunk = await this.#log.read(this.#topic, at, recordingLimits.chunk)
      const found: RecordedFrame[] = []
      for (const one of reader.read(chunk)) {
        if (one.offset >= to) break
        if (held === undefined) {
          found.push(one)
          continue
        }
        // A GOP that ends before what is wanted is not needed for it.
        if (one.opensGop && one.offset <= wanted) [held, heldBytes] = [[], 0]
        held.push(one)
        heldBytes += one.frame.data.byteLength
        const { items, bytes } = recordingLimits.held
        if (one.offset < wanted && held.length < items && heldBytes < bytes) continue
        found.push(...held)
        held = undefined
      }
      if (found.length > 0) yield found
      if (chunk.next <= at) break
      at = chunk.next
    }
  }

  /** The first frame at or after an offset that begins a GOP, and before another. @throws what the log throws */
  async keyframeFrom(offset: Offset, to: Offset): Promise<RecordedFrame | undefined> {
    // A catalog stands before it, and names the track that it is of.
    const reader = new FrameReader({ from: offset })
    for (let at = offset; at < to; ) {
      const chunk = await this.#log.read(this.#topic, at, recordingLimits.look)
      for (const one of reader.read(chunk)) if (one.opensGop) return one.offset < to ? one : undefined
      if (chunk.next <= at) return undefined
      at = chunk.next
    }
    return undefined
  }

  /** Where to begin so that what was received at a time comes whole. @throws what the log throws */
  async point(time: Millis): Promise<EntryPoint> {
    const { first } = await this.#log.bounds(this.#topic)
    return (await entryPointOf(this.#log, this.#topic, { kind: 'time', time }, false)) ?? { from: first }
  }

  /** The offset behind all that is there. @throws what the log throws */
  async end(): Promise<Offset> {
    return (await this.#log.bounds(this.#topic)).next
  }

  /** The first record stamped at or after a time. @throws what the log throws */
  offsetAt(time: Millis): Promise<Offset> {
    return this.#log.offsetAt(this.#topic, time)
  }

  /** When the last record before an offset was received. @throws what the log throws */
  async timeBefore(offset: Offset): Promise<Millis | undefined> {
    const { records } = await this.#log.read(this.#topic, (offset - 1) as Offset, 1)
    return records[0]?.timestamp
  }

  /** What is there from a place on, and what comes; to be closed. */
  follow(from: EntryPoint, sink: FollowSink): Following {
    const reader = new FrameReader(from)
    return this.#log.tail(this.#topic, from.from, {
      onChunk: chunk => sink.onFrames([...reader.read(chunk)], chunk.next, reader.isOver),
      onEnd: error => sink.onEnd(error),
    })
  }
}

export interface Following {
  /** Idempotent; no call of the sink follows. */
  close(): void
}

export interface FollowSink {
  /**
   * @param next offset behind what was read
   * @param isOver whether the last that was read says that no frame follows
   */
  onFrames(frames: readonly RecordedFrame[], next: Offset, isOver: boolean): void
  onEnd(error: FramelogError): void
}

/** From records to frames. */
class FrameReader {
  readonly #from: EntryPoint
  readonly #stream: RecordStream
  /** Whether nothing is missing of the GOP so far. */
  #isWhole = false
  isOver = false

  constructor(from: EntryPoint) {
    this.#from = from
    this.#stream = new RecordStream(from.floor)
  }

  *read(chunk: Chunk): Generator<RecordedFrame> {
    const stream = this.#stream
    for (const met of stream.read(chunk)) {
      if ('damage' in met || met.hole !== undefined) this.#isWhole = false
      if ('damage' in met) continue
      if (met.entry.kind !== 'data') this.isOver = met.entry.kind === 'end'
      const event = met.packet?.event
      const catalog = stream.catalog?.event
      if (event?.type !== 'frame' || catalog?.type !== 'catalog') continue
      this.#isWhole ||= met.opensGop
      if (!this.#isWhole && !met.standsAlone) continue
      const { start = this.#from.from, epoch } = stream.gop ?? {}
      const entry = { from: start, ...(epoch === undefined ? {} : { floor: epoch }) }
      const { offset, timestamp: time } = met.record
      const { session, frame } = event
      yield { session, offset, time, frame, opensGop: met.opensGop, catalog: catalog.catalog, entry }
    }
  }
}
