/** What a page sees of a publisher, whatever encodes. */
import type { Problem } from '../net/link.ts'
import type { DeviceProblem } from './devices.ts'

/** The whole life of a publisher; each arm has its words in `text.ts`. */
export type PublisherState =
  | { readonly kind: 'idle' }
  /** The browser asks for the camera and the microphone. */
  | { readonly kind: 'asking' }
  | { readonly kind: 'refused'; readonly problem: DeviceProblem }
  | { readonly kind: 'unsupported'; readonly missing: string }
  | { readonly kind: 'connecting'; readonly problem?: Problem }
  /** Frames are acknowledged. */
  | { readonly kind: 'live' }
  /** The log does not answer: the gateway and this page keep the newest frames until it does. */
  | { readonly kind: 'stalled' }
  /** Frames are kept until the gateway is back. */
  | { readonly kind: 'reconnecting'; readonly problem?: Problem }
  | { readonly kind: 'ended' }
  | { readonly kind: 'failed'; readonly problem: Problem }

/** What a publisher has done since it was started. */
export interface PublisherFigures {
  /** Origin of the gateway that it is connected to, or tries: another than the page's own where that is gone. */
  readonly gateway: string
  /** What encodes, once that is known. */
  readonly mode?: 'webcodecs' | 'mediarecorder'
  /** Frames that the encoders gave: each gets a number. */
  readonly encoded: { readonly video: number; readonly audio: number }
  /** Frames given to a socket; a frame that is sent again counts again. */
  readonly sent: number
  /** The highest number known to be in the log; -1 for none. */
  readonly acknowledged: number
  /** Numbered frames that were given up. */
  readonly dropped: number
  /** Bits a second that the picture's encoder aims at, where it follows what the way to the log takes. */
  readonly bitrate?: number
  /** Pictures that were not encoded, because the encoder was behind, or too much was under way. */
  readonly skipped: number
  /** Frames that wait for an acknowledgement. */
  readonly unacknowledged: number
  /** Bytes of all encoded frames. */
  readonly bytes: number
  readonly codecs: readonly string[]
  /** When the socket opened first, on the clock of `performance.now()`. */
  readonly openedAt?: number
  /** Milliseconds. */
  readonly roundTrip?: number
}

export interface Publisher {
  readonly state: PublisherState
  readonly figures: PublisherFigures
  /** What is being sent, for a preview; undefined while there is none. */
  readonly stream: MediaStream | undefined
  /** Asks for the devices and goes on air. Once per publisher. */
  start(): Promise<void>
  /** Tells what the broadcast is called from now on; nothing where it is empty. */
  setTitle(title: string): void
  /** Sends what is left, says that no more follows, lets the devices go. Idempotent. */
  stop(): Promise<void>
  /** The page goes away: the same, in what little time there is. */
  abandon(): void
}

/** Called at every change of state. */
export type OnPublisherState = (state: PublisherState) => void
