/**
 * Keeps a live picture at the edge: as far behind the newest frame as it must be to have the next one in time, and no
 * further. What counts is how little was left at worst, over the last moments: what is left over at worst is lag that
 * nobody needs, and is played off a little faster; what runs dry is given more.
 * No clock of its own: every call says what time it is, in milliseconds of the page's clock.
 */

export const edgeLimits = {
  /** Milliseconds over which the worst is sought. */
  window: 1200,
  /** Milliseconds that should be left at worst, to begin with. With less than some 130 Chromium's sound runs dry, and each time
   * costs half a second. */
  want: { picture: 25, sound: 140 },
  /** Milliseconds that are wanted more after each time it ran dry, at most, and that go again in a second. */
  more: { picture: 15, sound: 40 },
  most: 400,
  forget: { picture: 8, sound: 2 },
  /** Milliseconds below and above the wanted within which nothing is done: it is nearly always come to from above, and stays there. */
  dead: { below: 12, above: 4 },
  /**
   * Share by which the rate moves for each second that is left over, and at most. Sound hears the difference: in the first
   * moments nobody has begun to listen.
   */
  gain: { first: 0.75, later: 0.5 },
  faster: { picture: 0.2, sound: 0.1 },
  slower: 0.04,
  /** Milliseconds of these moments. */
  first: 4000,
  /**
   * Milliseconds left over past which it jumps: seconds of hurrying are worse than one skip. In the first moments nobody
   * minds, but less than this is no use: behind a skip Chromium takes 300 ms to begin, with sound, so that skips of 100 to
   * 200 ms left the lag at 350.
   */
  jump: 700,
  jumpAtFirst: 300,
  /** The same on engines that stall at each change of the rate, and so only jump. */
  jumpOnly: 250,
  /** Milliseconds that a jump leaves over: it takes time itself, in which frames come or do not. */
  spared: 60,
  /** Milliseconds between two jumps. */
  settle: 1000,
} as const

export interface EdgeMove {
  /** What the playback rate should be. */
  readonly rate: number
  /** Milliseconds to skip, 0 for none. */
  readonly skip: number
}

export class Edge {
  readonly #kind: 'picture' | 'sound'
  readonly #canHurry: boolean
  /** The least that was left, in this half of the window and the one before. */
  #least = Number.POSITIVE_INFINITY
  #before = Number.POSITIVE_INFINITY
  #turnedAt: number | undefined
  #extra = 0
  #lookedAt: number | undefined
  #begunAt: number | undefined
  #jumpedAt = Number.NEGATIVE_INFINITY
  #rate = 1

  /** @param canHurry whether the engine plays at another rate without a stall */
  constructor(hasSound: boolean, canHurry: boolean) {
    this.#kind = hasSound ? 'sound' : 'picture'
    this.#canHurry = canHurry
  }

  /** Milliseconds that should be left at worst. */
  get wanted(): number {
    return Math.min(edgeLimits.most, edgeLimits.want[this.#kind] + this.#extra)
  }

  /** Playback had to wait for frames. */
  ranDry(): void {
    this.#extra = Math.min(edgeLimits.most, this.#extra + edgeLimits.more[this.#kind])
    this.#forget()
  }

  /** Somebody has long begun to listen. */
  settle(): void {
    this.#begunAt = Number.NEGATIVE_INFINITY
  }

  /** What was seen counts no more: the picture was moved, or hidden. */
  reset(now: number): void {
    this.#jumpedAt = now
    this.#forget()
  }

  /** Says what is left before it is played out. To be called often, above all just before frames are added. */
  see(left: number, now: number): void {
    this.#turnedAt ??= now
    if (now - this.#turnedAt > edgeLimits.window / 2) {
      this.#before = this.#least
      this.#least = Number.POSITIVE_INFINITY
      this.#turnedAt = now
    }
    this.#least = Math.min(this.#least, left)
  }

  move(now: number): EdgeMove {
    const passed = this.#lookedAt === undefined ? 0 : now - this.#lookedAt
    this.#lookedAt = now
    this.#extra = Math.max(0, this.#extra - (edgeLimits.forget[this.#kind] * passed) / 1000)
    const worst = Math.min(this.#least, this.#before)
    // Half a window says too little to go by.
    if (!Number.isFinite(worst) || this.#before === Number.POSITIVE_INFINITY)
      return { rate: this.#rate, skip: 0 }
    const over = worst - this.wanted
    this.#begunAt ??= now
    const isFirst = now - this.#begunAt < edgeLimits.first
    const hurried = isFirst ? edgeLimits.jumpAtFirst : edgeLimits.jump
    const limit = this.#canHurry ? hurried : edgeLimits.jumpOnly
    if (over > limit && now - this.#jumpedAt > edgeLimits.settle) {
      this.reset(now)
      this.#rate = 1
      return { rate: 1, skip: over - edgeLimits.spared }
    }
    this.#rate = this.#canHurry ? this.#rateFor(over, isFirst) : 1
    return { rate: this.#rate, skip: 0 }
  }

  /** In steps of one in two hundred, so that a rate once set is kept for a while. */
  #rateFor(over: number, isFirst: boolean): number {
    if (over > -edgeLimits.dead.below && over < edgeLimits.dead.above) return 1
    const most = edgeLimits.faster[this.#kind]
    const gain = edgeLimits.gain[isFirst ? 'first' : 'later']
    const wanted = Math.max(-edgeLimits.slower, Math.min(most, (over / 1000) * gain))
    return 1 + Math.round(wanted * 200) / 200
  }

  #forget(): void {
    this.#least = Number.POSITIVE_INFINITY
    this.#before = Number.POSITIVE_INFINITY
    this.#turnedAt = undefined
  }
}
