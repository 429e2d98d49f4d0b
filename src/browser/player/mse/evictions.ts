/**
 * What a managed source has thrown away before it was played: such a browser evicts what it likes, at any time, and tells
 * by `bufferedchange` (Media Source Extensions 2, section 7.4). It is in the log still, so playback that comes to such a
 * place is begun anew there, and does not go over it as over a hole that nobody can fill.
 */

/** Media Source Extensions 2, section 6: told of a ManagedSourceBuffer. The DOM's types lack it. */
export interface BufferedChange {
  readonly removedRanges?: Ranges
}

/** As the DOM's TimeRanges, seconds. */
export interface Ranges {
  readonly length: number
  start(index: number): number
  end(index: number): number
}

export const evictionLimits = {
  /** Seconds: shorter ones are the ends of frames that were written long, and nearer ones are decoded already. */
  least: 0.1,
  /** Seconds in front of one within which playback that waits counts as having come to it. */
  reach: 0.5,
  /** Milliseconds between two that are made good: a browser without any room is not asked for the same again and again. */
  every: 2000,
  ranges: 64,
} as const

export class Evictions {
  /** Element times, seconds. */
  #ranges: { readonly from: number; readonly to: number }[] = []
  #metAt = Number.NEGATIVE_INFINITY

  /** @param removed element times. @param playing element time of what is played, seconds */
  add(removed: Ranges, playing: number): void {
    for (let i = 0; i < removed.length; i++) {
      const range = { from: Math.max(removed.start(i), playing), to: removed.end(i) }
      if (range.to - range.from > evictionLimits.least) this.#ranges.push(range)
    }
    this.#ranges = this.#ranges.filter(({ to }) => to > playing).slice(-evictionLimits.ranges)
  }

  /** Playback waits. @returns whether that is for something that was thrown away, and is to be made good */
  meets(playing: number, now: number): boolean {
    const isMet = this.#ranges.some(({ from, to }) => playing > from - evictionLimits.reach && playing < to)
    if (!isMet || now - this.#metAt < evictionLimits.every) return false
    this.#metAt = now
    return true
  }

  /** Another source. */
  clear(): void {
    this.#ranges = []
  }
}
