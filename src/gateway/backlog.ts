/** For how long what waits in a connection has waited, told by a few marks of what was handed over when. */
export const backlogLimits = {
  /** Milliseconds between two marks: what was handed over in between counts from the first of it. */
  distance: 50,
  /** With more there is no mark for what comes; what has waited longest is told all the same. */
  marks: 256,
} as const

interface Mark {
  readonly at: number
  /** Bytes that were handed over before. */
  readonly before: number
}

export class Backlog {
  readonly #marks: Mark[] = []
  #given = 0

  /** Bytes are handed over. @param waiting bytes that wait then, without them. @param now milliseconds, monotonic */
  add(bytes: number, waiting: number, now: number): void {
    this.#forget(waiting)
    const last = this.#marks.at(-1)
    const isDue = last === undefined || now - last.at >= backlogLimits.distance
    if (isDue && this.#marks.length < backlogLimits.marks) this.#marks.push({ at: now, before: this.#given })
    this.#given += bytes
  }

  /** @param waiting bytes that wait now. @returns how long the first of them has waited, milliseconds */
  age(waiting: number, now: number): number {
    this.#forget(waiting)
    const [first] = this.#marks
    return first === undefined ? 0 : now - first.at
  }

  #forget(waiting: number): void {
    if (waiting <= 0) this.#marks.length = 0
    const taken = this.#given - waiting
    let count = 0
    while ((this.#marks[count + 1]?.before ?? Number.POSITIVE_INFINITY) <= taken) count += 1
    if (count > 0) this.#marks.splice(0, count)
  }
}
