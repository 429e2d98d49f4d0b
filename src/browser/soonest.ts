/** The least of what was seen lately: what a way takes at best, whatever two clocks differ by. No clock of its own. */
export class Soonest {
  readonly #span: number
  /** Of this half of the time, and of the one before. */
  #now = Number.POSITIVE_INFINITY
  #before = Number.POSITIVE_INFINITY
  #since = Number.NEGATIVE_INFINITY

  /** @param span milliseconds in which it is looked for, half of it at a time */
  constructor(span: number) {
    this.#span = span
  }

  /** @param age milliseconds. @returns the least, this one included */
  add(age: number, now: number): number {
    if (now - this.#since > this.#span / 2) {
      this.#before = this.#now
      this.#now = age
      this.#since = now
    } else this.#now = Math.min(this.#now, age)
    return Math.min(this.#now, this.#before)
  }

  /** Another way: what was seen says nothing of it. */
  clear(): void {
    this.#now = Number.POSITIVE_INFINITY
    this.#before = Number.POSITIVE_INFINITY
    this.#since = Number.NEGATIVE_INFINITY
  }
}
