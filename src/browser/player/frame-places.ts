/** Where in the log, and when, the frames of the main track stand that came: what is shown can be told, and gone on from. */
import type { Micros, Millis, Offset } from '../../units.ts'

/** Frames that are remembered. A replay runs 10 s ahead of what is shown. */
const limit = 4096

export interface Place {
  readonly session: string
  readonly timestamp: Micros
}

export interface FramePlace extends Place {
  readonly offset: Offset
  /** Timestamp of its record. */
  readonly time: Millis
  readonly keyframe: boolean
}

export class FramePlaces {
  #frames: FramePlace[] = []

  /** Offsets must come in ascending order. */
  add(frame: FramePlace): void {
    if (this.#frames.length === limit) this.#frames = this.#frames.slice(limit / 2)
    this.#frames.push(frame)
  }

  /** The frame that is shown at a place; undefined where none is known. */
  at(place: Place | undefined): FramePlace | undefined {
    return this.#frames[this.#indexOf(place)]
  }

  /** The offset of the first keyframe that follows a place; undefined where none is known. */
  after(place: Place | undefined): Offset | undefined {
    const from = place === undefined ? 0 : this.#indexOf(place)
    return this.#frames.find(({ keyframe }, i) => keyframe && i > from)?.offset
  }

  clear(): void {
    this.#frames = []
  }

  #indexOf(place: Place | undefined): number {
    if (place === undefined) return -1
    return this.#frames.findLastIndex(
      ({ session, timestamp }) => session === place.session && timestamp <= place.timestamp,
    )
  }
}
