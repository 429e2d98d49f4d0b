/**
 * What is done where one of picture and sound does not come, which would hold the other: silence takes the place of
 * sound; live, where none comes at all, the picture is shown without, and sound is played without a picture that stopped.
 * No clock of its own: every call says what time it is, in milliseconds of the page's clock.
 */
import { type Micros, micros } from '../../../units.ts'

export const missingLimits = {
  /** Milliseconds that live sound may be behind the picture, once nothing is left to play. */
  live: 200,
  /** Milliseconds after which live sound that does not come is given up, and for how long at least. */
  silence: 1000,
  givenUp: 5000,
  /** Microseconds that live pictures may be behind the sound, once nothing is left to play. */
  picture: 2_000_000,
  /** Microseconds that a replay's sound may be behind: it comes in the order of decoding, and runs 10 s ahead. */
  replay: 2_000_000,
  /** Microseconds before the newest picture up to which a replay is filled with silence. */
  spared: 1_000_000,
} as const

export interface Missing {
  readonly isLive: boolean
  /** Element times at which picture and sound end, microseconds; undefined where none came. */
  readonly video: number | undefined
  readonly audio: number | undefined
  /** The same of the sound that came, without the silence that was put behind it. */
  readonly heard: number | undefined
  /** Element time at which the session begins, microseconds. */
  readonly from: number
  /** Milliseconds for which a join has waited, or playback has had nothing to play; undefined while it plays. */
  readonly waitsFor: number | undefined
}

export type Remedy =
  | { readonly kind: 'none' }
  | { readonly kind: 'fill'; readonly until: Micros }
  | { readonly kind: 'give up sound' }
  | { readonly kind: 'give up picture' }

const none: Remedy = { kind: 'none' }

export class MissingTracks {
  #givenUpAt: number | undefined

  /** Of the sound. */
  get isGivenUp(): boolean {
    return this.#givenUpAt !== undefined
  }

  /** It cannot be decoded. */
  giveUpForGood(): void {
    this.#givenUpAt = Number.POSITIVE_INFINITY
  }

  /** Other tracks come. */
  reset(): void {
    this.#givenUpAt = undefined
  }

  /** A frame of the sound that was given up came. @returns whether it is to be heard again */
  isBack(now: number): boolean {
    if (this.#givenUpAt === undefined || now - this.#givenUpAt < missingLimits.givenUp) return false
    this.#givenUpAt = undefined
    return true
  }

  judge({ isLive, video, audio, heard, from, waitsFor }: Missing, now: number): Remedy {
    if (video === undefined) return none
    const { live, silence, picture, replay, spared } = missingLimits
    const behind = video - (audio ?? from)
    if (!isLive) return behind > replay ? { kind: 'fill', until: micros(video - spared) } : none
    if (waitsFor === undefined) return none
    if (waitsFor > silence && heard !== undefined && heard - video > picture)
      return { kind: 'give up picture' }
    if (heard === undefined ? waitsFor > silence : video - heard > silence * 1000) {
      this.#givenUpAt = now
      return { kind: 'give up sound' }
    }
    if (audio === undefined || behind <= live * 1000) return none
    return { kind: 'fill', until: micros(video - (live * 1000) / 2) }
  }
}
