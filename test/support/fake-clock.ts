/** A clock that stands still until the test moves it. */
import { setImmediate as turn } from 'node:timers/promises'
import type { Clock } from '../../src/core/clock.ts'
import type { Millis } from '../../src/units.ts'

interface Timer {
  readonly at: number
  readonly call: () => void
}

export class FakeClock implements Clock {
  /** What the wall clock is ahead of the monotonic one. */
  wall = 1_800_000_000_000
  #time = 0
  #timers = new Set<Timer>()

  now(): Millis {
    return (this.wall + this.#time) as Millis
  }

  monotonic(): number {
    return this.#time
  }

  after(span: number, call: () => void): () => void {
    const timer = { at: this.#time + span, call }
    this.#timers.add(timer)
    return () => void this.#timers.delete(timer)
  }

  /** Moves on; what is due runs in its order. */
  advance(span: number): void {
    const until = this.#time + span
    for (;;) {
      const [next] = [...this.#timers].filter(({ at }) => at <= until).sort((a, b) => a.at - b.at)
      if (next === undefined) break
      this.#timers.delete(next)
      this.#time = Math.max(this.#time, next.at)
      next.call()
    }
    this.#time = until
  }

  /** Time passes and nothing runs, as for a process that is stopped; what was due runs at once afterwards. */
  freeze(span: number): void {
    this.#time += span
  }
}

/** Waits, a turn of the event loop at a time, for something that other events bring about. */
export async function until(condition: () => boolean): Promise<void> {
  while (!condition()) await turn()
}
