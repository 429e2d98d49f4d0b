/**
 * Requests cost both sides more than the frames in them. At few frames each goes at once; as their number grows, requests to a
 * broker keep a distance that grows too, and each carries more. 1,500 frames/s: 3.75 ms with one broker, 10 ms
 * with three, where an answer takes that long anyway. One camera never waits.
 */
import { setTimeout as delay } from 'node:timers/promises'

/** A frame that is written here and read back counts twice. */
const millisPerRecord = 1 / 800
const longestDistance = 10
/** Weight of the newest second in the rate. */
const newest = 0.5

export class Pacer {
  readonly #brokers: () => number
  #rate = 0
  #count = 0
  #since = performance.now()

  /** @param brokers how many brokers share the records */
  constructor(brokers: () => number) {
    this.#brokers = brokers
  }

  count(records: number): void {
    this.#count += records
    const span = performance.now() - this.#since
    if (span < 1000) return
    this.#rate += newest * ((this.#count * 1000) / span - this.#rate)
    this.#count = 0
    this.#since = performance.now()
  }

  /** @returns milliseconds to wait before the next request, where the one before went out at `last` (performance.now()) */
  waitAfter(last: number): number {
    const distance = Math.min(this.#rate * this.#brokers() * millisPerRecord, longestDistance)
    const wait = last + distance - performance.now()
    // A timer is no finer.
    return wait < 1 ? 0 : wait
  }

  /** Waits for as long as `waitAfter` says. @returns whether there was anything to wait for */
  async keepDistance(last: number): Promise<boolean> {
    const wait = this.waitAfter(last)
    if (wait > 0) await delay(wait)
    return wait > 0
  }
}
