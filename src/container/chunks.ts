/** Bytes that came and were not parsed yet: a list of chunks, read from the front. Copies only what is taken out. */

/** Smaller chunks than this are put together while others wait: a view of a few bytes takes far more than they do. */
const small = 1024
const gathered = 16 * 1024

export class Chunks {
  #chunks: Uint8Array[] = []
  /** What is free behind the last chunk, where that is one of small ones put together. */
  #room: Uint8Array | undefined
  /** Index of the first chunk that is not used up; those before it are dropped from time to time. */
  #first = 0
  /** Bytes of the first chunk that are used up. */
  #used = 0
  #length = 0

  get length(): number {
    return this.#length
  }

  /** @param chunk owned by the list until it is used up: nobody writes into it */
  push(chunk: Uint8Array): void {
    if (chunk.byteLength === 0) return
    if (this.#length > 0 && chunk.byteLength < small) this.#gather(chunk)
    else {
      this.#chunks.push(chunk)
      this.#room = undefined
    }
    this.#length += chunk.byteLength
  }

  /** The byte this far on, undefined past the end. */
  at(index: number): number | undefined {
    let rest = index + this.#used
    for (let i = this.#first; i < this.#chunks.length; i++) {
      const chunk = this.#chunks[i] as Uint8Array
      if (rest < chunk.byteLength) return chunk[rest]
      rest -= chunk.byteLength
    }
    return undefined
  }

  /** @returns owned bytes, or undefined where there are not so many yet */
  take(count: number): Uint8Array | undefined {
    if (count > this.#length) return undefined
    const taken = new Uint8Array(count)
    let filled = 0
    while (filled < count) {
      const chunk = this.#chunks[this.#first] as Uint8Array
      const part = chunk.subarray(this.#used, this.#used + count - filled)
      taken.set(part, filled)
      filled += part.byteLength
      this.#advance(part.byteLength)
    }
    return taken
  }

  /** @returns how many bytes were there to be skipped, at most `count` */
  skip(count: number): number {
    let skipped = 0
    while (skipped < count && this.#length > 0) {
      const chunk = this.#chunks[this.#first] as Uint8Array
      const part = Math.min(count - skipped, chunk.byteLength - this.#used)
      skipped += part
      this.#advance(part)
    }
    return skipped
  }

  clear(): void {
    this.#chunks = []
    this.#room = undefined
    this.#first = 0
    this.#used = 0
    this.#length = 0
  }

  #gather(chunk: Uint8Array): void {
    const room = this.#room
    const last = this.#chunks.at(-1)
    if (last === undefined || room === undefined || room.byteLength < chunk.byteLength) {
      const buffer = new Uint8Array(gathered)
      buffer.set(chunk)
      this.#chunks.push(buffer.subarray(0, chunk.byteLength))
      this.#room = buffer.subarray(chunk.byteLength)
      return
    }
    room.set(chunk)
    this.#chunks[this.#chunks.length - 1] = new Uint8Array(
      last.buffer,
      last.byteOffset,
      last.byteLength + chunk.byteLength,
    )
    this.#room = room.subarray(chunk.byteLength)
  }

  /** @param count at most what is left of the first chunk */
  #advance(count: number): void {
    this.#used += count
    this.#length -= count
    if (this.#used < (this.#chunks[this.#first]?.byteLength ?? 0)) return
    this.#used = 0
    this.#first += 1
    if (this.#first === this.#chunks.length || this.#first > 256) {
      this.#chunks = this.#chunks.slice(this.#first)
      this.#first = 0
    }
  }
}
