/**
 * When a recorded frame was captured, on the page's clock. A recording's times count from its start, but on a clock of
 * the browser's that may run at another pace, and nothing but the arrival of frames tells which. So arrival is
 * followed as a camera's is, less what it was late by while start and clock had no time yet to part.
 */
import { CaptureClock } from './capture-clock.ts'

/** Milliseconds from the start in which the two count as the same. */
const trusted = 2000

export class RecorderClock {
  readonly #startedAt: number
  readonly #arrivals = new CaptureClock()
  /** Milliseconds from capture to arrival, at best. */
  #late = 0

  /** @param startedAt when the recording began, on the page's clock, milliseconds */
  constructor(startedAt: number) {
    this.#startedAt = startedAt
  }

  /**
   * @param timestamp of the recording, milliseconds
   * @param now when the frame came, on the page's clock, milliseconds
   * @returns when it was captured, on the page's clock, milliseconds
   */
  place(timestamp: number, now: number): number {
    const arrival = this.#arrivals.place(timestamp, now)
    if (timestamp > trusted) return arrival - this.#late
    this.#late = Math.max(0, arrival - timestamp - this.#startedAt)
    return this.#startedAt + timestamp
  }
}
