/**
 * What lies between where a replay begins to read and the position that was asked for. A record's `start` is a lower
 * bound: whole GOPs may lie in between that nobody asked for, and only the last of them is needed, to decode.
 */
import { gopLimits } from './gop.ts'
import type { Seen } from './rendition.ts'

export class Approach {
  #held: Seen[] = []
  #bytes = 0

  /** @returns what is to be sent now: nothing, or all that is held where a GOP outgrows the limits of the memory */
  take(seen: Seen): readonly Seen[] {
    if (seen.accepted.opensGop) this.rest()
    this.#held.push(seen)
    this.#bytes += seen.packet.size
    return this.#held.length > gopLimits.packets || this.#bytes > gopLimits.bytes ? this.rest() : []
  }

  /** What is held is taken out. */
  rest(): readonly Seen[] {
    const held = this.#held
    this.#held = []
    this.#bytes = 0
    return held
  }
}
