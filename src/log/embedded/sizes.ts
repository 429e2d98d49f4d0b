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

  constructor(step: number) {
    this.#step = step
  }

  /** Bytes from the newest mark at or below the first record to the end. */
  get bytes(): number {
    return Math.max(0, this.#total - (this.#marks[0]?.before ?? 0))
  }

  get marks(): readonly Mark[] {
    return this.#marks
  }

  /** A mark as stored; to be called in order, before `count`. */
  restore(mark: Mark): void {
    this.#marks.push(mark)
    this.#total = mark.before
    this.#nextMark = mark.before + this.#step
  }

  /** Counts records that are handed to the store. @returns the mark that is to be stored with them, if any */
  count(offset: number, bytes: number, time: number): Mark | undefined {
    const mark = this.#total >= this.#nextMark ? { offset, before: this.#total, time } : undefined
    if (mark !== undefined) this.#nextMark = this.#total + this.#step
    this.#total += bytes
    return mark
  }

  /** What `count` was told of is stored, or could not be. */
  settled(mark: Mark | undefined, bytes: number, isStored: boolean): void {
    if (!isStored) this.#total -= bytes
    if (mark === undefined) return
    if (isStored) this.#marks.push(mark)
    else this.#nextMark = this.#total
  }

  /** The first offset from which on at most so many bytes are held, to the step of the marks. */
  offsetFor(bytes: number): number {
    const found = this.#marks.find(({ before }) => this.#total - before <= bytes)
    return found?.offset ?? Number.POSITIVE_INFINITY
  }

  /** Forgets the marks that no offset from `first` on needs. @returns the lowest offset that still has one */
  forget(first: number): number {
    let needed = 0
    while ((this.#marks[needed + 1]?.offset ?? Number.POSITIVE_INFINITY) <= first) needed++
    if (needed > 0) this.#marks = this.#marks.slice(needed)
    return this.#marks[0]?.offset ?? 0
  }
}
