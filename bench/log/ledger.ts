/** Keeps account of every frame: when it was due, handed over, acknowledged, delivered. All times are milliseconds. */
import { quantile } from '../lag/figures.ts'

interface Passage {
  readonly due: number
  readonly sent: number
  acknowledged: number
  delivered: number
}

export interface Span {
  readonly from: number
  readonly to: number
}

export interface Delays {
  readonly p50: number
  readonly p95: number
  readonly p99: number
  readonly max: number
}

/** From being handed over on, for frames that were due within a span. */
export interface Account {
  readonly frames: number
  readonly delivered: Delays
  readonly acknowledged: Delays
  /** From being due to being handed over: the process had no time. */
  readonly late: Delays
  /** To delivery, of those handed over around one of the moments. */
  readonly near: Delays & { readonly frames: number }
}

/** How far around a moment a frame is near to it. */
const before = 50
const after = 100

export class Ledger {
  readonly #passages: Passage[][]
  /** Next of each broadcast that is to come. */
  readonly #expected: number[]
  readonly #faults: string[] = []
  #faultCount = 0
  #delivered = 0
  #sent = 0

  constructor(broadcasts: number) {
    this.#passages = Array.from({ length: broadcasts }, () => [])
    this.#expected = Array(broadcasts).fill(0)
  }

  /** Everything that was handed over has come. */
  get isComplete(): boolean {
    return this.#delivered === this.#sent
  }

  /** Frames are handed over by ascending numbers. */
  send(broadcast: number, due: number, sent: number): void {
    this.#sent += 1
    this.#passages[broadcast]?.push({ due, sent, acknowledged: Number.NaN, delivered: Number.NaN })
  }

  acknowledge(broadcast: number, sequence: number, at: number): void {
    const passage = this.#passages[broadcast]?.[sequence]
    if (passage) passage.acknowledged = at
  }

  deliver(broadcast: number, sequence: number, at: number): void {
    const expected = this.#expected[broadcast] ?? Number.NaN
    const passage = this.#passages[broadcast]?.[sequence]
    if (sequence !== expected || passage === undefined) {
      this.fault(`frame ${sequence} of broadcast ${broadcast} came where ${expected} was next`)
      if (passage === undefined || sequence < expected) return
    }
    this.#delivered += 1
    this.#expected[broadcast] = sequence + 1
    if (passage) passage.delivered = at
  }

  fault(what: string): void {
    this.#faultCount += 1
    if (this.#faults.length < 3) this.#faults.push(what)
  }

  /** What did not go as it must, in words; empty where every frame came once, in order, and was acknowledged. */
  faults(): readonly string[] {
    const all = this.#passages.flat()
    const missing = all.filter(({ delivered }) => Number.isNaN(delivered)).length
    const open = all.filter(({ acknowledged }) => Number.isNaN(acknowledged)).length
    return [
      ...(missing > 0 ? [`${missing} of ${all.length} frames did not come`] : []),
      ...(open > 0 ? [`${open} of ${all.length} frames were not acknowledged`] : []),
      ...this.#faults,
      ...(this.#faultCount > this.#faults.length ? [`${this.#faultCount} faults in all`] : []),
    ]
  }

  account({ from, to }: Span, moments: readonly number[]): Account {
    const within = this.#passages.flat().filter(({ due }) => due >= from && due < to)
    const near = within.filter(({ sent }) => moments.some(at => sent > at - before && sent < at + after))
    const age = ({ sent, delivered }: Passage): number => delivered - sent
    return {
      frames: within.length,
      delivered: delays(within.map(age)),
      acknowledged: delays(within.map(({ sent, acknowledged }) => acknowledged - sent)),
      late: delays(within.map(({ due, sent }) => sent - due)),
      near: { frames: near.length, ...delays(near.map(age)) },
    }
  }
}

function delays(values: readonly number[]): Delays {
  const ordered = values.filter(value => !Number.isNaN(value)).sort((a, b) => a - b)
  return {
    p50: quantile(ordered, 0.5),
    p95: quantile(ordered, 0.95),
    p99: quantile(ordered, 0.99),
    max: quantile(ordered, 1),
  }
}
