/**
 * Frames that are not known to be in the log: kept until they are acknowledged, sent again after a reconnection.
 * Bounded in media time and bytes; when full, the oldest GOPs go as wholes, so what is left can be decoded.
 */
import type { NumberedFrame } from '../media/frame.ts'

export interface UnacknowledgedLimits {
  /** Media time between the oldest and the newest frame, microseconds. */
  readonly span: number
  readonly bytes: number
}

export const unacknowledgedLimits: UnacknowledgedLimits = { span: 30_000_000, bytes: 64 * 1024 * 1024 }

/** Numbers of frames that were sent and are not kept: past it, the oldest count as lost. */
export const forgottenLimit = 100_000

export interface Added {
  /** Frames that had to go and are lost; the frame added may be one of them. Not those that the gateway has. */
  readonly dropped: number
  /** Nothing that can be decoded is left: the encoder should give a keyframe. */
  readonly needsKeyframe: boolean
}

/** What giving numbers up has cost. */
export interface GivenUp {
  /** Frames that are lost by it. */
  readonly lost: number
  /** Nothing that was sent can be gone on with: the encoder should give a keyframe. Said once until it comes. */
  readonly needsKeyframe: boolean
}

export class Unacknowledged<Kept extends NumberedFrame = NumberedFrame> {
  readonly #opensGop: (frame: Kept) => boolean
  readonly #limits: UnacknowledgedLimits
  /** What is before the head is gone; the array is shortened from time to time. */
  #frames: Kept[] = []
  #head = 0
  /** Index of the first frame that this connection has not been given. */
  #unsent = 0
  #bytes = 0
  #waitsForKeyframe = false
  /** Number of the frame that was added last of those that open a GOP. */
  #newestKey = -1
  /** Numbers that were sent and had to go: the gateway may still write them. Ascending. */
  #forgotten: number[] = []

  /** @param opensGop whether what follows decodes from this frame on */
  constructor(opensGop: (frame: Kept) => boolean, limits = unacknowledgedLimits) {
    this.#opensGop = opensGop
    this.#limits = limits
  }

  get length(): number {
    return this.#frames.length - this.#head
  }

  get bytes(): number {
    return this.#bytes
  }

  /** @param frame numbered above all that were added before */
  add(frame: Kept): Added {
    const opensGop = this.#opensGop(frame)
    if (opensGop) this.#newestKey = frame.sequence
    if (this.#waitsForKeyframe) {
      if (!opensGop) return { dropped: 1, needsKeyframe: false }
      this.#waitsForKeyframe = false
    }
    this.#frames.push(frame)
    this.#bytes += frame.data.byteLength
    let dropped = 0
    while (this.length > 0 && this.#isFull(frame)) dropped += this.#dropGop()
    this.#waitsForKeyframe = this.length === 0
    return { dropped, needsKeyframe: this.#waitsForKeyframe }
  }

  /** All numbers up to this one are safe. @returns the frames that are kept no more, in their order */
  acknowledge(sequence: number): Kept[] {
    const end = this.#frames.findIndex((frame, i) => i >= this.#head && frame.sequence > sequence)
    const safe = this.#frames.slice(this.#head, end < 0 ? undefined : end)
    for (let i = 0; i < safe.length; i++) this.#dropFirst()
    this.#shorten()
    if (this.#forgotten.length > 0) this.#forgotten = this.#forgotten.filter(number => number > sequence)
    return safe
  }

  /** Numbers that the gateway gave up: they will never be acknowledged. */
  giveUp(from: number, to: number): GivenUp {
    const forgotten = this.#forgotten.length
    this.#forgotten = this.#forgotten.filter(number => number < from || number > to)
    const lost = this.#giveUpKept(from, to) + forgotten - this.#forgotten.length
    // What was sent since belongs to the same GOP, and the gateway takes none of it.
    return { lost, needsKeyframe: to >= this.#newestKey && this.cutOff() }
  }

  /** What follows does not decode before the next keyframe, and is not taken. @returns false where that was known */
  cutOff(): boolean {
    const isNew = !this.#waitsForKeyframe
    this.#waitsForKeyframe = true
    return isNew
  }

  #giveUpKept(from: number, to: number): number {
    const isGiven = ({ sequence }: NumberedFrame): boolean => sequence >= from && sequence <= to
    const given = this.#frames.slice(this.#head).filter(isGiven)
    if (given.length === 0) return 0
    const unsent = this.#frames.slice(this.#head, this.#unsent).filter(frame => !isGiven(frame)).length
    this.#frames = this.#frames.slice(this.#head).filter(frame => !isGiven(frame))
    this.#head = 0
    this.#unsent = unsent
    for (const { data } of given) this.#bytes -= data.byteLength
    return given.length
  }

  /** The next frame that this connection has not been given. */
  take(): Kept | undefined {
    const frame = this.#frames[this.#unsent]
    if (frame !== undefined) this.#unsent += 1
    return frame
  }

  /** A new connection goes on with this number: everything kept from there on is to be sent. @returns how many are lost */
  rewind(next: number): number {
    this.acknowledge(next - 1)
    this.#unsent = this.#head
    return this.#forgotten.splice(0).length
  }

  /** @returns how many are lost */
  clear(): number {
    const lost = this.length + this.#forgotten.length
    this.#forgotten = []
    this.#frames = []
    this.#head = 0
    this.#unsent = 0
    this.#bytes = 0
    this.#newestKey = -1
    this.#waitsForKeyframe = false
    return lost
  }

  #isFull(newest: NumberedFrame): boolean {
    if (this.#bytes > this.#limits.bytes) return true
    const oldest = this.#frames[this.#head]
    return oldest !== undefined && newest.timestamp - oldest.timestamp > this.#limits.span
  }

  #dropGop(): number {
    let dropped = 0
    do {
      const sequence = this.#frames[this.#head]?.sequence
      if (this.#head < this.#unsent && sequence !== undefined) this.#forgotten.push(sequence)
      else dropped += 1
      this.#dropFirst()
      const first = this.#frames[this.#head]
      if (first === undefined || this.#opensGop(first)) break
    } while (this.length > 0)
    this.#shorten()
    return dropped + this.#forgotten.splice(0, Math.max(0, this.#forgotten.length - forgottenLimit)).length
  }

  #dropFirst(): void {
    this.#bytes -= this.#frames[this.#head]?.data.byteLength ?? 0
    this.#head += 1
    this.#unsent = Math.max(this.#unsent, this.#head)
  }

  #shorten(): void {
    if (this.#head < 512 || this.#head < this.#frames.length / 2) return
    this.#frames = this.#frames.slice(this.#head)
    this.#unsent -= this.#head
    this.#head = 0
  }
}
