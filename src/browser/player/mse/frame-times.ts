/**
 * When frames begin and how long they last, as they are written for a SourceBuffer. A SourceBuffer takes a frame that
 * begins more than two durations after the one before as the start of something else, and drops what follows up to
 * the next keyframe (Media Source Extensions 2, section 5.5.8, step 1.6). Live, a frame's duration is not known when
 * it is sent, and cameras hiccup; so durations are written long, and what a hiccup has over is made good by and by.
 */
import { type Micros, micros } from '../../../units.ts'

export const frameTimeLimits = {
  /** Microseconds of a picture where nothing tells. */
  picture: 33_333,
  /** Microseconds that a picture's duration counts between. */
  shortest: 5000,
  longest: 800_000,
  /** Times the usual distance that is written as a duration. */
  stretch: 2,
  /** Microseconds past which a distance is a gap, and no hiccup. */
  gap: 1_500_000,
  /** Microseconds that a sound's time moves towards what it should be, with each frame. */
  soundStep: 500,
  /** Microseconds by which sound may be off before it jumps. */
  soundJump: 60_000,
  /** Microseconds past which it is a gap, and filled with nothing. */
  soundGap: 5_000_000,
  /** Microseconds of silence at a time; of what is longer, the end is filled, and the rest is a hole. */
  silence: 30_000_000,
  silenceAtEnd: 1_000_000,
} as const

export interface FrameTime {
  readonly timestamp: Micros
  readonly duration: Micros
}

export class PictureTimes {
  #usual: number
  #last: { readonly timestamp: number; readonly written: number; readonly duration: number } | undefined

  /** @param frameRate pictures a second that the publisher aims at */
  constructor(frameRate: number | undefined) {
    this.#usual = clamp(frameRate === undefined ? frameTimeLimits.picture : 1_000_000 / frameRate)
  }

  /**
   * @param timestamp the decode time, which is what a SourceBuffer goes by. @param isKeyframe whether it may begin something else
   * @param lasts microseconds to the next one, where that is known
   */
  place(timestamp: Micros, isKeyframe: boolean, lasts?: number): FrameTime {
    const last = this.#last
    const distance = last === undefined ? 0 : timestamp - last.timestamp
    if (distance > 0 && distance < frameTimeLimits.gap) {
      // Quick to grow, slow to shrink: too long costs nothing.
      const seen = clamp(distance)
      this.#usual += (seen - this.#usual) * (seen > this.#usual ? 0.5 : 0.05)
    }
    const isKnown = lasts !== undefined && lasts > 0 && lasts < frameTimeLimits.gap
    const duration = isKnown ? lasts : this.#usual * frameTimeLimits.stretch
    let written: number = timestamp
    if (last !== undefined && !isKeyframe && distance < frameTimeLimits.gap)
      written = Math.min(timestamp, Math.floor(last.written + 1.9 * last.duration))
    this.#last = { timestamp, written, duration }
    return { timestamp: micros(written), duration: micros(duration) }
  }
}

export interface SoundTime extends FrameTime {
  /** Microseconds of silence that belong in front of it: sound that is missing would hold the picture. */
  readonly silence: Micros
}

/** Sound that overlaps by a little is cut, and sound with little holes clicks: each frame begins where the last ended. */
export class SoundTimes {
  #end: number | undefined

  /** Where what was placed ends. */
  get end(): Micros | undefined {
    return this.#end === undefined ? undefined : micros(this.#end)
  }

  /** @returns undefined where its time was filled already, or belongs to another frame */
  place(timestamp: Micros, duration: Micros): SoundTime | undefined {
    const off = this.#end === undefined ? 0 : timestamp - this.#end
    const { soundStep, soundJump, soundGap } = frameTimeLimits
    let written: number = timestamp
    let silence = 0
    if (this.#end !== undefined && Math.abs(off) < soundGap) {
      if (off < -soundJump) return undefined
      if (off > soundJump) silence = off
      else written = this.#end + Math.max(-soundStep, Math.min(soundStep, off))
    }
    this.#end = written + duration
    return { timestamp: micros(written), duration, silence: micros(silence) }
  }

  /**
   * Sound up to this moment is silence.
   * @param from where sound should have begun, where none came
   * @returns where the silence begins and how long it is; undefined where there is no need
   */
  fill(until: Micros, from: Micros): FrameTime | undefined {
    const { silence, silenceAtEnd } = frameTimeLimits
    const end = this.end ?? from
    if (until <= end) return undefined
    const timestamp = until - end > silence ? micros(until - silenceAtEnd) : end
    this.#end = until
    return { timestamp, duration: micros(until - timestamp) }
  }
}

const clamp = (duration: number): number =>
  Math.max(frameTimeLimits.shortest, Math.min(frameTimeLimits.longest, duration))
