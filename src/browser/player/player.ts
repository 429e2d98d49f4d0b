/** What a page sees of a player, whatever decodes. */
import type { Problem } from '../net/link.ts'
import type { Way } from './frame-ways.ts'
import type { RenditionState, RenditionWish } from './rendition-choice.ts'

/** The whole life of a player; each arm has its words in `text.ts`. */
export type PlayerState =
  | { readonly kind: 'connecting'; readonly problem?: Problem }
  /** Nobody has published yet. */
  | { readonly kind: 'waiting' }
  | { readonly kind: 'live' }
  | { readonly kind: 'replaying' }
  /** The picture stands still, as the viewer wants it. */
  | { readonly kind: 'paused' }
  | { readonly kind: 'reconnecting'; readonly problem?: Problem }
  /** The publisher is gone for the moment. */
  | { readonly kind: 'interrupted' }
  /** Played out. A new publisher revives it. */
  | { readonly kind: 'ended' }
  | { readonly kind: 'unsupported'; readonly missing: string }
  | { readonly kind: 'failed'; readonly problem: Problem }

/** What a page wants of the sound: `silent` plays it unheard, so that it can be measured. */
export type SoundWish = 'heard' | 'silent' | 'off'

/** What became of it. `blocked`: the browser waits for a gesture. `none`: there is no sound in the broadcast. */
export type SoundState = SoundWish | 'blocked' | 'none'

export interface PlayerFigures {
  /** What decodes. */
  readonly mode: 'webcodecs' | 'mse'
  /** Pictures that came onto the page. */
  readonly painted: number
  readonly decoded: number
  /** Decoded pictures that came too late to be shown. */
  readonly late: number
  /** Frames that are missing in what came. */
  readonly lost: number
  /** From the open socket, or the publisher's coming, to the first picture, milliseconds. */
  readonly joinMs?: number
  /** How far into its GOP the broadcast was at that moment, milliseconds of media. */
  readonly joinPhaseMs?: number
  /** When the first picture was painted, on the clock of `performance.now()`. */
  readonly firstPaintAt?: number
  /** Age of the picture shown, when it was painted, milliseconds; needs a publisher that says when it captured. */
  readonly lagMs?: number
  /** Where that age comes from: the mean of the last second, live. */
  readonly way?: Way
  /** Media time of the picture shown, and of the first one, microseconds. */
  readonly mediaTime?: number
  readonly firstMediaTime?: number
  /** Milliseconds between a frame's media time and its presentation that the timeline adds to the earliest. */
  readonly bufferMs?: number
  /** Wall clock at which the picture shown was received, by its record, milliseconds. */
  readonly clock?: number
  /** From when to when the broadcast can be watched, by the same clock. */
  readonly span?: Span
  /** Origin of the gateway that it is connected to, or tries: another than the page's own where that is gone. */
  readonly gateway: string
  /** Media time that passes in a unit of time. */
  readonly rate: number
  /** Where the picture is there in several sizes. */
  readonly renditions?: RenditionState
  /** Pictures painted in the last second. */
  readonly fps: number
  readonly codecs: readonly string[]
  readonly size?: { readonly width: number; readonly height: number }
  readonly audio: {
    readonly state: SoundState
    readonly playing: boolean
    /** Loudest sample of the last two seconds, 0 to 1, before the volume; undefined where the browser keeps it to itself. */
    readonly peak?: number
    readonly samplesPlayed: number
    /** Samples of silence for want of sound. */
    readonly starved: number
    /** Sound ahead of picture, milliseconds; ahead of its own time where it is silent. */
    readonly avSkewMs: number
  }
  /** The last few things that went wrong. */
  readonly errors: readonly string[]
}

export interface Span {
  readonly first: number
  readonly last: number
  /** From when to when it was over, in between. */
  readonly gaps: readonly (readonly [from: number, to: number])[]
  /** Whether it does not grow. */
  readonly isOver: boolean
}

export interface Player {
  readonly state: PlayerState
  readonly sound: SoundState
  readonly figures: PlayerFigures
  /** What the broadcast is called where the viewer is; undefined where it is called nothing. */
  readonly title: string | undefined
  /** Whether the broadcast is over: what there is does not grow. */
  readonly isOver: boolean
  /** Whether the picture stands still, or will once there is a connection again. */
  readonly isPaused: boolean
  start(): void
  /** The picture stands still. What comes meanwhile is in the log. */
  pause(): void
  /** Goes on where it stands. */
  play(): void
  /** Goes elsewhere, `live` too; a picture that stands still stands still there. @param from as `?from=` has it */
  seek(from: string): void
  /** To the keyframe before the picture shown, or the one behind it, and stands still there. */
  step(direction: -1 | 1): void
  /** @param rate media time that passes in a unit of time, 0.25 to 4. A replay that comes to the edge is live, at 1. */
  setRate(rate: number): void
  /** Which size of the picture, from its next keyframe on. */
  setRendition(wish: RenditionWish): void
  /** To be called from a gesture where the sound is blocked. */
  setSound(wish: SoundWish): void
  /** Leaves the broadcast and gives everything back. Idempotent. */
  stop(): void
}

/** Called at every change of the state or of the sound's. */
export type OnPlayerChange = () => void
