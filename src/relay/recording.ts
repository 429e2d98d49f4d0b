/** What is kept of a broadcast, read without joining it: the frames between two positions, as often as somebody wants them. */
import { FramelogError } from '../errors.ts'
import type { Log, Topic } from '../log/log.ts'
import type { Catalog } from '../media/catalog.ts'
import type { NumberedFrame } from '../media/frame.ts'
import type { Millis, Offset } from '../units.ts'
import { type EntryPoint, entryPointOf } from './entry-point.ts'
import { parsePosition } from './position.ts'
import { RecordStream } from './stream.ts'

export const recordingLimits = {
  /** Bytes of one read. */
  chunk: 4 * 1024 * 1024,
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
    const stream = new RecordStream(from.floor)
    const wanted = from.wanted ?? from.from
    /** Undefined once the wanted position has come. */
    let held: RecordedFrame[] | undefined = []
    let heldBytes = 0
    let isWhole = false
    for (let at = from.from; at < to; ) {
      const chunk = await this.#log.read(this.#topic, at, recordingLimits.chunk)
      const found: RecordedFrame[] = []
      for (const met of stream.read(chunk)) {
        if ('damage' in met || met.hole !== undefined) isWhole = false
        if ('damage' in met || met.record.offset >= to) continue
        const event = met.packet?.event
        const catalog = stream.catalog?.event
        if (event?.type !== 'frame' || catalog?.type !== 'catalog') continue
        isWhole ||= met.opensGop
        if (!isWhole && !met.standsAlone) continue
        const { start = from.from, epoch } = stream.gop ?? {}
        const entry = { from: start, ...(epoch === undefined ? {} : { floor: epoch }) }
        const { offset, timestamp: time } = met.record
        const { session, frame } = event
        const one = { session, offset, time, frame, opensGop: met.opensGop, catalog: catalog.catalog, entry }
        if (held === undefined) {
          found.push(one)
          continue
        }
        // A GOP that ends before what is wanted is not needed for it.
        if (met.opensGop && offset <= wanted) [held, heldBytes] = [[], 0]
        held.push(one)
        heldBytes += frame.data.byteLength
        const { items, bytes } = recordingLimits.held
        if (offset < wanted && held.length < items && heldBytes < bytes) continue
        found.push(...held)
        held = undefined
      }
      if (found.length > 0) yield found
      if (chunk.next <= at) break
      at = chunk.next
    }
  }
}
