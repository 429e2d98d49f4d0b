/**
 * What viewers who join are sent at once, made once for those who join at the same moment: all pages of a gateway that died
 * come together, and a GOP for each of them anew is hundreds of megabytes to copy and to collect.
 */
import type { Clock } from '../core/clock.ts'
import type { Packet } from '../relay/packet.ts'
import { encodeBundles } from '../wire/message.ts'
import type { Encode } from './run.ts'

/** Milliseconds for which it is kept. */
export const joinsKept = 100

interface Made {
  readonly packets: readonly Packet[]
  readonly bundles: readonly Uint8Array[]
}

export class Joins {
  readonly #clock: Clock
  readonly #encode: Encode
  #newest: Made | undefined

  constructor(clock: Clock, encode: Encode) {
    this.#clock = clock
    this.#encode = encode
  }

  /** @returns messages, borrowed */
  bundlesOf(packets: readonly Packet[]): readonly Uint8Array[] {
    if (this.#newest !== undefined && isSame(this.#newest.packets, packets)) return this.#newest.bundles
    const bundles = encodeBundles(packets.map(packet => this.#encode(packet).message))
    const made = { packets, bundles }
    this.#newest = made
    this.#clock.after(joinsKept, () => {
      if (this.#newest === made) this.#newest = undefined
    })
    return bundles
  }
}

const isSame = (one: readonly Packet[], other: readonly Packet[]): boolean =>
  one.length === other.length && one.every((packet, i) => packet === other[i])
