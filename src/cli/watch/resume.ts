/** Where a viewer goes on after a lost connection, and what it has had already. */
import type { Offset } from '../../units.ts'

/** Sessions of a broadcast whose newest number is remembered; readers of the log remember as many. */
const sessionLimit = 16

export class Resume {
  readonly #last = new Map<string, number>()
  #offset: Offset | undefined

  /** The position to ask for, or undefined before the first frame. */
  get from(): string | undefined {
    return this.#offset === undefined ? undefined : `@${this.#offset + 1}`
  }

  /** Of the newest frame. */
  get offset(): Offset | undefined {
    return this.#offset
  }

  /** Frames of a session that lie between the newest of it and this one; undefined where none of it came before. */
  missing(session: string, sequence: number): number | undefined {
    const last = this.#last.get(session)
    return last === undefined ? undefined : Math.max(0, sequence - last - 1)
  }

  /** @returns false for a frame that has come before: a connection begins with the GOP that it goes on in */
  accept(session: string, sequence: number, offset: Offset | undefined): boolean {
    const last = this.#last.get(session)
    if (last !== undefined && sequence <= last) return false
    this.#last.delete(session)
    this.#last.set(session, sequence)
    if (this.#last.size > sessionLimit) {
      const [oldest] = this.#last.keys()
      if (oldest !== undefined) this.#last.delete(oldest)
    }
    this.#offset = offset ?? this.#offset
    return true
  }
}
