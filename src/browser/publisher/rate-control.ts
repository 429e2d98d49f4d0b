/**
 * How much may be sent: follows what comes back. Acknowledgements that come later and later mean that more is sent than
 * the way to the log takes; then the encoder is given what the way has just taken, less a little, and while too much is
 * under way pictures are left out where they are captured, since what waits in a queue is late for everybody.
 * None that come at all mean that the connection or the log is gone: what is made meanwhile is kept, and not made worse.
 * Delay-based, as RFC 8698 is. No clock of its own.
 */
import { Soonest } from '../soonest.ts'

export const rateLimits = {
  /** Bits a second of the picture, at the least. */
  least: 100_000,
  /** Milliseconds by which acknowledgements may be later than the soonest of late. */
  late: 120,
  /** Beyond which pictures are left out, and back at which they are not. */
  full: 250,
  clear: 60,
  /** Milliseconds over which what came late is counted; where that is too little to tell, and it was no longer ago. */
  window: 500,
  longWindow: 2000,
  shortest: 100,
  /** Milliseconds in which the soonest is looked for; half of it at a time. */
  soonest: 20_000,
  /** Milliseconds between two steps down, before the first step up, and between two. */
  down: 400,
  calm: 2000,
  up: 500,
  /** What is asked for of what the way takes, and by how much a step up is more. */
  share: 0.85,
  step: 1.08,
  /** Acknowledgements that are remembered. */
  samples: 256,
} as const

interface Sample {
  readonly at: number
  readonly bytes: number
}

export interface Pace {
  /** Bits a second that the picture's encoder is to aim at. */
  readonly bitrate: number
  /** Whether pictures are to be left out where they are captured. */
  readonly isFull: boolean
}

export class RateControl {
  #most: number
  #bitrate: number
  #isFull = false
  /** Since the last one that was on time. */
  #samples: Sample[] = []
  /** How soon an acknowledgement comes at best, milliseconds. */
  readonly #soonest = new Soonest(rateLimits.soonest)
  #downAt = Number.NEGATIVE_INFINITY
  #upAt = Number.NEGATIVE_INFINITY
  /** Since when acknowledgements have been on time. */
  #calmSince: number | undefined

  /** @param most bits a second where nothing is in the way */
  constructor(most: number) {
    this.#most = most
    this.#bitrate = most
  }

  get pace(): Pace {
    return { bitrate: Math.round(this.#bitrate), isFull: this.#isFull }
  }

  /** More than this is not to be tried. */
  limit(most: number): void {
    this.#most = most
    this.#bitrate = Math.min(this.#bitrate, most)
  }

  /** Another connection: its way is another one. What it takes has still to be seen. */
  reset(): void {
    this.#samples = []
    this.#isFull = false
    this.#calmSince = undefined
    this.#soonest.clear()
  }

  /**
   * Frames were acknowledged.
   * @param bytes of the pictures among them. @param age of the newest of them, milliseconds from its encoding
   */
  acknowledged(bytes: number, age: number, now: number): void {
    const excess = age - this.#soonest.add(age, now)
    // Where nothing waits, what comes back is what was sent, and says nothing of what the way takes; nor does the time
    // before the first that is late, in which a lost packet or a busy log may have stopped everything for a moment.
    if (excess <= rateLimits.clear) this.#samples = []
    else this.#samples.push({ at: now, bytes })
    if (this.#samples.length > rateLimits.samples) this.#samples.shift()
    if (excess > rateLimits.late) this.#late(excess, now)
    else this.#onTime(excess, now)
  }

  #late(excess: number, now: number): void {
    this.#calmSince = undefined
    const taken = this.#taken(now)
    // What was kept over a break comes late as well, and as fast as the way takes it.
    if (taken === undefined || taken >= this.#bitrate / rateLimits.share) return
    this.#isFull = this.#isFull ? excess > rateLimits.clear : excess > rateLimits.full
    if (now - this.#downAt < rateLimits.down) return
    this.#downAt = now
    this.#bitrate = Math.max(rateLimits.least, Math.min(this.#bitrate, taken * rateLimits.share))
  }

  #onTime(excess: number, now: number): void {
    if (excess <= rateLimits.clear) this.#isFull = false
    this.#calmSince ??= now
    const mayRise = now - this.#calmSince > rateLimits.calm && now - this.#upAt > rateLimits.up
    if (!mayRise || this.#bitrate >= this.#most) return
    this.#upAt = now
    this.#bitrate = Math.min(this.#most, this.#bitrate * rateLimits.step)
  }

  /** Bits a second that came while something waited; undefined where it was too little to tell. */
  #taken(now: number): number | undefined {
    const within = (span: number): Sample[] => this.#samples.filter(({ at }) => now - at <= span)
    const shortly = within(rateLimits.window)
    const recent = shortly.length > 2 ? shortly : within(rateLimits.longWindow)
    const [first] = recent
    const span = now - (first?.at ?? now)
    if (span < rateLimits.shortest) return undefined
    const bytes = recent.slice(1).reduce((sum, sample) => sum + sample.bytes, 0)
    return (bytes * 8000) / span
  }
}
