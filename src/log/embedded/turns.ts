/**
 * One read in each turn of the process, in the order in which they were asked for. A read is synchronous, and so is most of
 * what comes of it: a hundred viewers who rewind at once would else have all of theirs in one turn, and whoever is live
 * waits for the end of it.
 */
export class Turns {
  readonly #waiting: (() => void)[] = []

  next(): Promise<void> {
    return new Promise(resolve => {
      this.#waiting.push(resolve)
      if (this.#waiting.length === 1) setImmediate(() => this.#go())
    })
  }

  #go(): void {
    this.#waiting[0]?.()
    this.#waiting.shift()
    if (this.#waiting.length > 0) setImmediate(() => this.#go())
  }
}
