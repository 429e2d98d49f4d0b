/** The newest segments of one broadcast, for as long as somebody asks for them. */
import type { Clock } from '../../core/clock.ts'
import { FramelogError } from '../../errors.ts'
import type { Following, Recording } from '../../relay/recording.ts'
import { type Segment, Segmenter, segmentLimits } from '../../relay/segments.ts'
import type { Millis } from '../../units.ts'

export const liveSegmentLimits = {
  /** Segments that a playlist has. */
  window: 15,
  /** Milliseconds after the last playlist was asked for until its broadcast is read no more. */
  idle: 30_000,
  /** Milliseconds that a request waits for a segment or part that is to come. */
  block: 15_000,
  /** Requests of one broadcast that wait. */
  waiting: 5000,
} as const

export class LiveSegments {
  readonly recording: Recording
  readonly #clock: Clock
  readonly #onIdle: () => void
  #segmenter = new Segmenter(liveSegmentLimits.window, true)
  readonly #ready = Promise.withResolvers<void>()
  #tail: Following | undefined
  #cancel: () => void = () => {}
  #isOver = false
  #error: FramelogError | undefined
  #waiting: (() => void)[] = []

  constructor(recording: Recording, clock: Clock, onIdle: () => void) {
    this.recording = recording
    this.#clock = clock
    this.#onIdle = onIdle
    this.#ready.promise.catch(() => {})
    this.#begin().catch((error: unknown) => this.#ready.reject(error))
  }

  /** Ascending, and whether none follows. Resolves when all that is there was read. @throws what the log throws */
  async segments(): Promise<{ segments: readonly Segment[]; isOver: boolean }> {
    this.#used()
    await this.#ready.promise
    if (this.#error !== undefined) throw this.#error
    return { segments: this.#segmenter.segments, isOver: this.#isOver }
  }

  /**
   * Resolves when a first segment is whole: players refuse a playlist without one.
   * @throws FramelogError as `until` does
   */
  async begun(): Promise<void> {
    await this.segments()
    const first = this.#segmenter.segments[0]
    await this.#wait(() => this.#segmenter.segments[0]?.end !== undefined, first?.slot ?? 0)
  }

  /**
   * Resolves when a segment, or a part of it, is there, or the broadcast is over.
   * @throws FramelogError TOO_MANY, BAD_POSITION where it is too far ahead, LOG_OVERLOADED where it does not come in time
   */
  async until(slot: number, part: number | undefined): Promise<void> {
    await this.segments()
    const last = this.#segmenter.segments.at(-1)?.slot ?? slot
    if (slot > last + 2)
      throw new FramelogError('BAD_POSITION', `Segment ${slot} is too far ahead of ${last}`)
    await this.#wait(() => {
      const newest = this.#segmenter.segments.at(-1)
      if (newest === undefined || newest.slot < slot) return false
      if (newest.slot > slot) return true
      return newest.end !== undefined || (part !== undefined && newest.parts.length > part)
    }, slot)
  }

  async #wait(isThere: () => boolean, slot: number): Promise<void> {
    if (this.#waiting.length >= liveSegmentLimits.waiting)
      throw new FramelogError('TOO_MANY', `${this.#waiting.length} requests wait for segments`)
    const late = this.#clock.monotonic() + liveSegmentLimits.block
    while (!isThere() && !this.#isOver && this.#error === undefined) {
      const wait = late - this.#clock.monotonic()
      if (wait <= 0) throw new FramelogError('LOG_OVERLOADED', `Segment ${slot} has not come in time`)
      const { promise, resolve } = Promise.withResolvers<void>()
      this.#waiting.push(resolve)
      const cancel = this.#clock.after(wait, resolve)
      await promise
      cancel()
    }
  }

  close(): void {
    this.#cancel()
    this.#tail?.close()
    this.#wake()
  }

  async #begin(): Promise<void> {
    const now = this.#clock.now()
    const back = (now - liveSegmentLimits.window * segmentLimits.slot) as Millis
    const from = await this.recording.point(back)
    const end = await this.recording.end()
    this.#segmenter = new Segmenter(liveSegmentLimits.window, from.from === 0)
    if (from.from >= end) this.#ready.resolve()
    this.#tail = this.recording.follow(from, {
      onFrames: (frames, next, isOver) => {
        let isNew = false
        for (const one of frames) isNew = this.#segmenter.take(one) || isNew
        if (isOver) isNew = this.#segmenter.close(next) || isNew
        this.#isOver = isOver
        if (next >= end) this.#ready.resolve()
        if (isNew || isOver) this.#wake()
      },
      onEnd: error => {
        this.#error = error
        this.#ready.reject(error)
        this.#wake()
        this.#onIdle()
      },
    })
  }

  #used(): void {
    this.#cancel()
    this.#cancel = this.#clock.after(liveSegmentLimits.idle, () => {
      this.close()
      this.#onIdle()
    })
  }

  #wake(): void {
    const waiting = this.#waiting
    this.#waiting = []
    for (const resolve of waiting) resolve()
  }
}
