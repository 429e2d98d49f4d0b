/**
 * What lies between where a replay begins to read and the position that was asked for. A record's `start` is a lower
 * bound: whole GOPs may lie in between that nobody asked for, and only the last of them is needed, to decode.
 */
import { gopLimits } from './gop.ts'
import type { Packet } from './packet.ts'
import type { Accepted } from './stream.ts'

export interface Step {
  readonly accepted: Accepted
  readonly packet: Packet
  /** The newest one. */
  readonly catalog: Packet | undefined
}

export class Approach {
  #held: Step[] = []
  #bytes = 0

  /** @returns what is to be sent now: nothing, or all that is held where a GOP outgrows the limits of the memory */
  take(step: Step): readonly Step[] {
    if (step.accepted.opensGop) this.rest()
    this.#held.push(step)
    this.#bytes += step.packet.size
    return this.#held.length > gopLimits.packets || this.#bytes > gopLimits.bytes ? this.rest() : []
  }

  /** What is held is taken out. */
  rest(): readonly Step[] {
    const held = this.#held
    this.#held = []
    this.#bytes = 0
    return held
  }
}
