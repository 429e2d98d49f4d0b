/** Holds frames until they are due: a file is there at once, and plays for as long as it does. */
import { setTimeout as delay } from 'node:timers/promises'
import type { Frame } from '../../media/frame.ts'

/** Milliseconds behind what is due past which the rest is due later: what stood still does not come as a burst. */
const late = 1000

export class Pace {
  readonly #rate: number
  /** When media time 0 was due, of performance.now(). */
  #zero: number | undefined

  /** @param rate 1 for real time */
  constructor(rate: number) {
    this.#rate = rate
  }

  /** Resolves when the frame is due. @throws where the signal is aborted */
  async due({ decodeTimestamp, timestamp }: Frame, signal: AbortSignal): Promise<void> {
    const at = (decodeTimestamp ?? timestamp) / 1000 / this.#rate
    const now = performance.now()
    this.#zero ??= now - at
    if (now - this.#zero - at > late) this.#zero = now - at
    const wait = this.#zero + at - now
    if (wait > 1) await delay(wait, undefined, { signal })
  }
}
