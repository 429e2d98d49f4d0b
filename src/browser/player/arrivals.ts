/** How late the frames of one track have been ready, over the last seconds: what a live timeline is set by. */
export const arrivalLimits = {
  /** Milliseconds that a sample counts. */
  window: 4000,
  samples: 512,
  /** A frame this much later than the earliest is a stall, not jitter: it is shown late, and nobody waits for it. */
  stall: 250,
  /** Share of the frames that shall be in time: a picture that is late is seen late, but sound that is late is a hole. */
  share: { video: 0.9, audio: 0.96 },
} as const

export type Lane = 'video' | 'audio'

export class Arrivals {
  readonly #share: number
  /** A ring: `lateness` in milliseconds, local minus media time; `at` when it was seen. */
  readonly #lateness = new Float64Array(arrivalLimits.samples)
  readonly #at = new Float64Array(arrivalLimits.samples)
  #next = 0
  #length = 0
  #newest: number | undefined

  constructor(lane: Lane) {
    this.#share = arrivalLimits.share[lane]
  }

  add(lateness: number, now: number): void {
    this.#lateness[this.#next] = lateness
    this.#at[this.#next] = now
    this.#next = (this.#next + 1) % arrivalLimits.samples
    this.#length = Math.min(this.#length + 1, arrivalLimits.samples)
    this.#newest = lateness
  }

  clear(): void {
    this.#length = 0
    this.#next = 0
    this.#newest = undefined
  }

  /** The earliest of the window; of all that was seen last, where the window is empty. */
  smallest(now: number): number | undefined {
    let smallest: number | undefined
    for (const lateness of this.#recent(now)) {
      if (smallest === undefined || lateness < smallest) smallest = lateness
    }
    return smallest ?? this.#newest
  }

  /** How late nearly all are, stalls left out. */
  usual(now: number): number | undefined {
    const smallest = this.smallest(now)
    if (smallest === undefined) return undefined
    const kept = [...this.#recent(now)].filter(lateness => lateness <= smallest + arrivalLimits.stall)
    kept.sort((a, b) => a - b)
    return kept[Math.ceil(this.#share * kept.length) - 1] ?? smallest
  }

  *#recent(now: number): Generator<number> {
    for (let i = 1; i <= this.#length; i++) {
      const index = (this.#next - i + arrivalLimits.samples) % arrivalLimits.samples
      if (now - (this.#at[index] ?? 0) > arrivalLimits.window) return
      yield this.#lateness[index] ?? 0
    }
  }
}
