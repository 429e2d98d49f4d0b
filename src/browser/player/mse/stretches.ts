/**
 * The element's own time, and whose media time is where on it. Sessions have media clocks of their own; on the
 * element they stand one behind the other, each moved by a base.
 */
import { type Micros, micros } from '../../../units.ts'

export interface Stretch {
  readonly session: string
  /** Element time minus media time, microseconds. */
  readonly base: number
  /** Element time of its first frame, microseconds. */
  readonly from: number
  /** Wall clock of the gateway at capture minus media time, milliseconds, once a frame has told. */
  capture: number | undefined
  /** The newest media time that was put in, and where what was put in ends. */
  last: number
  end: number
}

/** Stretches that are remembered: those behind what is played are of no more use. */
const limit = 32

export class Stretches {
  #list: Stretch[] = []

  get newest(): Stretch | undefined {
    return this.#list.at(-1)
  }

  /** Begins one behind the others. @param first media time of its first frame. @param after element time, microseconds */
  begin(session: string, first: Micros, after: number): Stretch {
    const from = Math.max(after, this.newest?.end ?? 0)
    const stretch = { session, base: from - first, from, capture: undefined, last: first, end: from }
    this.#list.push(stretch)
    if (this.#list.length > limit) this.#list.shift()
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
