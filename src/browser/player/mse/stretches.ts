/**
 * The element's own time, and whose media time is where on it. Sessions have media clocks of their own; on the
 * element they stand one behind the other, each moved by a base.
 */
import type { Frame } from '../../../media/frame.ts'
import { type Micros, micros } from '../../../units.ts'

export interface Stretch {
  readonly session: string
  /** Element time minus media time, microseconds. */
  readonly base: number
  /** Element time of its first frame, microseconds; and its media time. */
  readonly from: number
  readonly first: number
  /** The newest media time of each track. */
  readonly lasts: Partial<Record<Kind, number>>
  /** Wall clock of the gateway at capture minus media time, milliseconds, once a frame has told. */
  capture: number | undefined
  /** The newest media time that was put in, and where what was put in ends. */
  last: number
  end: number
}

export const stretchLimits = {
  /** Stretches that are remembered: those behind what is played are of no more use. */
  stretches: 32,
  /** Microseconds by which the times of a track may go back: B-frames do, by less. */
  back: 1_000_000,
} as const

export type Kind = 'video' | 'audio'

export class Stretches {
  #list: Stretch[] = []

  get newest(): Stretch | undefined {
    return this.#list.at(-1)
  }

  /**
   * The stretch that a frame belongs to, which ends with it now. A clock that goes back within its session begins
   * another one; what the other track still has of the time before stays in the one before.
   * @param after element time at which another one would begin at the earliest, microseconds
   */
  place(
    kind: Kind,
    { timestamp, duration }: Pick<Frame, 'timestamp' | 'duration'>,
    session: string,
    after: number,
  ): Stretch {
    let stretch = this.newest
    if (stretch?.session !== session) stretch = this.begin(session, timestamp, after)
    const last = stretch.lasts[kind]
    if (last !== undefined && timestamp < last - stretchLimits.back)
      stretch = this.begin(session, timestamp, after)
    else if (last === undefined) {
      const before = this.#list.at(-2)
      const end = before?.session === session ? before.lasts[kind] : undefined
      const isOld = end !== undefined && Math.abs(timestamp - end) < Math.abs(timestamp - stretch.first)
      if (before !== undefined && isOld) stretch = before
    }
    stretch.lasts[kind] = Math.max(stretch.lasts[kind] ?? timestamp, timestamp)
    stretch.last = Math.max(stretch.last, timestamp)
    stretch.end = Math.max(stretch.end, timestamp + (duration ?? 0) + stretch.base)
    return stretch
  }

  /** Begins one behind the others. @param first media time of its first frame. @param after element time, microseconds */
  begin(session: string, first: Micros, after: number): Stretch {
    const from = Math.max(after, this.newest?.end ?? 0)
    const base = from - first
    const stretch = { session, base, from, first, lasts: {}, capture: undefined, last: first, end: from }
    this.#list.push(stretch)
    if (this.#list.length > stretchLimits.stretches) this.#list.shift()
    return stretch
  }

  /** @param time of the element, seconds */
  at(time: number): { readonly stretch: Stretch; readonly timestamp: Micros } | undefined {
    const moment = time * 1_000_000
    const stretch = this.#list.findLast(({ from }) => from <= moment + 1) ?? this.#list[0]
    return stretch && { stretch, timestamp: micros(moment - stretch.base) }
  }

  clear(): void {
    this.#list = []
  }
}
