/**
 * One timeline for picture and sound: when, on the page's clock, a moment of media time is presented.
 * Presentation time = media time / rate + delay. Live, the rate is 1, and the delay is what nearly all frames need to be ready in time and
 * no more; it moves so slowly that sound can follow. A replay sets it once and moves it only when it runs dry.
 * No clock of its own: every call says what time it is, in milliseconds of the page's clock.
 */
import { type Micros, micros } from '../../units.ts'
import { Arrivals, type Lane } from './arrivals.ts'
import { lipSync } from './lip-sync.ts'

export type TimelineMode = 'live' | 'replay'

export const timelineLimits = {
  /**
   * Milliseconds added to what frames need, at first and then. A picture that is late by less than half a refresh is as often
   * as not seen with the same refresh.
   */
  firstMargin: { video: 40, audio: 50 },
  margin: { video: -4, audio: 5 },
  /** Milliseconds from the first frame in which the delay is found out rather than followed. */
  settling: 700,
  /** Milliseconds between two looks at what frames need. */
  look: 250,
  /** Milliseconds by which the delay may move in a second: sound follows by resampling, pictures by themselves. */
  rateWithSound: 18,
  rate: 80,
  /** Milliseconds past which the delay jumps: one skip is better than ten seconds of catching up. */
  jump: 200,
  /** Milliseconds of media that a replay holds ready before it begins, and after it ran dry. */
  replayLead: 120,
  replayRefill: 250,
} as const

export class Timeline {
  #mode: TimelineMode
  #rate: number
  #isPaused: boolean
  /** Media time at which it stands, milliseconds; undefined while it moves, or has not begun. */
  #stoodAt: number | undefined
  readonly #arrivals: Readonly<Record<Lane, Arrivals>> = {
    video: new Arrivals('video'),
    audio: new Arrivals('audio'),
  }
  #delay: number | undefined
  #soundDelay: number | undefined
  #wanted: { delay: number; sound: number } | undefined
  #since = 0
  #isSettling = false
  #lookedAt = Number.NEGATIVE_INFINITY
  #advancedAt = 0
  /** Milliseconds that the sound card needs; undefined where no sound is heard, so that nothing waits for it. */
  #soundLead: number | undefined
  /** Sound is heard from now on, and none of it came yet. */
  #beginsToHear = false

  /** @param rate media time that passes in a unit of time, and whether it stands still: of a replay */
  constructor(mode: TimelineMode, { rate = 1, isPaused = false } = {}) {
    this.#mode = mode
    this.#rate = rate
    this.#isPaused = isPaused
  }

  get mode(): TimelineMode {
    return this.#mode
  }

  /** Whether a frame has told when to present. */
  get isSet(): boolean {
    return this.#delay !== undefined
  }

  /** Milliseconds from media time to presentation; undefined until a frame came. */
  get delay(): number | undefined {
    return this.#delay
  }

  /** Milliseconds that sound is behind the picture on purpose: a little where it takes longer, more where nobody hears it. */
  get soundLag(): number {
    return this.#delay === undefined || this.#soundDelay === undefined ? 0 : this.#soundDelay - this.#delay
  }

  /** Milliseconds that the earliest pictures wait, or the earliest sound where there are none. */
  buffer(now: number): number | undefined {
    const earliest = this.#arrivals.video.smallest(now) ?? this.#arrivals.audio.smallest(now)
    return this.#delay === undefined || earliest === undefined ? undefined : this.#delay - earliest
  }

  /** Goes on at another rate from where it is. */
  setRate(rate: number, now: number): void {
    const media = this.mediaAt(now)
    this.#rate = rate
    this.#putAt(media, now)
  }

  /** Stands still, or goes on. */
  setPaused(isPaused: boolean, now: number): void {
    if (isPaused === this.#isPaused) return
    const media = this.mediaAt(now)
    this.#isPaused = isPaused
    this.#stoodAt = isPaused && media !== undefined ? media / 1000 : undefined
    if (!isPaused) this.#putAt(media, now)
  }

  /** A replay has come to what is on now: from here on it keeps to it. */
  goLive(now: number): void {
    const media = this.mediaAt(now)
    this.#mode = 'live'
    this.#rate = 1
    this.#isPaused = false
    this.#stoodAt = undefined
    this.#arrivals.video.clear()
    this.#arrivals.audio.clear()
    this.#wanted = undefined
    this.#putAt(media, now)
    // Followed from the start: where it is, it has had its time.
    this.#since = Number.NEGATIVE_INFINITY
    this.#advancedAt = now
    this.#lookedAt = now
  }

  /** A new media clock, or a new connection: what was learnt of the old one counts no more. */
  reset(): void {
    this.#arrivals.video.clear()
    this.#arrivals.audio.clear()
    this.#delay = undefined
    this.#soundDelay = undefined
    this.#wanted = undefined
    this.#stoodAt = undefined
  }

  /** @param lead milliseconds from handing samples over to hearing them; undefined where nobody hears them */
  hear(lead: number | undefined): void {
    if (this.#soundLead === undefined && lead !== undefined) this.#beginsToHear = true
    this.#soundLead = lead
  }

  /** A frame is decoded and could be presented now. */
  ready(lane: Lane, timestamp: Micros, now: number): void {
    const lateness = now - timestamp / 1000 / this.#rate
    if (this.#mode === 'replay') {
      this.#readyInReplay(lateness)
      if (this.#isPaused) this.#stoodAt ??= timestamp / 1000
      return
    }
    this.#arrivals[lane].add(lateness, now)
    // What sound needs is found out, not followed: until it had its delay, all of it would come too late.
    const isHeard = this.#beginsToHear && lane === 'audio'
    if (this.#delay === undefined || isHeard) {
      this.#since = now
      this.#isSettling = true
      this.#advancedAt = now
      this.#beginsToHear &&= !isHeard
    }
    if (now - this.#since < timelineLimits.settling) this.#settle(now)
  }

  /** Moves the delay towards what frames need. To be called often; how often does not matter. */
  advance(now: number): void {
    const passed = Math.max(0, now - this.#advancedAt)
    this.#advancedAt = now
    if (this.#mode === 'replay' || this.#delay === undefined || now - this.#since < timelineLimits.settling)
      return
    if (this.#isSettling) {
      // How late frames were that came as a GOP, into decoders that had just begun, says nothing of those to come.
      this.#isSettling = false
      this.#arrivals.video.clear()
      this.#arrivals.audio.clear()
    }
    if (now - this.#lookedAt >= timelineLimits.look) {
      this.#lookedAt = now
      this.#wanted = this.#look(now, 'usual', timelineLimits.margin) ?? this.#wanted
    }
    if (this.#wanted === undefined) return
    const seconds = passed / 1000
    const perSecond = this.#soundLead === undefined ? timelineLimits.rate : timelineLimits.rateWithSound
    this.#delay = approach(this.#delay, this.#wanted.delay, perSecond * seconds)
    // Unheard sound is measured, and can be played no faster than any other.
    const sound = this.#soundDelay ?? this.#wanted.sound
    const moved = approach(sound, this.#wanted.sound, timelineLimits.rateWithSound * seconds)
    // Where one of the two jumps, the other goes with it.
    const most = this.#delay + (this.#soundLead === undefined ? Number.POSITIVE_INFINITY : lipSync.behind)
    this.#soundDelay = Math.min(most, Math.max(this.#delay, moved))
  }

  /** When a moment of media time is presented; undefined until a frame came. */
  dueAt(timestamp: Micros): number | undefined {
    return this.#delay === undefined ? undefined : timestamp / 1000 / this.#rate + this.#delay
  }

  /** The media time that is presented now. */
  mediaAt(now: number): Micros | undefined {
    if (this.#stoodAt !== undefined) return micros(this.#stoodAt * 1000)
    return this.#delay === undefined ? undefined : micros((now - this.#delay) * this.#rate * 1000)
  }

  /** The media time whose sound is due now: the picture's, or a little before; more where it is measured and not heard. */
  soundAt(now: number): Micros | undefined {
    const delay = this.#soundDelay ?? this.#delay
    return delay === undefined ? undefined : micros((now - delay) * 1000)
  }

  /** @param media time that is presented now */
  #putAt(media: Micros | undefined, now: number): void {
    if (media === undefined) return
    this.#delay = now - media / 1000 / this.#rate
    this.#soundDelay = this.#delay
  }

  #settle(now: number): void {
    const wanted = this.#look(now, 'smallest', timelineLimits.firstMargin)
    if (wanted === undefined) return
    this.#delay = wanted.delay
    this.#soundDelay = wanted.sound
  }

  #look(
    now: number,
    which: 'usual' | 'smallest',
    margin: Readonly<Record<Lane, number>>,
  ): { delay: number; sound: number } | undefined {
    const video = this.#arrivals.video[which](now)
    const audio = this.#arrivals.audio[which](now)
    const heard = this.#soundLead !== undefined
    const picture = video === undefined ? Number.NEGATIVE_INFINITY : video + margin.video
    const sound = audio === undefined ? picture : audio + margin.audio + (this.#soundLead ?? unheardLead)
    const delay = heard ? Math.max(picture, sound - lipSync.behind) : video === undefined ? sound : picture
    return Number.isFinite(delay) ? { delay, sound: Math.max(delay, sound) } : undefined
  }

  #readyInReplay(lateness: number): void {
    if (this.#isPaused && this.#delay !== undefined) return
    const lead = this.#soundLead ?? 0
    if (this.#delay === undefined) this.#delay = lateness + timelineLimits.replayLead + lead
    else if (lateness + lead > this.#delay + timelineLimits.replayRefill)
      this.#delay = lateness + lead + timelineLimits.replayRefill
    this.#soundDelay = this.#delay
  }
}

/** What a sound card takes where nobody hears it: enough to measure by. */
const unheardLead = 50

function approach(from: number, to: number, step: number): number {
  const difference = to - from
  if (Math.abs(difference) > timelineLimits.jump) return to
  return from + Math.max(-step, Math.min(step, difference))
}
