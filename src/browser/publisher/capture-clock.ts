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
} as const

export class CaptureClock {
  #since = 0
  #bucketSince = 0
  #current = Number.POSITIVE_INFINITY
  #previous = Number.POSITIVE_INFINITY
  #delay: number | undefined

  /**
   * @param timestamp of the source, milliseconds
   * @param now when it was delivered, on the page's clock, milliseconds
   * @returns when it was captured, on the page's clock, milliseconds
   */
  place(timestamp: number, now: number): number {
    const seen = now - timestamp
    if (this.#delay === undefined) {
      this.#since = now
      this.#bucketSince = now
    }
    if (now - this.#bucketSince > captureClockLimits.window) {
      this.#previous = this.#current
      this.#current = Number.POSITIVE_INFINITY
      this.#bucketSince = now
    }
    this.#current = Math.min(this.#current, seen)
    this.#delay = this.#moved(Math.min(this.#current, this.#previous), now)
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
