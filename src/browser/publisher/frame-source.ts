/** What makes encoded frames of a camera's stream: WebCodecs, or MediaRecorder with a demuxer behind it. */
import type { Catalog } from '../../media/catalog.ts'
import type { Frame } from '../../media/frame.ts'
import type { Problem } from '../net/link.ts'
import type { Pace } from './rate-control.ts'

export interface FrameSourceHandler {
  /** Before the first frame of a session, and again where a decoder needs something else from now on. */
  onCatalog(catalog: Catalog): void
  /**
   * In decode order.
   * @param frame owned by whoever is called; without its time of capture, which whoever holds the clocks adds
   * @param at when it was captured, on the clock of `performance.now()`, milliseconds
   */
  onFrame(frame: Frame, at: number): void
  /** A picture was not encoded, because the encoder was behind, or too much is under way. */
  onSkipped(): void
  onError(problem: Problem): void
}

export interface FrameSource {
  /** Finds out what this browser can do with the stream. @returns what is missing, undefined where nothing is */
  open(): Promise<string | undefined>
  /** A session begins: media time begins anew near zero, and the first picture is a keyframe. */
  begin(): void
  /** What was sent does not decode any more: the next picture, or one soon, shall decode alone. */
  wantKeyframe(): void
  /** The same, and what follows shall be smaller, in sessions to come too. */
  lowerBitrate(): void
  /** Bits a second of the picture where nothing is in the way; undefined where there is none, or it cannot be changed. */
  readonly bitrate: number | undefined
  /** How much may be sent from now on, in sessions to come too. */
  follow(pace: Pace): void
  /** Gives what is still inside, a while at most, and makes nothing more. */
  finish(): Promise<void>
  /** Idempotent. */
  close(): void
}
