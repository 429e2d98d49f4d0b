/**
 * What a publication writes for its frames: each with what has to stand before it, which is a catalog at the head of a
 * GOP and where the tracks change, and a gap where numbers are missing.
 */
import type { WrittenEntry } from '../log/record.ts'
import type { Offset } from '../units.ts'
import type { Dropped, ReceivedFrame, TrackSet } from './held-frames.ts'

/** Media time after which an audio-only broadcast gets its next catalog, microseconds. */
const catalogEvery = 2_000_000

/** Where a GOP began in the log, and under which claim. */
export interface GopOrigin {
  readonly start: Offset
  readonly epoch: Offset
}

export interface Claim {
  readonly epoch: Offset
  readonly session: string
  /** Number of the first frame to come. */
  readonly next: number
  /** Where the GOP began that the session goes on with. */
  readonly gop: GopOrigin | undefined
}

export const gapReasons = {
  stalled: 'the log stalled',
  left: 'the publisher dropped them',
  lost: 'the log has lost them',
  tooLarge: 'a frame is larger than the log takes',
} as const
export type GapReason = keyof typeof gapReasons

export class SessionRecords {
  readonly #resumeHash: string
  readonly #session: string
  readonly #first: number
  #epoch: Offset
  #next: number
  /** Whose catalog was written last. */
  #written: TrackSet | undefined
  #catalogTime = Number.NEGATIVE_INFINITY
  #gop: GopOrigin | undefined
  /** The last number that was given up, and why. */
  #droppedTo = -1
  #droppedFor: GapReason = 'stalled'

  constructor({ epoch, session, next, gop }: Claim, resumeHash: string) {
    this.#resumeHash = resumeHash
    this.#session = session
    this.#first = next
    this.#epoch = epoch
    this.#next = next
    this.#gop = gop
  }

  get epoch(): Offset {
    return this.#epoch
  }

  /** Number of the next frame to be written. */
  get next(): number {
    return this.#next
  }

  /** Its claim counts under another epoch. @returns false where something was written under this one */
  adopt(epoch: Offset): boolean {
    if (this.#next !== this.#first) return false
    this.#epoch = epoch
    return true
  }

  /** @param end of the log: where the first record goes at the earliest */
  ofFrame(received: ReceivedFrame, end: Offset): WrittenEntry[] {
    const { frame, tracks } = received
    const entries = this.#gapBefore(frame.sequence)
    const opensGop = this.#opensGop(received)
    if (this.#written !== tracks || opensGop) {
      // A catalog between two keyframes changes nothing about where its GOP began.
      if (opensGop || this.#gop === undefined) this.#gop = { start: end, epoch: this.#epoch }
      this.#written = tracks
      this.#catalogTime = frame.timestamp
      const resumeHash = this.#resumeHash
      entries.push({ kind: 'catalog', ...this.#place(), catalog: tracks.bytes, resumeHash })
    }
    entries.push({ kind: 'frame', ...this.#place(), sequence: frame.sequence, frame })
    this.#next = frame.sequence + 1
    return entries
  }

  ofEnd(reason: string): WrittenEntry[] {
    return [...this.#gapBefore(this.#droppedTo + 1), { kind: 'end', ...this.#place(), reason }]
  }

  /** Numbers will never come. */
  giveUp({ to }: Dropped, reason: GapReason): void {
    this.#droppedTo = to
    this.#droppedFor = reason
  }

  /** Why the numbers just before one were given up, where no frame was written since. */
  reasonBefore(sequence: number): GapReason | undefined {
    return sequence === this.#droppedTo + 1 && this.#droppedTo >= this.#next ? this.#droppedFor : undefined
  }

  /** What was made from a number on is not in the log, and is told anew. */
  rewind(next: number): void {
    this.#next = next
    this.#written = undefined
  }

  /** Tells of the numbers that are missing before one. */
  #gapBefore(sequence: number): WrittenEntry[] {
    const from = this.#next
    if (sequence <= from) return []
    const reason = gapReasons[this.#droppedTo >= from ? this.#droppedFor : 'left']
    return [{ kind: 'gap', epoch: this.#epoch, session: this.#session, from, to: sequence - 1, reason }]
  }

  #place(): { epoch: Offset; session: string; start?: Offset; startEpoch?: Offset } {
    const gop = this.#gop
    const place = { epoch: this.#epoch, session: this.#session }
    if (gop === undefined) return place
    const startEpoch = gop.epoch === this.#epoch ? {} : { startEpoch: gop.epoch }
    return { ...place, start: gop.start, ...startEpoch }
  }

  /** A video GOP opens with a keyframe; in sound alone every frame is one, so time decides. */
  #opensGop({ frame, tracks }: ReceivedFrame): boolean {
    if (frame.track !== tracks.main || !frame.keyframe) return false
    return tracks.video || frame.timestamp - this.#catalogTime >= catalogEvery
  }
}
