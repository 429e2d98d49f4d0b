/**
 * Between containers that name their tracks one by one, as their first frames come, and the announcer, which takes all
 * of them at once. What comes before every expected track has been described is held, for a second of media at most:
 * then the broadcast begins with the tracks that are there, and others join it when they come.
 */
import { BoundedQueue } from '../core/queue.ts'
import type { Micros } from '../units.ts'
import { Announcer, type ContainerTrack, type Sample } from './announcer.ts'
import { type DemuxHandler, demuxLimits } from './demuxer.ts'

/** Media time for which a track that is said to come is waited for, microseconds. */
const patience = 1_000_000

/** A sample by the slot of its track. */
export type SlotSample = Omit<Sample, 'track'>

interface Held {
  readonly slot: number
  readonly sample: SlotSample
}

export class LateTracks {
  readonly #announcer: Announcer
  /** Slots of the tracks, in the order in which they are announced. */
  #slots: readonly number[] = []
  readonly #described = new Map<number, ContainerTrack>()
  /** Index of each slot in what was announced; undefined before that. */
  #indexes: ReadonlyMap<number, number> | undefined
  /** Decode time of the first that is held. */
  #since: Micros | undefined
  readonly #held = new BoundedQueue<Held>(demuxLimits.held, ({ sample }) => sample.data.byteLength)

  constructor(handler: DemuxHandler) {
    this.#announcer = new Announcer(handler)
  }

  /** Slots that are to come, in the order of their tracks; of what was said before, those that are not among them are over. */
  expect(slots: readonly number[]): void {
    this.#slots = slots
    for (const slot of [...this.#described.keys()]) if (!slots.includes(slot)) this.#described.delete(slot)
    if (this.#indexes !== undefined) this.#announce()
    else this.#check()
  }

  /**
   * What the samples of a slot are from here on. The same object says that nothing has changed.
   * @throws FramelogError BAD_CONTAINER
   */
  describe(slot: number, track: ContainerTrack): void {
    if (this.#described.get(slot) === track) return
    this.#described.set(slot, track)
    if (!this.#slots.includes(slot)) this.#slots = [...this.#slots, slot]
    if (this.#indexes !== undefined) this.#announce()
    else this.#check()
  }

  /** @throws FramelogError BAD_CONTAINER, FRAME_TOO_LARGE */
  sample(slot: number, sample: SlotSample): void {
    // Nothing tells what it is.
    if (!this.#described.has(slot)) return
    if (this.#indexes === undefined) this.#hold({ slot, sample })
    else this.#give({ slot, sample })
  }

  /** Nothing follows. */
  end(): void {
    if (this.#indexes === undefined && this.#described.size > 0) this.#announce()
    this.#announcer.end()
  }

  #hold(held: Held): void {
    const { decodeTimestamp, timestamp } = held.sample
    const at = decodeTimestamp ?? timestamp
    this.#since ??= at
    const isLong = Math.abs(at - this.#since) > patience
    const hasRoom = this.#held.push(held)
    if (isLong || !hasRoom) this.#announce()
    else this.#check()
    if (!hasRoom) this.#give(held)
  }

  #check(): void {
    if (this.#held.length > 0 && this.#slots.every(slot => this.#described.has(slot))) this.#announce()
  }

  #announce(): void {
    const slots = this.#slots.filter(slot => this.#described.has(slot))
    if (slots.length === 0) return
    this.#announcer.tracks(slots.map(slot => this.#described.get(slot) as ContainerTrack))
    this.#indexes = new Map(slots.map((slot, index) => [slot, index]))
    this.#since = undefined
    for (let held = this.#held.shift(); held !== undefined; held = this.#held.shift()) this.#give(held)
  }

  #give({ slot, sample }: Held): void {
    const track = this.#indexes?.get(slot)
    if (track !== undefined) this.#announcer.sample({ ...sample, track })
  }
}
