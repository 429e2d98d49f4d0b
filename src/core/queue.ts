/**
 * First in, first out, bounded in items and in bytes; add and remove are O(1).
 * A full queue refuses: what to drop is a decision for whoever holds it.
 */
export interface QueueLimits {
  readonly items: number
  readonly bytes: number
}

export class BoundedQueue<Item> {
  readonly #limits: QueueLimits
  readonly #sizeOf: (item: Item) => number
  #ring: (Item | undefined)[] = new Array(16)
  #head = 0
  #length = 0
  #bytes = 0

  constructor(limits: QueueLimits, sizeOf: (item: Item) => number) {
    this.#limits = limits
    this.#sizeOf = sizeOf
  }

  get length(): number {
    return this.#length
  }

  get bytes(): number {
    return this.#bytes
  }

  /** @returns false where the item would exceed a limit; the queue is then unchanged */
  push(item: Item): boolean {
    const size = this.#sizeOf(item)
    if (this.#length >= this.#limits.items || this.#bytes + size > this.#limits.bytes) return false
    if (this.#length === this.#ring.length) this.#grow()
    this.#ring[(this.#head + this.#length) % this.#ring.length] = item
    this.#length += 1
    this.#bytes += size
    return true
  }

  peek(): Item | undefined {
    return this.#length === 0 ? undefined : this.#ring[this.#head]
  }

  shift(): Item | undefined {
    if (this.#length === 0) return undefined
    const item = this.#ring[this.#head] as Item
    this.#ring[this.#head] = undefined
    this.#head = (this.#head + 1) % this.#ring.length
    this.#length -= 1
    this.#bytes -= this.#sizeOf(item)
    return item
  }

  clear(): void {
    this.#ring = new Array(16)
    this.#head = 0
    this.#length = 0
    this.#bytes = 0
  }

  *[Symbol.iterator](): Iterator<Item> {
    for (let i = 0; i < this.#length; i++) yield this.#ring[(this.#head + i) % this.#ring.length] as Item
  }

  #grow(): void {
    const larger: (Item | undefined)[] = new Array(this.#ring.length * 2)
    for (let i = 0; i < this.#length; i++) larger[i] = this.#ring[(this.#head + i) % this.#ring.length]
    this.#ring = larger
    this.#head = 0
  }
}
