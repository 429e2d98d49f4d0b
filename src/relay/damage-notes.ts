/**
 * What the operator hears of records that cannot be read: of each once, though the tail, replays and gateways' own
 * readers all meet it, and no more than one line in a while.
 */
import type { Clock } from '../core/clock.ts'
import type { Damage, Topic } from '../log/log.ts'
import type { Offset } from '../units.ts'

export const damageLimits = {
  /** Spans that are remembered as told. */
  remembered: 1024,
  /** Milliseconds between two lines. */
  every: 10_000,
} as const

export interface DamageNotice {
  readonly topic: string
  readonly from: Offset
  readonly next: Offset
  /** Spans beside it that were met since the last line. */
  readonly others: number
}

export class DamageNotes {
  readonly #clock: Clock
  readonly #tell: (notice: DamageNotice) => void
  /** By topic and offset, the oldest first. */
  readonly #known = new Set<string>()
  #untold: { topic: string; span: Damage; count: number } | undefined
  #cancel: (() => void) | undefined

  constructor(clock: Clock, tell: (notice: DamageNotice) => void) {
    this.#clock = clock
    this.#tell = tell
  }

  add({ id, name }: Topic, span: Damage): void {
    const key = `${id}@${span.from}`
    if (this.#known.has(key)) return
    this.#known.add(key)
    for (const oldest of this.#known) {
      if (this.#known.size <= damageLimits.remembered) break
      this.#known.delete(oldest)
    }
    this.#untold = { topic: name, span, count: (this.#untold?.count ?? 0) + 1 }
    if (this.#cancel === undefined) this.#say()
  }

  close(): void {
    this.#cancel?.()
  }

  #say(): void {
    this.#cancel = undefined
    if (this.#untold === undefined) return
    const { topic, span, count } = this.#untold
    this.#untold = undefined
    this.#cancel = this.#clock.after(damageLimits.every, () => this.#say())
    this.#tell({ topic, from: span.from, next: span.next, others: count - 1 })
  }
}
