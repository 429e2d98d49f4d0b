/** What a load has come to, over all its clients; of a bounded size, however long it runs. */
import { createHistogram, type RecordableHistogram } from 'node:perf_hooks'
import type { HopName, Hops } from '../../media/hops.ts'

/** Of a frame's way, in order: each span begins where the one before it ends. */
export const spanNames = ['sent', 'received', 'read', 'relayed', 'arrived'] as const
export type SpanName = (typeof spanNames)[number]

type Reached = { readonly [Name in HopName]?: number } & { readonly arrived: number }

export const tallyLimits = {
  /** Kinds of closes and errors that are told apart; the rest counts as others. */
  reasons: 32,
} as const

export class Tally {
  /** Nothing counts but clients and their ends, until it is set. */
  isCounting = false
  sent = 0
  sentBytes = 0
  heldBack = 0
  acknowledged = 0
  delivered = 0
  deliveredBytes = 0
  /** That the gateway has told it leaves out. */
  skipped = { quick: 0, slow: 0 }
  /** That nobody has told. */
  lost = 0
  joined = 0
  /** Milliseconds of all that follow are kept as microseconds. */
  readonly joins = createHistogram()
  readonly acks = createHistogram()
  readonly lag = createHistogram()
  readonly spans: Readonly<Record<SpanName, RecordableHistogram>> = {
    sent: createHistogram(),
    received: createHistogram(),
    read: createHistogram(),
    relayed: createHistogram(),
    arrived: createHistogram(),
  }
  readonly #ends = new Map<string, number>()

  /** A connection has ended that should not have. */
  ended(who: 'publisher' | 'viewer', reason: string): void {
    const name = `${who}: ${reason}`
    const isNew = !this.#ends.has(name)
    const key = isNew && this.#ends.size >= tallyLimits.reasons ? `${who}: others` : name
    this.#ends.set(key, (this.#ends.get(key) ?? 0) + 1)
  }

  get ends(): ReadonlyMap<string, number> {
    return this.#ends
  }

  /** @param hops microseconds from the capture on @param arrived the same, at the viewer */
  arrived(hops: Hops | undefined, arrived: number): void {
    record(this.lag, arrived)
    const reached: Reached = { ...hops, arrived }
    let before = 0
    for (const name of spanNames) {
      const at = reached[name]
      if (at === undefined) continue
      record(this.spans[name], at - before)
      before = at
    }
  }
}

/** Clocks of two machines may tell a span to be less than nothing. */
export const record = (histogram: RecordableHistogram, microseconds: number): void => {
  if (Number.isFinite(microseconds)) histogram.record(Math.max(1, Math.round(microseconds)))
}
