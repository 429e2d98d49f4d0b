/** Tells viewers from when to when a broadcast can be watched: what their timelines show. */
import type { Clock } from '../core/clock.ts'
import type { Log, Topic } from '../log/log.ts'
import type { Millis, Offset } from '../units.ts'
import { Packet, type Pause } from './packet.ts'
import type { Viewer } from './viewer.ts'

export const spanLimits = {
  /** Milliseconds between two looks; before the first one for whoever comes, and after one that found nothing. */
  every: 10_000,
  first: 200,
  again: 1000,
} as const

export interface SpanHost {
  topic(): Topic | undefined
  /** Timestamp of the newest record that counts. */
  newest(): Millis | undefined
  /** When it was over, and went on later. */
  gaps(): readonly Pause[]
  /** Whether what there is does not grow. */
  isOver(): boolean
  isWatched(): boolean
  tell(packet: Packet): void
}

export class SpanNews {
  readonly #log: Log
  readonly #clock: Clock
  readonly #host: SpanHost
  /** When the oldest record was written: nothing is read again where retention has taken nothing. */
  #oldest: { readonly topic: string; readonly offset: Offset; readonly time: Millis } | undefined
  /** What was told last. */
  #last: Packet | undefined
  /** Of the next look, on the monotonic clock. */
  #at: number | undefined
  #cancel: () => void = () => {}

  constructor(log: Log, clock: Clock, host: SpanHost) {
    this.#log = log
    this.#clock = clock
    this.#host = host
  }

  /** Whether what was told last does not grow. */
  get isOver(): boolean {
    return this.#last?.event.type === 'span' && this.#last.event.isOver
  }

  /** There may be something new to tell. */
  want(): void {
    this.#lookIn(spanLimits.first)
  }

  /** Somebody new watches, and is told what is known; the rest are not looked for sooner for that. */
  greet(viewer: Pick<Viewer, 'tellSpan'>): void {
    // What was told before it went on again says nothing.
    if (this.#last === undefined || this.isOver !== this.#host.isOver()) this.want()
    else {
      viewer.tellSpan(this.#last)
      this.#lookIn(spanLimits.every)
    }
  }

  close(): void {
    this.#cancel()
    this.#at = undefined
    this.#last = undefined
  }

  #lookIn(wait: number): void {
    const at = this.#clock.monotonic() + wait
    if (!this.#host.isWatched() || (this.#at !== undefined && this.#at <= at)) return
    this.#cancel()
    this.#at = at
    this.#cancel = this.#clock.after(wait, () => {
      this.#at = undefined
      // Whoever seeks hears what is wrong; a timeline can do without.
      this.#look()
        .catch(() => {})
        .finally(() => this.#lookIn(this.#last === undefined ? spanLimits.again : spanLimits.every))
    })
  }

  async #look(): Promise<void> {
    const topic = this.#host.topic()
    if (topic === undefined) return
    const { first, next } = await this.#log.bounds(topic)
    const newest = this.#host.newest()
    if (newest === undefined || first >= next) return
    if (this.#oldest?.topic !== topic.id || this.#oldest.offset !== first) {
      const { records } = await this.#log.read(topic, first, 1)
      const [record] = records
      if (record === undefined) return
      this.#oldest = { topic: topic.id, offset: first, time: record.timestamp }
    }
    const { time } = this.#oldest
    const gaps = this.#host.gaps().filter(([, to]) => to > time)
    const last = Math.max(newest, time) as Millis
    const isOver = this.#host.isOver()
    this.#last = new Packet({ type: 'span', first: time, last, gaps, isOver })
    this.#host.tell(this.#last)
  }
}
