/**
 * When viewers are sent what has come for them. A write costs nearly the same whether it takes one frame or four: with time to
 * spare everything goes out in the turn in which it came, and the busier the process, the longer is gathered before.
 */
import type { Clock } from '../core/clock.ts'
import type { Encoded, Packet } from '../relay/packet.ts'
import type { Delivery } from '../wire/message.ts'
import { type Encode, Run } from './run.ts'
import type { ViewerEncoder } from './viewer-message.ts'

export const gatherLimits = {
  /** Shares of the most that is gathered, from nothing on. */
  steps: [0, 1 / 3, 2 / 3, 1],
  /** Milliseconds between two looks at how busy the process is. */
  look: 1000,
  /** Share of the time in which it has something to do, from which on more is gathered, and below which less. */
  busy: 0.7,
  idle: 0.3,
  /** Looks in a row that find it idle before less is gathered: what a write more costs is known only afterwards. */
  calm: 5,
  /** Bytes that are gathered for one viewer before they go out, whenever that is. */
  run: 256 * 1024,
} as const

/** Who is told when. */
export interface Outlet {
  /** It is the moment to send what was gathered for it. */
  onLane(): void
}

/** Outlets that are sent what came at the same moments. */
export class Lane {
  readonly #clock: Clock
  readonly #encoder: ViewerEncoder
  /** What others had been sent before it went out here. */
  readonly #late = new Map<Packet, Encoded>()
  /** Milliseconds from the first packet to the write. */
  window = 0
  #waiting: Outlet[] = []
  /** The newest run that begins with what came last. */
  #first: Run | undefined

  constructor(clock: Clock, encoder: ViewerEncoder) {
    this.#clock = clock
    this.#encoder = encoder
  }

  /** Of what this lane sends now. */
  readonly encode: Encode = packet => {
    if (this.window === 0 || packet.encoded === undefined) return this.#encoder.encode(packet)
    let late = this.#late.get(packet)
    if (late === undefined) {
      late = this.#encoder.again(packet)
      this.#late.set(packet, late)
    }
    return late
  }

  /** A run that begins with a packet. */
  begin(packet: Packet): Run {
    if (this.#first?.is(packet) !== true) this.#first = new Run(packet)
    return this.#first
  }

  /** Has an outlet flushed with the others. To be called once from one flush to the next. */
  add(outlet: Outlet): void {
    if (this.#waiting.push(outlet) > 1) return
    if (this.window === 0) queueMicrotask(() => this.#flush())
    else this.#clock.after(this.window, () => this.#flush())
  }

  #flush(): void {
    const waiting = this.#waiting
    this.#waiting = []
    // What is sent is kept by nobody but those who have not taken it.
    this.#first = undefined
    for (const outlet of waiting) outlet.onLane()
    this.#late.clear()
  }
}

export class Gather {
  readonly #clock: Clock
  readonly #most: number
  readonly #load: () => number
  readonly #lanes: Readonly<Record<Delivery | 'usual', Lane>>
  #step = 0
  #calm = 0
  #cancel: () => void = () => {}

  /** @param most that is gathered, milliseconds. @param load share of the time since it was last asked for that was taken */
  constructor(clock: Clock, most: number, load: () => number, encoder: ViewerEncoder) {
    this.#clock = clock
    this.#most = most
    this.#load = load
    const lane = (): Lane => new Lane(clock, encoder)
    this.#lanes = { prompt: lane(), usual: lane(), gathered: lane() }
    this.#lanes.gathered.window = most
    this.#look()
  }

  /** Milliseconds for which is gathered at most, for those who did not ask for anything. */
  get window(): number {
    return this.#lanes.usual.window
  }

  /** @param delivery that a viewer has asked for */
  lane(delivery: Delivery | undefined): Lane {
    return this.#lanes[delivery ?? 'usual']
  }

  close(): void {
    this.#cancel()
  }

  #look(): void {
    this.#cancel = this.#clock.after(gatherLimits.look, () => {
      this.#follow(this.#load())
      this.#look()
    })
  }

  #follow(load: number): void {
    this.#calm = load < gatherLimits.idle ? this.#calm + 1 : 0
    const last = gatherLimits.steps.length - 1
    if (load > gatherLimits.busy) this.#step = Math.min(last, this.#step + 1)
    else if (this.#calm >= gatherLimits.calm) {
      this.#step = Math.max(0, this.#step - 1)
      this.#calm = 0
    }
    this.#lanes.usual.window = this.#most * (gatherLimits.steps[this.#step] ?? 0)
  }
}

/** Share of the time in which this process had something to do, since the last call. */
export function eventLoopLoad(): () => number {
  let before = performance.eventLoopUtilization()
  return () => {
    const now = performance.eventLoopUtilization()
    const { utilization } = performance.eventLoopUtilization(now, before)
    before = now
    return utilization
  }
}
