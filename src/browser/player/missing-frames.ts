/**
 * How many frames are missing before each that comes: by the numbers, or, where those of other renditions are left out of them,
 * by what the gateway tells.
 */
export class MissingFrames {
  #last: number | undefined
  #isWhole = true
  /** Undefined where nothing was told since the last frame. */
  #told: number | undefined

  /** @param isWhole whether what follows has all numbers */
  begin(isWhole: boolean): void {
    if (isWhole !== this.#isWhole) this.clear()
    this.#isWhole = isWhole
  }

  /** The gateway says that frames will not come: be it none, something is missing. */
  tell(frames: number): void {
    this.#told = (this.#told ?? 0) + frames
  }

  /** @returns undefined where nothing is missing before the frame of this number; be it 0, what follows does not decode */
  before(sequence: number): number | undefined {
    const told = this.#told
    const last = this.#last
    this.#told = undefined
    this.#last = Math.max(last ?? 0, sequence)
    if (!this.#isWhole) return told
    return last !== undefined && sequence > last + 1 ? sequence - last - 1 : undefined
  }

  /** Another place, or another session: its numbers have nothing to do with those that came. */
  clear(): void {
    this.#last = undefined
    this.#told = undefined
  }
}
