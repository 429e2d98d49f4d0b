/** Where in the log the GOPs begin that a replay was sent: a frame that cannot be decoded costs the rest of its own, and no more. */
import type { Micros, Offset } from '../../units.ts'

/** GOPs that are remembered. A replay runs 10 s ahead of what is shown. */
const limit = 1024

export interface Place {
  readonly session: string
  readonly timestamp: Micros
}

interface Gop extends Place {
  readonly offset: Offset
}

export class GopOffsets {
  #gops: Gop[] = []

  /** A GOP begins. Offsets must come in ascending order. */
  add(gop: Gop): void {
    if (this.#gops.length === limit) this.#gops = this.#gops.slice(limit / 2)
    this.#gops.push(gop)
  }

  /** The offset at which the GOP begins that follows a place; undefined where none is known. */
  after(place: Place | undefined): Offset | undefined {
    const at =
      place === undefined
        ? 0
        : this.#gops.findLastIndex(
            ({ session, timestamp }) => session === place.session && timestamp <= place.timestamp,
          )
    return this.#gops[at + 1]?.offset
  }

  clear(): void {
    this.#gops = []
  }
}
