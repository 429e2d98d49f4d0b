/** Decoded pictures that wait for their time. Each holds memory that only `close` gives back, so all are closed. */
import type { Micros } from '../../units.ts'

export interface Picture {
  readonly timestamp: Micros
  close(): void
}

/** Decoders have few pictures to lend out: more than these at a time stalls some. */
export const pictureLimit = 12

export class PictureQueue<P extends Picture> {
  #pictures: P[] = []

  get length(): number {
    return this.#pictures.length
  }

  /** @param picture owned by the queue from here on; where it is full the oldest goes. @returns how many went */
  push(picture: P): number {
    let dropped = 0
    while (this.#pictures.length >= pictureLimit) {
      this.#pictures.shift()?.close()
      dropped += 1
    }
    this.#pictures.push(picture)
    return dropped
  }

  /**
   * The newest picture whose time has come, owned by the caller; older ones are closed.
   * @param limit media time up to which pictures are due
   * @returns undefined where the next one is still to wait
   */
  take(limit: Micros): { readonly picture: P; readonly dropped: number } | undefined {
    let dropped = 0
    for (;;) {
      const [first, second] = this.#pictures
      if (first === undefined || first.timestamp > limit) return undefined
      this.#pictures.shift()
      if (second === undefined || second.timestamp > limit) return { picture: first, dropped }
      first.close()
      dropped += 1
    }
  }

  clear(): void {
    for (const picture of this.#pictures) picture.close()
    this.#pictures = []
  }
}
