/** The sound of a broadcast: decoder and loudspeaker, as far as the viewer wants them and the browser lets them. */
import type { AudioTrack } from '../../media/catalog.ts'
import type { NumberedFrame } from '../../media/frame.ts'
import type { SoundState, SoundWish } from './player.ts'
import { Sound } from './sound.ts'
import { SoundDecoder } from './sound-decoder.ts'
import type { Timeline } from './timeline.ts'

export interface SoundLaneHandler {
  /** The timeline that is followed now. */
  timeline(): Timeline
  /** What is heard has changed. */
  onChange(): void
  /** About ten times a second while it plays. */
  onReport(): void
  onError(error: Error): void
}

/** The picture stands still, and sound with it; or it has another pace, at which there is no sound. */
export type Hold = 'none' | 'still' | 'mute'

export class SoundLane {
  readonly #handler: SoundLaneHandler
  #wish: SoundWish
  /** Of the segment that is played; null where it has none. */
  #track: AudioTrack | null | undefined
  #sound: Sound | undefined
  #decoder: SoundDecoder | undefined
  #hold: Hold = 'none'
  /** Whether the smallest buffer was too small once. */
  #isCareful = false

  constructor(wish: SoundWish, handler: SoundLaneHandler) {
    this.#wish = wish
    this.#handler = handler
  }

  get state(): SoundState {
    if (this.#wish === 'off') return this.#track === null ? 'none' : 'off'
    if (this.#track === null || this.#sound === undefined) return 'none'
    return this.#sound.isPlaying || this.#hold === 'still' ? this.#wish : 'blocked'
  }

  get isPlaying(): boolean {
    return this.#hold === 'none' && this.#wish !== 'off' && this.#sound?.isPlaying === true
  }

  /** Whether sound that is wanted will be heard in a moment. */
  isOpening(now: number): boolean {
    return this.#hold === 'none' && this.#wish !== 'off' && this.#sound?.isOpening(now) === true
  }

  /** Whether the decoder has enough for now. */
  get isFull(): boolean {
    return this.#decoder?.isFull === true
  }

  get report(): { peak: number; played: number; starved: number; skewMs: number } {
    const { peak = 0, played = 0, starved = 0, skew = 0 } = this.#sound?.report ?? {}
    // Where nobody hears it, it is behind the picture on purpose: what counts is how well it keeps its own time.
    const behind = this.#wish === 'heard' ? this.#handler.timeline().soundLag : 0
    return { peak, played, starved, skewMs: skew * 1000 - behind }
  }

  /** A segment begins. @param isNewClock whether what is still to be played belongs to another media clock */
  enter(track: AudioTrack | undefined, isNewClock: boolean): void {
    this.#closeDecoder()
    this.#track = track ?? null
    if (isNewClock) this.#sound?.clear()
  }

  /** Nothing is known of what comes next. */
  leave(): void {
    this.#closeDecoder()
    this.#track = undefined
    this.#sound?.clear()
  }

  /** Plays nothing for a while, whatever the wish. */
  hold(hold: Hold): void {
    if (hold === this.#hold) return
    const before = this.#hold
    this.#hold = hold
    if (hold === 'still') this.#sound?.suspend()
    else if (before === 'still') this.#sound?.resume()
    // What comes at another pace is passed over.
    if (hold === 'mute') {
      this.#closeDecoder()
      this.#sound?.clear()
    }
    this.hear()
  }

  /** Opens the sound card where there is something to play. Idempotent. */
  open(): void {
    if (this.#sound !== undefined || this.#wish === 'off' || !this.#track) return
    try {
      this.#sound = new Sound(this.#isCareful, {
        onChange: () => {
          this.hear()
          this.#handler.onChange()
        },
        onReport: () => this.#handler.onReport(),
        onUnderrun: () => this.#reopen(),
        onError: error => this.#handler.onError(error),
      })
      this.#sound.setHeard(this.#wish === 'heard')
    } catch (error) {
      this.#handler.onError(error instanceof Error ? error : new Error(String(error)))
    }
  }

  setWish(wish: SoundWish): void {
    this.#wish = wish
    if (wish === 'off') this.stop()
    else {
      this.open()
      this.#sound?.setHeard(wish === 'heard')
      if (this.#hold !== 'still') this.#sound?.resume()
    }
    this.hear()
    this.#handler.onChange()
  }

  decode(frame: NumberedFrame): void {
    if (!this.#track) return
    this.#decoder ??= new SoundDecoder(this.#track, {
      onBlock: block => {
        this.#handler.timeline().ready('audio', block.timestamp, performance.now())
        this.#sound?.play(block)
      },
      onError: error => this.#handler.onError(error),
    })
    this.#decoder.decode(frame)
  }

  /** Tells the audio thread where the timeline stands, and the timeline what the sound card needs. */
  follow(): void {
    const timeline = this.#handler.timeline()
    this.#sound?.follow(at => timeline.soundAt(at))
    this.hear()
  }

  /** The picture waits for the sound where it is heard, and only there. */
  hear(): void {
    const heard = this.#wish === 'heard' && this.isPlaying
    this.#handler.timeline().hear(heard ? this.#sound?.lead : undefined)
  }

  stop(): void {
    this.#closeDecoder()
    this.#sound?.close()
    this.#sound = undefined
  }

  /** What was handed over and not heard is lost: less than was missing before. */
  #reopen(): void {
    this.#isCareful = true
    this.stop()
    this.open()
  }

  #closeDecoder(): void {
    this.#decoder?.close()
    this.#decoder = undefined
  }
}
