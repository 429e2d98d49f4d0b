/**
 * The first frames of a file, or of a session in it, held back for a moment: until every track has shown itself, so
 * that the earliest time among them becomes the beginning, and what only a keyframe tells is known.
 */
import { BoundedQueue } from '../../core/queue.ts'
import type { NumberedFrame } from '../../media/frame.ts'
import { type Micros, type Millis, micros, type TrackName } from '../../units.ts'
import { carriedDescription, type Lane } from './lane.ts'

export const openingLimits = {
  /** Media time for which a track is waited for that the file can be begun without, microseconds. */
  missing: 1_000_000,
  /** The same for a track that the file cannot hold before its first keyframe has come. */
  undescribed: 30_000_000,
  items: 8000,
  bytes: 32 * 1024 * 1024,
} as const

export interface Arrival {
  readonly frame: NumberedFrame
  /** Of its record: the gateway's wall clock. */
  readonly time: Millis | undefined
}

export class Opening {
  readonly #lanes: readonly Lane[]
  readonly #missing: Map<TrackName, Lane>
  readonly #held = new BoundedQueue<Arrival>(openingLimits, ({ frame }) => frame.data.byteLength)
  readonly #described = new Map<TrackName, Lane>()
  #first = Number.POSITIVE_INFINITY
  #last = Number.NEGATIVE_INFINITY
  #full = false

  constructor(lanes: readonly Lane[]) {
    this.#lanes = lanes
    this.#missing = new Map(lanes.map(lane => [lane.name, lane]))
    for (const lane of lanes) if (!lane.inBand) this.#described.set(lane.name, lane)
  }

  /** @returns false where there is no room: it is to be begun, and the frame is not held */
  push(arrival: Arrival): boolean {
    if (!this.#held.push(arrival)) {
      this.#full = true
      return false
    }
    const { track, timestamp, keyframe, data } = arrival.frame
    this.#first = Math.min(this.#first, timestamp)
    this.#last = Math.max(this.#last, timestamp)
    const lane = this.#missing.get(track)
    if (lane === undefined || (lane.kind === 'video' && !keyframe)) return true
    if (lane.inBand) {
      const description = carriedDescription(data)
      if (description === undefined) return true
      this.#described.set(track, { ...lane, description })
    }
    this.#missing.delete(track)
    return true
  }

  get isReady(): boolean {
    if (this.#full || this.#missing.size === 0) return true
    const undescribed = [...this.#missing.values()].some(lane => lane.inBand)
    return this.#last - this.#first >= openingLimits[undescribed ? 'undescribed' : 'missing']
  }

  /** What the file can hold by now; a lane that has its description in band brings it. */
  get lanes(): Lane[] {
    return this.#lanes.flatMap(({ name }) => this.#described.get(name) ?? [])
  }

  /** The earliest time; undefined before the first frame. */
  get first(): Micros | undefined {
    return this.#held.length === 0 ? undefined : micros(this.#first)
  }

  /** Of the first record. */
  get time(): Millis | undefined {
    return this.#held.peek()?.time
  }

  *arrivals(): Generator<Arrival> {
    for (let next = this.#held.shift(); next !== undefined; next = this.#held.shift()) yield next
  }
}
