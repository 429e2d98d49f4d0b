/** Where the element plays: begins at the edge, keeps to it, gets over holes, and counts what was played and what was waited for. */
import { isAppleWebKit } from '../../engine.ts'
import { Edge } from './edge.ts'

export const playheadLimits = {
  /** Milliseconds without a frame after which the GOP of a joining viewer has come, and at most. */
  quiet: 12,
  join: 150,
  /** Milliseconds by which a live picture begins further behind than it wants to be in the end. */
  before: 40,
  /** Milliseconds by which a page that was hidden may be behind when it is shown again, and while it is hidden. */
  shown: 300,
  hidden: 10_000,
  /** Milliseconds that sound has been dry for, and that must be there again, before playback is begun anew. */
  dry: 60,
  restart: 240,
  /** Milliseconds between two such beginnings. */
  restarts: 700,
  /** Seconds from the end of what is there within which playback counts as stuck in front of a hole; and once it waits. */
  hole: 0.1,
  holeAhead: 1,
  /** Milliseconds after which it waits for what does not come. */
  stuck: 400,
} as const

/** What is to be played: element times in microseconds. */
export interface Playable {
  readonly isLive: boolean
  /** Where its session begins. */
  readonly from: number
  /** Where each track ends. */
  readonly ends: readonly number[]
}

export class Playhead {
  readonly #video: HTMLVideoElement
  readonly #chases: boolean
  // Safari stops for a moment whenever the rate changes.
  readonly #canHurry = !isAppleWebKit()
  #edge = new Edge(false, this.#canHurry)
  /** When the frames of a join began and went on to come, as far as there are any; undefined once playback has begun. */
  #joining: { since: number | undefined; last: number } | undefined
  #before: { readonly at: number; readonly time: number } | undefined
  #playedMs = 0
  #dryMs = 0
  #dryAt: number | undefined
  #soughtAt: number | undefined
  #hasSound = false
  #restartedAt = Number.NEGATIVE_INFINITY

  /** @param chases whether a live picture that has fallen behind hurries back */
  constructor(video: HTMLVideoElement, chases: boolean) {
    this.#video = video
    this.#chases = chases
  }

  /** Frames come that playback has not begun with. */
  get isJoining(): boolean {
    return this.#joining !== undefined
  }

  /** Milliseconds that were played, but for jumps; and that were waited for frames. */
  get playedMs(): number {
    return this.#playedMs
  }

  get dryMs(): number {
    return this.#dryMs
  }

  /** Milliseconds since the first frame of a join, or since there was nothing to play; undefined while it flows. */
  waitsFor(now: number): number | undefined {
    if (this.#joining !== undefined) return now - (this.#joining.since ?? now)
    // A seek to where there is too little of one track does not end either.
    if (this.#video.seeking) return now - (this.#soughtAt ?? now)
    return this.#video.readyState > 2 ? undefined : now - (this.#dryAt ?? now)
  }

  /** Another source begins. */
  open(hasSound: boolean): void {
    this.#hasSound = hasSound
    this.#edge = new Edge(hasSound, this.#canHurry)
    this.join()
  }

  close(): void {
    this.#joining = undefined
    this.#before = undefined
  }

  /** What comes next is begun with as a joining viewer begins. */
  join(): void {
    this.#joining = { since: undefined, last: performance.now() }
  }

  /** A frame came. @param left milliseconds that were left to be played just before; undefined where nothing was there */
  came(left: number | undefined, isLive: boolean): void {
    const now = performance.now()
    if (this.#joining !== undefined) {
      this.#joining.since ??= now
      this.#joining.last = now
    } else if (isLive && left !== undefined && !this.#video.seeking && !this.#video.paused)
      this.#edge.see(left, now)
  }

  /** What was played has come to the edge: it is kept to from now on, without a jump where there need be none. */
  goLive(): void {
    this.#edge.reset(performance.now())
    this.#edge.settle()
  }

  /** What was seen counts no more. */
  reset(): void {
    this.#edge.reset(performance.now())
  }

  /** Begins to play once what a join is given has come. @param isAll whether nothing more will. @returns whether it did */
  begin({ isLive, from, ends }: Playable, isAll: boolean): boolean {
    const { buffered, readyState } = this.#video
    if (this.#joining === undefined || readyState === 0) return false
    const now = performance.now()
    const { since = now, last } = this.#joining
    const hasCome = now - last > playheadLimits.quiet || now - since > playheadLimits.join
    if (isLive && !isAll && !hasCome) return false
    const edge = Math.min(...ends) / 1_000_000 - (this.#edge.wanted + playheadLimits.before) / 1000
    // What an earlier session has left is not waited for, and nothing is played twice.
    const wanted = Math.max(this.#video.currentTime, from / 1_000_000, isLive ? edge : 0)
    for (let i = 0; i < buffered.length; i++) {
      if (buffered.end(i) <= wanted) continue
      this.#joining = undefined
      this.#video.currentTime = Math.max(buffered.start(i), wanted)
      this.#edge.reset(now)
      return true
    }
    return false
  }

  /** Keeps to the edge. To be called many times a second. */
  chase(now: number): void {
    if (!this.#chases) return
    const { rate, skip } = this.#edge.move(now)
    if (skip > 0) this.#skip(skip)
    else if (this.#video.playbackRate !== rate) this.#video.playbackRate = rate
  }

  /** Nobody chases while the page is hidden: it plays as it is. */
  hide(): void {
    this.#video.playbackRate = 1
  }

  /** A hidden page is shown again: one skip to the edge. */
  shownAgain(left: number | undefined, isLive: boolean): void {
    const over = left === undefined ? 0 : left - this.#edge.wanted
    if (isLive && this.#chases && over > playheadLimits.shown) this.#skip(over)
    this.#edge.reset(performance.now())
  }

  /** Browsers stop a picture without sound that nobody sees, and what comes would fill the memory. Live only. */
  passOver(left: number | undefined): void {
    const over = left === undefined ? 0 : left - this.#edge.wanted
    if (over > playheadLimits.hidden && !this.#video.seeking) this.#skip(over)
  }

  /** Frames that never came leave a hole: playback goes on behind it. */
  overHoles(now: number): void {
    const { buffered, currentTime, readyState, paused } = this.#video
    if (readyState > 2 || paused) return
    const isStuck = (this.waitsFor(now) ?? 0) > playheadLimits.stuck
    const reach = isStuck ? playheadLimits.holeAhead : playheadLimits.hole
    for (let i = 0; i < buffered.length; i++) {
      const start = buffered.start(i)
      if (start <= currentTime + 0.001) continue
      const before = i > 0 ? buffered.end(i - 1) : 0
      if (before - currentTime < reach) this.#video.currentTime = start
      return
    }
  }

  /**
   * Begins anew once there is enough, where live sound ran dry. Chromium wants 200 ms of sound before it plays, and
   * twice as much after each time it ran dry, up to seconds; a seek makes it forget that.
   */
  restart(left: number | undefined, now: number): void {
    if (!this.#hasSound || this.#dryAt === undefined || left === undefined || this.#video.seeking) return
    const { dry, restart, restarts } = playheadLimits
    if (now - this.#dryAt < dry || left < restart || now - this.#restartedAt < restarts) return
    this.#restartedAt = now
    this.#video.currentTime += Math.max(1, left - restart) / 1000
    this.#edge.reset(now)
  }

  seeks(): void {
    this.#soughtAt = performance.now()
  }

  waits(isLive: boolean): void {
    if (this.#video.seeking || this.#joining !== undefined) return
    this.#dryAt ??= performance.now()
    if (isLive && !document.hidden) this.#edge.ranDry()
  }

  flows(): void {
    if (this.#dryAt !== undefined) this.#dryMs += performance.now() - this.#dryAt
    this.#dryAt = undefined
  }

  /** How much was played: what the element moved on, but for jumps. */
  count(now: number): void {
    const { currentTime } = this.#video
    if (this.#before !== undefined) {
      const moved = (currentTime - this.#before.time) * 1000
      if (moved > 0 && moved < (now - this.#before.at) * 1.5 + 20) this.#playedMs += moved
    }
    this.#before = { at: now, time: currentTime }
  }

  #skip(milliseconds: number): void {
    this.#video.playbackRate = 1
    this.#video.currentTime += milliseconds / 1000
  }
}
