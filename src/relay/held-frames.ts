/**
 * Frames that wait for a log that does not answer. Bounded in time, number and bytes, and over all publishers of the
 * gateway; when full, the oldest GOPs go as wholes, sound and all, so that what is left begins at a keyframe.
 */
import { BoundedQueue } from '../core/queue.ts'
import type { NumberedFrame } from '../media/frame.ts'
import type { TrackName } from '../units.ts'

export interface HeldLimits {
  /** Milliseconds from the receipt of the oldest to that of the newest. */
  readonly span: number
  readonly items: number
  readonly bytes: number
}

/** The items are more than come in the span at any ordinary rate. */
export const heldLimits: HeldLimits = { span: 30_000, items: 32_768, bytes: 64 * 1024 * 1024 }

/** Bytes that all publishers of a gateway may hold together. */
export const heldOverall = 512 * 1024 * 1024

/** What frames need to know of their tracks. */
export interface TrackSet {
  /** The catalog as it is written. */
  readonly bytes: Uint8Array
  readonly tracks: ReadonlySet<TrackName>
  readonly main: TrackName | undefined
  /** Whether the main track is video. */
  readonly video: boolean
}

export interface ReceivedFrame {
  readonly frame: NumberedFrame
  /** The tracks as they were told before it. */
  readonly tracks: TrackSet
  /** When it was received, on the monotonic clock. */
  readonly at: number
}

/** Numbers that were given up. */
export interface Dropped {
  readonly from: number
  readonly to: number
}

/** Shared by all publishers of a gateway. */
export class HeldBudget {
  readonly #limit: number
  #used = 0

  constructor(limit: number = heldOverall) {
    this.#limit = limit
  }

  get used(): number {
    return this.#used
  }

  hasRoom(bytes: number): boolean {
    return this.#used + bytes <= this.#limit
  }

  /** @param bytes negative to give back */
  add(bytes: number): void {
    this.#used += bytes
  }
}

/** In sound alone every frame is a keyframe: so many milliseconds of it go at a time. */
const soundAtOnce = 1000

export class HeldFrames {
  readonly #queue: BoundedQueue<ReceivedFrame>
  readonly #limits: HeldLimits
  readonly #budget: HeldBudget
  /** Nothing is left that decodes without a keyframe first. */
  #waitsForKeyframe = false

  constructor(budget: HeldBudget, limits: HeldLimits = heldLimits) {
    this.#budget = budget
    this.#limits = limits
    this.#queue = new BoundedQueue(limits, sizeOf)
  }

  get length(): number {
    return this.#queue.length
  }

  /** To be asked for every frame: whether the GOP that it belongs to was given up. A keyframe begins another. */
  isCutOff(received: ReceivedFrame): boolean {
    if (isKey(received)) this.#waitsForKeyframe = false
    return this.#waitsForKeyframe
  }

  /** @returns the numbers that had to go for it; the frame itself may be the last of them */
  push(received: ReceivedFrame): Dropped | undefined {
    const { sequence } = received.frame
    if (this.isCutOff(received)) return { from: sequence, to: sequence }
    let dropped: Dropped | undefined
    while (this.#isFullFor(received)) {
      dropped = { from: dropped?.from ?? this.#queue.peek()?.frame.sequence ?? sequence, to: this.#dropGop() }
      if (this.#queue.length > 0 || (isKey(received) && !this.#isFullFor(received))) continue
      // The GOP that went was its own, or there is no room for anything.
      this.#waitsForKeyframe = true
      return { from: dropped.from, to: sequence }
    }
    this.#queue.push(received)
    this.#budget.add(sizeOf(received))
    return dropped
  }

  /** The GOP that goes on here was given up: all of it that is held goes too. @returns the last number of it */
  cutOff(): number | undefined {
    let last: number | undefined
    for (let next = this.#queue.peek(); next !== undefined && !isKey(next); next = this.#queue.peek())
      last = this.shift()?.frame.sequence
    this.#waitsForKeyframe = this.#queue.length === 0
    return last
  }

  shift(): ReceivedFrame | undefined {
    const received = this.#queue.shift()
    if (received !== undefined) this.#budget.add(-sizeOf(received))
    return received
  }

  clear(): void {
    this.#budget.add(-this.#queue.bytes)
    this.#queue.clear()
  }

  #isFullFor(received: ReceivedFrame): boolean {
    const { span, items, bytes } = this.#limits
    const size = sizeOf(received)
    const oldest = this.#queue.peek()
    return (
      (oldest !== undefined && received.at - oldest.at > span) ||
      this.#queue.length >= items ||
      this.#queue.bytes + size > bytes ||
      !this.#budget.hasRoom(size)
    )
  }

  /** @returns the last number of it, -1 where there was nothing */
  #dropGop(): number {
    const first = this.shift()
    let last = first
    for (let next = this.#queue.peek(); next !== undefined; next = this.#queue.peek()) {
      const isEnough = next.tracks.video || next.at - (first?.at ?? 0) >= soundAtOnce
      if (isKey(next) && isEnough) break
      last = this.shift()
    }
    return last?.frame.sequence ?? -1
  }
}

const sizeOf = ({ frame }: ReceivedFrame): number => frame.data.byteLength

const isKey = ({ frame, tracks }: ReceivedFrame): boolean => frame.keyframe && frame.track === tracks.main
