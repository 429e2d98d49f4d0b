/** Counts what the library sends, whoever makes it send: it says so on a diagnostics channel of its own. */
import { subscribe } from 'node:diagnostics_channel'

const metadataKey = 3
const names: Readonly<Record<number, 'produce' | 'fetch' | 'metadata'>> = {
  0: 'produce',
  1: 'fetch',
  [metadataKey]: 'metadata',
}

export interface RequestCounts {
  readonly produce: number
  readonly fetch: number
  readonly metadata: number
  readonly other: number
}

export class Requests {
  #counts = { produce: 0, fetch: 0, metadata: 0, other: 0 }
  /** When metadata was asked for, milliseconds of performance.now(). */
  readonly refreshes: number[] = []

  constructor() {
    subscribe('tracing:plt:kafka:connections:api:start', message => {
      const { apiKey } = message as { readonly apiKey: number }
      this.#counts[names[apiKey] ?? 'other'] += 1
      if (apiKey === metadataKey) this.refreshes.push(performance.now())
    })
  }

  get counts(): RequestCounts {
    return { ...this.#counts }
  }
}

export const countsBetween = (before: RequestCounts, after: RequestCounts): RequestCounts => ({
  produce: after.produce - before.produce,
  fetch: after.fetch - before.fetch,
  metadata: after.metadata - before.metadata,
  other: after.other - before.other,
})
