/**
 * Which offsets hold each key of a compact topic: the one that is committed, and those on their way behind it. An
 * older record is known until a newer one is committed, so that a commit that fails leaves nothing behind for ever.
 */
export class KeyOffsets {
  readonly #offsets = new Map<string, readonly number[]>()

  /** A record is handed to the store. @returns the offsets that go with its commit */
  put(key: string, offset: number): readonly number[] {
    const older = this.#offsets.get(key) ?? []
    this.#offsets.set(key, [...older, offset])
    return older
  }

  /** What `put` was told of is stored, or could not be. */
  settled(key: string, offset: number, isStored: boolean): void {
    const left = (this.#offsets.get(key) ?? []).filter(each => (isStored ? each >= offset : each !== offset))
    if (left.length > 0) this.#offsets.set(key, left)
    else this.#offsets.delete(key)
  }
}
