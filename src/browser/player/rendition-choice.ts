/**
 * Which size of the picture a viewer asks for: the one that is wanted by hand, or one that its connection takes. What comes
 * later and later is more than that; where nothing has been late for a while a larger one is tried, and where that was too much
 * the next try is longer in coming. No clock of its own: every call says what time it is, milliseconds.
 */
import type { VideoTrack } from '../../media/catalog.ts'
import type { TrackName } from '../../units.ts'
import { Soonest } from '../soonest.ts'

export const renditionLimits = {
  /** Milliseconds by which frames may come later than the soonest of late, and for how long; and by which at no time. */
  late: 250,
  patience: 400,
  tooLate: 1000,
  /** Milliseconds of lateness that count as none. */
  clear: 100,
  /** Milliseconds in which the soonest is looked for, half of it at a time. */
  soonest: 20_000,
  /** Milliseconds that a change is given to show what it is good for. */
  settle: 3000,
  /** Milliseconds of calm before a larger one is tried: at first, and at most after tries that failed. */
  calm: 10_000,
  mostCalm: 160_000,
  /** Milliseconds within which a larger one has failed. */
  trial: 15_000,
} as const

/** As a viewer wants it: by its throughput, or one track by name. */
export type RenditionWish = 'auto' | TrackName

export interface RenditionState {
  readonly wish: RenditionWish
  /** The one that comes. */
  readonly active: TrackName
  /** The largest first. */
  readonly all: readonly VideoTrack[]
}

/** Asks for the main one, as a name does that no track has. */
const main = 'main'

export class RenditionChoice {
  #wish: RenditionWish
  /** The largest first. */
  #renditions: readonly VideoTrack[] = []
  #active: TrackName | undefined
  #main: TrackName | undefined
  /** What `auto` has come to; undefined where it is the main one. */
  #target: TrackName | undefined
  /** What the gateway of this connection was asked for. */
  #asked: string = main
  readonly #soonest = new Soonest(renditionLimits.soonest)
  #lateSince: number | undefined
  #calmSince: number | undefined
  #changedAt = Number.NEGATIVE_INFINITY
  #raisedAt = Number.NEGATIVE_INFINITY
  #calm: number = renditionLimits.calm

  constructor(wish: RenditionWish) {
    this.#wish = wish
  }

  /** Undefined where there is nothing to choose. */
  get state(): RenditionState | undefined {
    const active = this.#active
    return active === undefined ? undefined : { wish: this.#wish, active, all: this.#renditions }
  }

  /** What a new connection asks for: what comes is gone on with. */
  hello(): string {
    this.#soonest.clear()
    this.#rest()
    this.#asked = this.#active ?? this.#wanted
    return this.#asked
  }

  /** @returns the name to ask the gateway for, where that is news */
  want(wish: RenditionWish): string | undefined {
    this.#wish = wish
    this.#target = wish === 'auto' ? this.#active : undefined
    this.#calm = renditionLimits.calm
    this.#rest()
    return this.#ask()
  }

  /**
   * A catalog came.
   * @param renditions none where the gateway sends all there is. @param active the picture that the catalog names
   * @returns the name to ask the gateway for, where that is news
   */
  learn(renditions: readonly VideoTrack[], active: TrackName | undefined, now: number): string | undefined {
    this.#renditions = renditions.toSorted((a, b) => b.width * b.height - a.width * a.height)
    this.#main = renditions[0]?.name
    const next = this.#main === undefined ? undefined : active
    if (next !== this.#active) this.#changedAt = now
    this.#active = next
    if (!this.#has(this.#target)) this.#target = undefined
    if (!this.#has(this.#asked)) this.#asked = this.#main ?? main
    return next === undefined ? undefined : this.#ask()
  }

  /**
   * A frame of the picture came as it was published.
   * @param age from the gateway's sending on, milliseconds; what the clocks differ by does not matter
   * @returns the name to ask the gateway for, where that is news
   */
  arrived(age: number, now: number): string | undefined {
    if (this.#wish !== 'auto' || this.#active === undefined) return undefined
    const { late, clear, tooLate, patience, settle } = renditionLimits
    const excess = age - this.#soonest.add(age, now)
    if (excess > clear) this.#calmSince = undefined
    else {
      this.#lateSince = undefined
      this.#calmSince ??= now
    }
    if (excess > late) this.#lateSince ??= now
    // What was sent before the change is still to come.
    if (now - this.#changedAt < settle || this.#asked !== this.#active) return undefined
    const isLong = this.#lateSince !== undefined && now - this.#lateSince > patience
    if (isLong || excess > tooLate) return this.#lower(excess > tooLate, now)
    return this.#calmSince !== undefined && now - this.#calmSince > this.#calm ? this.#raise(now) : undefined
  }

  #lower(isFar: boolean, now: number): string | undefined {
    const { trial, calm, mostCalm } = renditionLimits
    const next = isFar ? this.#renditions.at(-1) : this.#beside(1)
    if (next === undefined || next.name === this.#active) return undefined
    this.#calm = now - this.#raisedAt < trial ? Math.min(mostCalm, this.#calm * 2) : calm
    this.#target = next.name
    this.#rest()
    return this.#ask()
  }

  #raise(now: number): string | undefined {
    const next = this.#beside(-1)
    this.#calmSince = now
    if (next === undefined) return undefined
    this.#raisedAt = now
    this.#target = next.name
    return this.#ask()
  }

  #beside(by: -1 | 1): VideoTrack | undefined {
    const at = this.#renditions.findIndex(({ name }) => name === this.#active)
    return at < 0 ? undefined : this.#renditions[at + by]
  }

  #has(name: string | undefined): boolean {
    return this.#renditions.some(each => each.name === name)
  }

  get #wanted(): string {
    const wanted = this.#wish === 'auto' ? this.#target : this.#wish
    return wanted !== undefined && (this.#has(wanted) || this.#main === undefined)
      ? wanted
      : (this.#main ?? main)
  }

  #ask(): string | undefined {
    const wanted = this.#wanted
    if (this.#main === undefined || wanted === this.#asked) return undefined
    this.#asked = wanted
    return wanted
  }

  #rest(): void {
    this.#lateSince = undefined
    this.#calmSince = undefined
  }
}
