/**
 * Brings a source's timestamps onto the page's clock. Cameras and microphones count from different zeros and
 * deliver with different delays; the smallest delay seen is how long delivery takes at least, so a timestamp
 * plus that is when its frame could be had. Both tracks then share the page's clock as their media clock.
 */
export const captureClockLimits = {
  /** Milliseconds over which the smallest delay is sought: long enough to see one, short enough for drift. */
  window: 5000,
  /** Milliseconds at the start in which a smaller delay counts at once. */
  settling: 1000,
  /** Milliseconds that the estimate moves with one frame at most. */
  step: 0.2,
  /** Milliseconds past which the estimate jumps: the source's clock was set, or the machine slept. */
  jump: 100,
  /**
   * Milliseconds over which even the quickest delivery must be late, and by how much, for time to be lost: a sound
   * card that ran dry counts no samples for what it left out. A camera reads a clock: its pictures are only late.
   */
  recent: 500,
  lost: 60,
} as const

export class CaptureClock {
  readonly #least = new Least(captureClockLimits.window)
  readonly #recent = new Least(captureClockLimits.recent)
  #since = 0
  readonly #losesTime: boolean
  #delay: number | undefined

  /** @param losesTime whether the source counts samples, and so may leave out time without a word */
  constructor({ losesTime = false } = {}) {
    this.#losesTime = losesTime
  }

  /**
   * @param timestamp of the source, milliseconds
   * @param now when it was delivered, on the page's clock, milliseconds
   * @returns when it was captured, on the page's clock, milliseconds
   */
  place(timestamp: number, now: number): number {
    const seen = now - timestamp
    if (this.#delay === undefined) this.#since = now
    const recent = this.#recent.add(seen, now)
    const least = this.#least.add(seen, now)
    if (this.#losesTime && recent - least > captureClockLimits.lost) {
      this.#least.forget()
      this.#least.add(recent, now)
      this.#delay = recent
    } else this.#delay = this.#moved(least, now)
    return timestamp + this.#delay
  }

  #moved(smallest: number, now: number): number {
    const delay = this.#delay
    if (delay === undefined) return smallest
    const difference = smallest - delay
    const settling = now - this.#since < captureClockLimits.settling
    if ((settling && difference < 0) || Math.abs(difference) > captureClockLimits.jump) return smallest
    return delay + Math.max(-captureClockLimits.step, Math.min(captureClockLimits.step, difference))
  }
}

/** The smallest value of the last one to two windows. */
class Least {
  readonly #window: number
  #since: number | undefined
  #current = Number.POSITIVE_INFINITY
  #previous = Number.POSITIVE_INFINITY

  /** @param window milliseconds */
  constructor(window: number) {
    this.#window = window
  }

  /** @returns the smallest, this one included */
  add(value: number, now: number): number {
    this.#since ??= now
    if (now - this.#since > this.#window) {
      this.#previous = this.#current
      this.#current = Number.POSITIVE_INFINITY
      this.#since = now
    }
    this.#current = Math.min(this.#current, value)
    return Math.min(this.#current, this.#previous)
  }

  forget(): void {
    this.#since = undefined
    this.#current = Number.POSITIVE_INFINITY
    this.#previous = Number.POSITIVE_INFINITY
  }
}
