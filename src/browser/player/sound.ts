/** The loudspeaker: an audio context that may be held back by the browser, and the worklet that plays in it. */
import type { Micros } from '../../units.ts'
import type { Block } from './sound-decoder.ts'
import type { FromSound, ToSound } from './sound-worklet.ts'
import workletUrl from './sound-worklet.ts?worker&url'

/**
 * How much the sound card is given at a time. By the smallest buffer a sample is at the loudspeaker 10 ms after it was handed
 * over and not 37 (Chromium without a device; 2.7 ms of samples at a time and not 10), and the picture waits for as much
 * less; but a machine that is late now and then has none to give meanwhile. So it is asked for only where the browser tells how often
 * that is. `margin`: milliseconds added to what the card reports, since it takes a buffer at a time, and not always on time.
 */
const cards = {
  smallest: { latencyHint: 0, margin: 3 },
  usual: { latencyHint: 'interactive', margin: 8 },
} as const
type Card = keyof typeof cards

export const underrunLimits = {
  /** Milliseconds over which is counted what the sound card did not get in time, and of them the most. */
  window: 5000,
  missing: 25,
} as const

/** Web Audio API, `AudioPlaybackStats`: seconds. Not every browser has it. */
interface PlaybackStats {
  readonly underrunDuration: number
}

/**
 * Milliseconds in which a sound card that the browser lets play plays, the audio thread's program loaded: up to 0.6 s where
 * none of it was in memory yet, some 100 otherwise. One that the browser holds back says so by not having begun.
 */
export const openingLimits = { held: 300, opening: 2000 } as const

/** Milliseconds around now within which a browser's word for what is at the loudspeaker is believed. */
const heardWithin = { past: 1000, future: 100 } as const
/** Reports that the loudest sample is taken from: about two seconds. */
const peakReports = 20

export interface SoundHandler {
  /** The browser lets it play, or no longer. */
  onChange(): void
  /** About ten times a second while it plays; also in a hidden page, where little else runs. */
  onReport(): void
  /** The smallest buffer is too small for this machine: another sound card that is asked for more is to take its place. */
  onUnderrun(): void
  onError(error: Error): void
}

export class Sound {
  readonly #context: AudioContext & { readonly playbackStats?: PlaybackStats }
  readonly #card: Card
  /** Seconds that the sound card had gone without, when the window began. */
  #underrun: { readonly since: number; readonly before: number } | undefined
  readonly #openedAt = performance.now()
  readonly #gain: GainNode
  readonly #handler: SoundHandler
  #node: AudioWorkletNode | undefined
  /** Of the last reports, the newest at `#peakAt`. */
  readonly #peaks = new Float32Array(peakReports)
  #peakAt = 0
  #report: FromSound = { peak: 0, played: 0, starved: 0, jumps: 0, skew: 0 }
  /** Clock of `performance.now()` minus the context's at the loudspeaker, milliseconds, smoothed. */
  #distance: number | undefined
  #lead = 40
  #hasFailed = false

  /**
   * @param isCareful asks for more than the smallest buffer
   * @throws DOMException where there is no sound hardware to speak of
   */
  constructor(isCareful: boolean, handler: SoundHandler) {
    this.#handler = handler
    this.#card = !isCareful && 'playbackStats' in AudioContext.prototype ? 'smallest' : 'usual'
    const { latencyHint } = cards[this.#card]
    this.#context = new AudioContext({ sampleRate: 48_000, latencyHint })
    this.#gain = this.#context.createGain()
    this.#gain.connect(this.#context.destination)
    this.#context.onstatechange = () => handler.onChange()
    this.#begin().catch((error: unknown) => {
      this.#hasFailed = true
      handler.onError(error instanceof Error ? error : new Error(String(error)))
    })
  }

  get isPlaying(): boolean {
    return this.#node !== undefined && this.#context.state === 'running'
  }

  /** Whether it will play in a moment. */
  isOpening(now: number): boolean {
    if (this.isPlaying || this.#hasFailed) return false
    const { held, opening } = openingLimits
    return now - this.#openedAt < (this.#context.state === 'running' ? opening : held)
  }

  /** Milliseconds from handing samples over to hearing them. */
  get lead(): number {
    return this.#lead + cards[this.#card].margin
  }

  /** The newest report, with the peak of the last two seconds. */
  get report(): FromSound {
    return { ...this.#report, peak: Math.max(...this.#peaks) }
  }

  /** To be called from a gesture, where the browser wants one. */
  resume(): void {
    void this.#context.resume().catch(() => {})
  }

  /** Stands still with all that it was given, until it is resumed. */
  suspend(): void {
    void this.#context.suspend().catch(() => {})
  }

  setHeard(heard: boolean): void {
    this.#gain.gain.setTargetAtTime(heard ? 1 : 0, this.#context.currentTime, 0.01)
  }

  /** @param block given away: its planes are no longer the caller's */
  play({ timestamp, rate, planes }: Block): void {
    this.#post(
      { kind: 'block', time: timestamp / 1_000_000, rate, planes: [...planes] },
      planes.map(plane => plane.buffer),
    )
  }

  /** Tells the audio thread where the timeline stands. @param soundAt media time due at a moment of the page's clock */
  follow(soundAt: (now: number) => Micros | undefined): void {
    if (!this.isPlaying) return
    const now = performance.now()
    const { contextTime, performanceTime } = this.#heardAt(now)
    const distance = performanceTime - contextTime * 1000
    const before = this.#distance
    this.#distance =
      before === undefined || Math.abs(distance - before) > 30 ? distance : before + (distance - before) * 0.1
    const context = this.#context.currentTime
    this.#lead = Math.max(0, context * 1000 + this.#distance - now)
    const media = soundAt(context * 1000 + this.#distance)
    if (media !== undefined) this.#post({ kind: 'sync', context, media: media / 1_000_000 })
    this.#countUnderruns(now)
  }

  clear(): void {
    this.#post({ kind: 'clear' })
  }

  close(): void {
    this.#node = undefined
    this.#context.onstatechange = null
    if (this.#context.state !== 'closed') void this.#context.close().catch(() => {})
  }

  #countUnderruns(now: number): void {
    const { underrunDuration } = this.#context.playbackStats ?? {}
    if (this.#card !== 'smallest' || underrunDuration === undefined) return
    this.#underrun ??= { since: now, before: underrunDuration }
    const { since, before } = this.#underrun
    if ((underrunDuration - before) * 1000 > underrunLimits.missing) this.#handler.onUnderrun()
    else if (now - since > underrunLimits.window) this.#underrun = undefined
  }

  async #begin(): Promise<void> {
    await this.#context.audioWorklet.addModule(workletUrl)
    if (this.#context.state === 'closed') return
    const node = new AudioWorkletNode(this.#context, 'framelog-sound', {
      numberOfInputs: 0,
      outputChannelCount: [2],
    })
    node.port.onmessage = ({ data }: MessageEvent<FromSound>) => {
      this.#report = data
      this.#peakAt = (this.#peakAt + 1) % peakReports
      this.#peaks[this.#peakAt] = data.peak
      this.#handler.onReport()
    }
    node.connect(this.#gain)
    this.#node = node
    this.#handler.onChange()
  }

  /**
   * Which sample is at the loudspeaker when. Where the browser does not say, its latency is subtracted; so too where
   * it says what cannot be: WebKitGTK's time runs twice as fast as the clock.
   */
  #heardAt(now: number): { contextTime: number; performanceTime: number } {
    const { contextTime = 0, performanceTime = 0 } = this.#context.getOutputTimestamp?.() ?? {}
    const ahead = performanceTime - now
    if (contextTime > 0 && performanceTime > 0 && ahead > -heardWithin.past && ahead < heardWithin.future)
      return { contextTime, performanceTime }
    const latency = this.#context.outputLatency || this.#context.baseLatency || 0
    return { contextTime: this.#context.currentTime - latency, performanceTime: now }
  }

  #post(message: ToSound, transfer: Transferable[] = []): void {
    this.#node?.port.postMessage(message, transfer)
  }
}
