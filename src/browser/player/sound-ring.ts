/**
 * Samples that wait in the audio thread, addressed by media time. Reading follows the timeline: a little off, it
 * plays up to 2 % faster or slower; far off, it jumps. Without samples it gives silence; what is a little late is waited for and
 * played late, and the rest of it faster, so that nothing is lost. For more the timeline does not wait.
 * Pure: the worklet around it tells the media time that is due.
 */
export const soundLimits = {
  /** Seconds of samples that are held. */
  held: 2,
  /** Seconds between two blocks that count as adjoining. */
  adjoining: 0.005,
  /** Seconds that a block may begin before the end of the one before, and takes its place: some muxers miscount. */
  overlap: 0.2,
  /** Greatest share by which playing is faster or slower. */
  stretch: 0.02,
  /** Seconds off the timeline within which nothing is corrected, and past which reading jumps: that far off, lips tell. */
  fine: 0.002,
  jump: 0.08,
  /** Seconds in which a small difference is made up for. */
  horizon: 0.5,
  /** Seconds that reading waits for samples, and seconds in which sound fades out before silence and in behind it. */
  wait: 0.02,
  fade: 0.004,
} as const

export class SoundRing {
  readonly #rate: number
  readonly #size: number
  readonly #planes: readonly Float32Array[]
  /** Numbers of samples since the anchor; what lies between them is held. */
  #first = 0
  #end = 0
  /** Media time of sample 0, seconds. */
  #anchor: number | undefined
  /** Where reading stands, in samples; a fraction lies between two of them. */
  #at: number | undefined
  #played = 0
  #jumps = 0
  #starved = 0
  #skew = 0
  #peak = 0
  /** Samples of what is read for which it has waited since it ran dry. */
  #waited = 0
  /** From silence, 0, to what is read, 1; and the newest sample of each channel, which fades out. */
  #level = 1
  readonly #last: number[] = []

  /** @param rate samples a second of what is written */
  constructor(rate: number, channels: number) {
    this.#rate = rate
    this.#size = Math.ceil(rate * soundLimits.held)
    this.#planes = Array.from({ length: channels }, () => new Float32Array(this.#size))
  }

  /** Samples that came from what was written. */
  get played(): number {
    return this.#played
  }

  get jumps(): number {
    return this.#jumps
  }

  /** Samples of silence given for want of anything else. */
  get starved(): number {
    return this.#starved
  }

  /** Seconds that playing is ahead of the timeline, as it was last. */
  get skew(): number {
    return this.#skew
  }

  /** Seconds that are held ahead of reading. */
  get ahead(): number {
    return this.#at === undefined ? 0 : Math.max(0, (this.#end - this.#at) / this.#rate)
  }

  /** The loudest sample since the last call, 0 to 1. */
  takePeak(): number {
    const peak = this.#peak
    this.#peak = 0
    return peak
  }

  clear(): void {
    this.#anchor = undefined
    this.#at = undefined
    this.#first = 0
    this.#end = 0
  }

  /** @param time media time of the first sample, seconds. @param planes borrowed; the last one serves all further channels */
  write(time: number, planes: readonly Float32Array[]): void {
    const length = planes[0]?.length ?? 0
    if (length === 0 || length > this.#size) return
    this.#anchor ??= time
    let start = Math.round((time - this.#anchor) * this.#rate)
    const gap = start - this.#end
    if (Math.abs(gap) <= soundLimits.adjoining * this.#rate) start = this.#end
    else if (gap < -soundLimits.overlap * this.#rate || start < this.#first || gap > this.#size) {
      // Another stretch of media: what is held belongs to the one before.
      this.clear()
      this.#anchor = time
      start = 0
    } else if (gap > 0) this.#fill(this.#end, start, undefined)
    this.#fill(start, start + length, planes)
  }

  /**
   * Fills a block.
   * @param time media time that is due with its first sample, seconds; undefined where there is no timeline yet
   * @param rate samples a second of the block
   */
  read(out: readonly Float32Array[], time: number | undefined, rate: number): void {
    const length = out[0]?.length ?? 0
    if (time === undefined || this.#anchor === undefined) {
      for (const plane of out) plane.fill(0)
      return
    }
    const due = (time - this.#anchor) * this.#rate
    const ratio = this.#rate / rate
    const step = this.#step(due) * ratio
    const fade = 1 / (soundLimits.fade * rate)
    const wait = soundLimits.wait * rate
    let at = this.#at ?? due
    let played = 0
    for (let i = 0; i < length; i++) {
      // Interpolation looks one sample back and two ahead.
      const there = at >= this.#first + 1 && at + 2 < this.#end
      this.#level = there ? Math.min(1, this.#level + fade) : Math.max(0, this.#level - fade)
      if (there) {
        played += 1
        this.#waited = 0
      }
      for (let channel = 0; channel < out.length; channel++) {
        const plane = out[channel]
        const source = this.#planes[Math.min(channel, this.#planes.length - 1)]
        if (plane === undefined || source === undefined) continue
        if (there) this.#last[channel] = this.#sample(source, at)
        const value = this.#level === 0 ? 0 : this.#level * (this.#last[channel] ?? 0)
        plane[i] = value
        if (value > this.#peak) this.#peak = value
        else if (-value > this.#peak) this.#peak = -value
      }
      // What is due may still come.
      const waits = at + 2 >= this.#end && this.#waited <= wait
      if (there || !waits) at += step
      // It has waited for nothing: what comes next is played in its time.
      else if (++this.#waited > wait) at = due + (i + 1) * ratio
    }
    this.#at = at
    this.#played += played
    this.#starved += length - played
  }

  /** How many samples to go on with each one played. */
  #step(due: number): number {
    if (this.#at === undefined) this.#at = due
    const off = (this.#at - due) / this.#rate
    this.#skew = off
    if (Math.abs(off) > soundLimits.jump) {
      this.#at = due
      this.#jumps += 1
      this.#skew = 0
      this.#level = 0
      return 1
    }
    if (Math.abs(off) < soundLimits.fine) return 1
    return 1 - Math.max(-soundLimits.stretch, Math.min(soundLimits.stretch, off / soundLimits.horizon))
  }

  /** Cubic interpolation after Catmull and Rom. */
  #sample(source: Float32Array, at: number): number {
    const whole = Math.floor(at)
    const t = at - whole
    const b = source[whole % this.#size] ?? 0
    if (t === 0) return b
    const a = source[(whole - 1) % this.#size] ?? 0
    const c = source[(whole + 1) % this.#size] ?? 0
    const d = source[(whole + 2) % this.#size] ?? 0
    return b + 0.5 * t * (c - a + t * (2 * a - 5 * b + 4 * c - d + t * (3 * (b - c) + d - a)))
  }

  #fill(from: number, to: number, planes: readonly Float32Array[] | undefined): void {
    this.#planes.forEach((plane, channel) => {
      const source = planes?.[Math.min(channel, planes.length - 1)]
      const begin = from % this.#size
      const head = Math.min(to - from, this.#size - begin)
      if (source === undefined) {
        plane.fill(0, begin, begin + head)
        plane.fill(0, 0, to - from - head)
      } else {
        plane.set(source.subarray(0, head), begin)
        plane.set(source.subarray(head), 0)
      }
    })
    this.#end = Math.max(this.#end, to)
    this.#first = Math.max(this.#first, this.#end - this.#size)
  }
}
