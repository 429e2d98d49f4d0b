/**
 * How long a broadcast has been silent. Counted in looks, each of which counts for little more than the time between
 * two: a gateway that was frozen reads what came in the meantime before it calls anybody silent.
 */
import type { Clock } from '../core/clock.ts'

export const silenceLimits = {
  /** Milliseconds between two looks. */
  look: 1000,
  /** What a look counts for at most, milliseconds. */
  most: 1500,
} as const

export class Silence {
  readonly #clock: Clock
  readonly #onLook: () => void
  #cancel: (() => void) | undefined
  #countedAt = 0
  #span: number | undefined

  constructor(clock: Clock, onLook: () => void) {
    this.#clock = clock
    this.#onLook = onLook
  }

  /** Something came. @param age of it, milliseconds */
  heard(age = 0): void {
    this.#span = age
    this.#countedAt = this.#clock.monotonic()
  }

  /**
   * Milliseconds, undefined where nothing ever came. Counts: to be asked once a look.
   * @param atMost it grows up to: what could not have come is no silence of the publisher's
   */
  count(atMost = Number.POSITIVE_INFINITY): number | undefined {
    if (this.#span === undefined) return undefined
    const now = this.#clock.monotonic()
    const more = Math.min(now - this.#countedAt, silenceLimits.most)
    this.#span = Math.max(this.#span, Math.min(this.#span + more, atMost))
    this.#countedAt = now
    return this.#span
  }

  /** Looks once more, after a while. */
  watch(): void {
    this.stop()
    this.#cancel = this.#clock.after(silenceLimits.look, this.#onLook)
  }

  stop(): void {
    this.#cancel?.()
  }
}
