/**
 * What a viewer has asked for, one at a time: each may read the log. Of those that come while one is under way only the last
 * one is begun with, so that whoever seeks without end makes the gateway read no more than one after the other.
 */
export class Seeks {
  #running: Promise<void>
  #wanted: (() => Promise<void>) | undefined

  /** @param first is under way */
  constructor(first: Promise<void>) {
    this.#running = first
  }

  /** Of the one that is under way. */
  get done(): Promise<void> {
    return this.#running
  }

  /** @returns when it is over, or another one has taken its place. @throws what it throws */
  async next(seek: () => Promise<void>): Promise<void> {
    this.#wanted = seek
    await this.#running.catch(() => {})
    if (this.#wanted !== seek) return
    this.#wanted = undefined
    this.#running = seek()
    await this.#running
  }
}
