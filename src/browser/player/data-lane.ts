/**
 * Timed data that waits for its picture. A replay runs seconds ahead of what is shown, and data may be of any moment, so
 * what is due is taken out wherever it stands: one record that is far ahead holds up nobody.
 */
import { BoundedQueue } from '../../core/queue.ts'
import type { Moment, TimedData } from '../../media/timed-data.ts'
import type { Place } from './frame-places.ts'

export const dataLaneLimits = { items: 1000, bytes: 8 * 1024 * 1024 } as const

type PlacedData = TimedData & { readonly moment: Moment }

export class DataLane {
  readonly #onData: (record: TimedData) => void
  readonly #waiting = new BoundedQueue<PlacedData>(dataLaneLimits, ({ data }) => data.byteLength)
  /** The picture that was painted last. */
  #shown: Place | undefined
  /** Goes up where what waits is left: who takes a record may seek. */
  #turn = 0

  /** @param onData called in the order of moments, and as they came where these are the same */
  constructor(onData: (record: TimedData) => void) {
    this.#onData = onData
  }

  /** Where there are too many, those that came first go. What belongs to a picture that is shown goes on at once. */
  add(record: TimedData): void {
    const { moment } = record
    if (moment === undefined || record.data.byteLength > dataLaneLimits.bytes) return
    while (!this.#waiting.push({ ...record, moment })) this.#waiting.shift()
    this.#handOn()
  }

  /** A picture was painted. */
  show(place: Place): void {
    const before = this.#shown?.session
    this.#shown = place
    if (before !== undefined && before !== place.session)
      this.#take(({ moment }) => moment.session === before)
    this.#handOn()
  }

  /** What comes next is of somewhere else. */
  clear(): void {
    this.#turn += 1
    this.#waiting.clear()
    this.#shown = undefined
  }

  #handOn(): void {
    const shown = this.#shown
    if (shown === undefined) return
    const due = this.#take(
      ({ moment }) => moment.session === shown.session && moment.timestamp <= shown.timestamp,
    )
    const turn = this.#turn
    for (const record of due.sort((a, b) => a.moment.timestamp - b.moment.timestamp)) {
      if (this.#turn !== turn) return
      this.#onData(record)
    }
  }

  #take(isTaken: (record: PlacedData) => boolean): PlacedData[] {
    const all = [...this.#waiting]
    const taken = all.filter(isTaken)
    if (taken.length === 0) return taken
    this.#waiting.clear()
    for (const record of all) if (!isTaken(record)) this.#waiting.push(record)
    return taken
  }
}
