/**
 * A broadcast in segments, the same whoever makes them and wherever they begin to read. Time goes by the gateways' clock in slots; a
 * segment is all GOPs whose keyframe was received in one slot, and has the slot's number. Its parts go by media time from its keyframe
 * on. Nothing but the log says where they begin and end: an offset names each.
 */
import { type Catalog, mainTrack } from '../media/catalog.ts'
import { usualPictureDuration } from '../media/picture.ts'
import type { Millis, Offset } from '../units.ts'
import type { RecordedFrame } from './recording.ts'

export const segmentLimits = {
  /** Milliseconds of a slot: segments are about so long, or a GOP where that is longer. */
  slot: 4000,
  /** Microseconds of a part. */
  part: 500_000,
} as const

export const slotOf = (time: Millis): number => Math.floor(time / segmentLimits.slot)

export interface SegmentPart {
  readonly first: Offset
  readonly end: Offset
  /** Microseconds. */
  readonly duration: number
  readonly isKey: boolean
}

export interface Segment {
  readonly slot: number
  readonly first: Offset
  /** When its keyframe was received. */
  readonly time: Millis
  readonly session: string
  readonly catalog: Catalog
  readonly parts: readonly SegmentPart[]
  /** Undefined while more of it may come. */
  readonly end: Offset | undefined
  /** Microseconds so far. */
  readonly duration: number
  readonly bytes: number
}

interface OpenSegment {
  readonly slot: number
  readonly first: Offset
  readonly time: Millis
  readonly session: string
  readonly catalog: Catalog
  readonly parts: SegmentPart[]
  /** Of the keyframe. */
  readonly begin: number
  end: Offset | undefined
  duration: number
  bytes: number
}

/** A part that is being put together. */
interface OpenPart {
  readonly number: number
  readonly first: Offset
  readonly begin: number
  readonly isKey: boolean
}

export class Segmenter {
  readonly #most: number
  readonly #segments: OpenSegment[] = []
  #part: OpenPart | undefined
  /** Media time behind the newest frame of the main track. */
  #behind = 0
  /** That reading began in, so that GOPs of it may be missing; undefined until a keyframe has come, and where none can be. */
  #torn: number | undefined
  #isTorn: boolean

  /**
   * @param most segments that are kept
   * @param isWhole whether reading begins with the first record that there ever was
   */
  constructor(most: number, isWhole: boolean) {
    this.#most = most
    this.#isTorn = !isWhole
  }

  /** Ascending. */
  get segments(): readonly Segment[] {
    return this.#segments
  }

  /** Frames in their order; those before the first keyframe are passed over. @returns whether a part was closed */
  take(one: RecordedFrame): boolean {
    if (this.#isTorn && !this.#isPast(one)) return false
    const open = this.#segments.at(-1)
    const isMain = one.frame.track === mainTrack(one.catalog)?.name
    const at = one.frame.decodeTimestamp ?? one.frame.timestamp
    const isNew =
      one.opensGop &&
      (open === undefined ||
        open.end !== undefined ||
        slotOf(one.time) > open.slot ||
        one.session !== open.session)
    if (isNew) {
      const isClosed = this.close(one.offset, one.session === open?.session ? at : undefined)
      this.#begin(one, at)
      return isClosed
    }
    if (open === undefined || open.end !== undefined) return false
    open.bytes += one.frame.data.byteLength
    if (!isMain) return false
    const number = Math.floor((at - open.begin) / segmentLimits.part)
    let isClosed = false
    if (this.#part !== undefined && number > this.#part.number) {
      this.#closePart(open, one.offset, at)
      this.#part = { number, first: one.offset, begin: at, isKey: one.opensGop }
      isClosed = true
    }
    this.#behind = at + (one.frame.duration ?? usualPictureDuration)
    return isClosed
  }

  /** Whether the slot that reading began in is over. */
  #isPast(one: RecordedFrame): boolean {
    if (!one.opensGop) return false
    this.#torn ??= slotOf(one.time)
    this.#isTorn = slotOf(one.time) === this.#torn
    return !this.#isTorn
  }

  /** Nothing more comes of the segment. @param at media time of what comes behind it, where that is of the same clock */
  close(end: Offset, at?: number): boolean {
    const open = this.#segments.at(-1)
    if (open === undefined || open.end !== undefined) return false
    this.#closePart(open, end, at ?? this.#behind)
    open.end = end
    return true
  }

  #begin(one: RecordedFrame, at: number): void {
    const { offset, time, session, catalog, frame } = one
    // Two in one slot: a session that took over. The later one has the next number.
    const slot = Math.max(slotOf(time), (this.#segments.at(-1)?.slot ?? -1) + 1)
    this.#segments.push({
      ...{ slot, first: offset, time, session, catalog, parts: [], begin: at },
      ...{ end: undefined, duration: 0, bytes: frame.data.byteLength },
    })
    if (this.#segments.length > this.#most) this.#segments.shift()
    this.#part = { number: 0, first: offset, begin: at, isKey: true }
    this.#behind = at + (frame.duration ?? usualPictureDuration)
  }

  #closePart(open: OpenSegment, end: Offset, at: number): void {
    const part = this.#part
    this.#part = undefined
    if (part === undefined || end <= part.first) return
    const duration = Math.max(0, at - part.begin)
    open.parts.push({ first: part.first, end, duration, isKey: part.isKey })
    open.duration += duration
  }
}
