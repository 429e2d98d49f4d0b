/**
 * How many bytes a topic holds, known without looking at its records: every so many bytes a mark says how many
 * were written before an offset. Marks are stored beside the records, so that a start reads few of these.
 */

export interface Mark {
  readonly offset: number
  /** Bytes of this topic that were written before `offset`. */
  readonly before: number
  /** Timestamp of the record at `offset`, in milliseconds. */
  readonly time: number
}

const smallestStep = 4 * 1024
const largestStep = 1024 * 1024

/** Bytes between two marks where these sizes are to be kept: fine enough for the smallest. */
export const markStep = (...sizes: readonly (number | undefined)[]): number => {
  const known = sizes.filter(size => size !== undefined)
  return Math.max(smallestStep, Math.min(largestStep, ...known.map(size => Math.floor(size / 64))))
}

export class TopicSizes {
  /** Ascending. The first lies at or below the topic's first record. */
  #marks: Mark[] = []
  readonly #step: number
  /** Bytes written to the topic in all, those on their way to the disk included. */
  #total = 0
  #nextMark = 0
  /** Bytes and timestamp of the newest record: it stays, whatever goes. */
  #newest = { bytes: 0, time: Number.NEGATIVE_INFINITY }
  /** Offset of the stored mark at or below the first record. */
  #lowest = 0

  constructor(step: number) {
    this.#step = step
  }

  /** Bytes from the first record to the end, by what a record takes on average where a mark is further away. */
  get bytes(): number {
    return Math.max(0, this.#total - (this.#marks[0]?.before ?? 0))
  }

  /** Timestamps of the oldest and the newest record, about. */
  get times(): readonly [oldest: number, newest: number] {
    return [this.#marks[0]?.time ?? this.#newest.time, this.#newest.time]
  }

  /** A mark as stored; to be called in order, before `count`. */
  restore(mark: Mark): void {
    this.#add(mark)
    this.#total = mark.before
    this.#nextMark = mark.before + this.#step
  }

  /**
   * Counts records that are handed to the store.
   * @param time of the first of them
   * @param newest the last of them
   * @returns the mark that is to be stored with them, if any
   */
  count(offset: number, bytes: number, time: number, newest = { bytes, time }): Mark | undefined {
    const mark = this.#total >= this.#nextMark ? { offset, before: this.#total, time } : undefined
    if (mark !== undefined) this.#nextMark = this.#total + this.#step
    this.#total += bytes
    this.#newest = newest
    return mark
  }

  /** What `count` was told of is stored, or could not be. */
  settled(mark: Mark | undefined, bytes: number, isStored: boolean): void {
    if (!isStored) this.#total -= bytes
    if (mark === undefined) return
    if (isStored) this.#add(mark)
    else this.#nextMark = this.#total
  }

  /** The first offset from which on at most so many bytes are held, to the step of the marks. */
  offsetFor(bytes: number): number {
    const found = this.#marks.find(({ before }) => this.#total - before <= bytes)
    return found?.offset ?? Number.POSITIVE_INFINITY
  }

  /** Bytes of the records older than a time, by their share between two marks; without the newest, which stays. */
  bytesBefore(time: number): number {
    const removable = Math.max(0, this.bytes - this.#newest.bytes)
    const [first] = this.#marks
    if (first === undefined || time > this.#newest.time) return removable
    if (time <= first.time) return 0
    const index = this.#lastBefore(time)
    const from = this.#marks[index] as Mark
    const to = this.#marks[index + 1] ?? { before: first.before + removable, time: this.#newest.time }
    const share = (time - from.time) / (to.time - from.time)
    const bytes = from.before + share * (to.before - from.before) - first.before
    return Math.min(removable, Math.max(0, bytes))
  }

  /**
   * Forgets what no offset from `first` on needs. A small topic may stay within one mark for ever: what is left of it
   * there is reckoned by what its records take on average.
   * @returns the lowest offset whose stored mark is still needed
   */
  forget(first: number, next: number): number {
    let needed = 0
    while ((this.#marks[needed + 1]?.offset ?? Number.POSITIVE_INFINITY) <= first) needed++
    if (needed > 0) this.#lowest = this.#marks[needed]?.offset ?? 0
    const from = this.#marks[needed]
    if (from === undefined) return this.#lowest
    const rest = this.#marks.slice(needed + 1)
    const to = rest[0] ?? { offset: next, before: this.#total, time: this.#newest.time }
    const share = (first - from.offset) / (to.offset - from.offset)
    const isNewest = first >= next - 1
    const at: Mark = {
      offset: first,
      before: isNewest ? this.#total - this.#newest.bytes : from.before + share * (to.before - from.before),
      time: isNewest ? this.#newest.time : from.time + share * (to.time - from.time),
    }
    this.#marks = first > from.offset ? [at, ...rest] : [from, ...rest]
    return this.#lowest
  }

  #add(mark: Mark): void {
    if (this.#marks.length === 0) this.#lowest = mark.offset
    this.#marks.push(mark)
  }

  /** Index of the last mark whose time is before a given one, which the first one's is. */
  #lastBefore(time: number): number {
    let low = 0
    let high = this.#marks.length - 1
    while (low < high) {
      const middle = Math.ceil((low + high) / 2)
      if ((this.#marks[middle]?.time ?? 0) < time) low = middle
      else high = middle - 1
    }
    return low
  }
}
