/** Where records of a topic lie in a file, as found: five numbers each, which may be found again and again. */

export interface Place {
  readonly offset: number
  /** Of the value, in bytes from the begin of the file. */
  readonly position: number
  readonly length: number
  /** Of the page that names it: of two records at one offset the newer one counts. */
  readonly transaction: number
  /** Pages of its own; 0 where it lies in the page that names it, which was checked. */
  readonly pages: number
}

const fields = 5

export class Places {
  #numbers = new Float64Array(64 * fields)
  #count = 0
  /** After so many it is looked for those that were found before. */
  #tidyAt = 1024

  get count(): number {
    return this.#count
  }

  add({ offset, position, length, transaction, pages }: Place): void {
    if (this.#count === this.#tidyAt) {
      this.tidy()
      this.#tidyAt = Math.max(1024, this.#count * 2)
    }
    if ((this.#count + 1) * fields > this.#numbers.length) {
      const grown = new Float64Array(this.#numbers.length * 2)
      grown.set(this.#numbers)
      this.#numbers = grown
    }
    this.#numbers.set([offset, position, length, transaction, pages], this.#count * fields)
    this.#count += 1
  }

  at(index: number): Place {
    const [offset = 0, position = 0, length = 0, transaction = 0, pages = 0] = this.#numbers.subarray(
      index * fields,
      (index + 1) * fields,
    )
    return { offset, position, length, transaction, pages }
  }

  /** In order of offsets, the newest of each first, none twice. */
  tidy(): void {
    const numbers = this.#numbers
    const order = Uint32Array.from({ length: this.#count }, (_, i) => i)
    const field = (index: number, which: number): number => numbers[index * fields + which] as number
    order.sort((a, b) => field(a, 0) - field(b, 0) || field(b, 3) - field(a, 3))
    const tidied = new Float64Array(numbers.length)
    let count = 0
    let first = 0
    let isSettled = false
    for (const index of order) {
      const offset = field(index, 0)
      if (count === 0 || tidied[(count - 1) * fields] !== offset) {
        first = count
        isSettled = false
      }
      const position = field(index, 1)
      let isKnown = isSettled
      for (let i = first; i < count && !isKnown; i++) isKnown = tidied[i * fields + 1] === position
      if (isKnown) continue
      tidied.set(numbers.subarray(index * fields, (index + 1) * fields), count * fields)
      isSettled = field(index, 4) === 0
      count += 1
    }
    this.#numbers = tidied
    this.#count = count
  }
}
