/**
 * Where pages reach the gateways of a log: which of them a page may be sent to, and whose pages may come here. A
 * gateway that is gone is remembered for the second: its pages go on elsewhere.
 */
import { isLoopback } from '../core/route.ts'
import type { GatewayAddress } from './heartbeat-record.ts'

export const addressLimits = {
  /** Addresses that a page is told. */
  told: 16,
  /** Addresses that are remembered; those that were not heard for longest go first. */
  known: 1024,
} as const

export class Addresses {
  /** This gateway's; undefined where only what is in front of it is known to pages. */
  own: GatewayAddress | undefined
  readonly #random: () => number
  /** In the order in which they were heard last. */
  readonly #known = new Set<string>()

  /** @param random 0 to 1 */
  constructor(random: () => number) {
    this.#random = random
  }

  /** A gateway has said where it is. */
  remember({ url }: GatewayAddress): void {
    const origin = plain(url)
    this.#known.delete(origin)
    this.#known.add(origin)
    for (const oldest of this.#known) {
      if (this.#known.size <= addressLimits.known) break
      this.#known.delete(oldest)
    }
  }

  /** Whether pages of an origin are a gateway's of this log. */
  isKnown(origin: string): boolean {
    return this.#known.has(plain(origin))
  }

  /**
   * What a page of this gateway is told to go on with.
   * @param others the living ones
   * @returns in an order of its own for each page, so that those of a gateway that is gone spread
   */
  forPage(others: Iterable<GatewayAddress>): string[] {
    const urls = new Set<string>()
    for (const { url, host } of others) {
      const isReachable = host === undefined || host === this.own?.host
      if (isReachable && url !== this.own?.url) urls.add(url)
    }
    const shuffled = [...urls].map(url => ({ url, place: this.#random() }))
    shuffled.sort((a, b) => a.place - b.place)
    return shuffled.slice(0, addressLimits.told).map(({ url }) => url)
  }
}

/** The names of a machine for itself are one. */
function plain(origin: string): string {
  if (!isLoopback(origin)) return origin
  const url = new URL(origin)
  url.hostname = 'localhost'
  return url.origin
}
