/**
 * Decode times of frames that come in decode order with their presentation times alone: each is decoded when as many frames
 * are presented as were before it, less those that may be out of order. So none is decoded later than it is presented, and
 * times never go back.
 */
import { type Micros, micros } from '../units.ts'

/** Frames out of order at most, as a decoder holds no more. */
const most = 16

export class DecodeTimes {
  readonly #reorder: number
  /** Presentation times that no frame was decoded at, ascending; as many as may be out of order. */
  #waiting: number[] | undefined
  #last = Number.NEGATIVE_INFINITY

  /** @param reorder frames that may come before one that is presented earlier */
  constructor(reorder: number) {
    this.#reorder = Math.min(most, reorder)
  }

  /** @param duration of a frame, microseconds: how far before the first one decoding begins */
  next(timestamp: Micros, duration: number): Micros {
    this.#waiting ??= Array.from(
      { length: this.#reorder },
      (_, i) => timestamp - (this.#reorder - i) * duration,
    )
    const place = this.#waiting.findIndex(time => time > timestamp)
    this.#waiting.splice(place < 0 ? this.#waiting.length : place, 0, timestamp)
    // A stream that keeps less order than it says stays in the order of its bytes.
    this.#last = Math.min(timestamp, Math.max(this.#last, this.#waiting.shift() ?? timestamp))
    return micros(this.#last)
  }
}
