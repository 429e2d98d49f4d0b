/** What shows and sounds the frames of a broadcast: decoders and a canvas, or MediaSource and a video element. */
import type { Catalog } from '../../media/catalog.ts'
import type { Micros } from '../../units.ts'
import type { FeedFrame } from './feed.ts'
import type { Place } from './frame-places.ts'
import type { PlayerFigures, SoundState, SoundWish } from './player.ts'
import type { TimelineMode } from './timeline.ts'

export interface PresentationHandler {
  /** A picture is decoded and could be shown; not told where a browser keeps that to itself. */
  onDecoded(timestamp: Micros): void
  /**
   * `shown` has changed.
   * @param shownAt when the picture is on the screen, on the clock of `performance.now()`, milliseconds
   */
  onPainted(shownAt: number): void
  /** Everything that came has been shown, and no more is to come. */
  onPlayedOut(): void
  /** This browser has no decoder for it here. */
  onUnsupported(missing: string): void
  onSound(): void
  onError(error: Error): void
  /**
   * What it held is gone.
   * @param place what was shown last, where that is known
   */
  onRejoin(how: Rejoin, place: Place | undefined): void
}

/**
 * `anew`: where it began, live with the current GOP. `behind` what cannot be decoded: with the next GOP. `here`: a replay
 * goes on where it is.
 */
export type Rejoin = 'anew' | 'behind' | 'here'

export interface Presentation {
  /** Where the picture is. */
  readonly surface: HTMLElement
  readonly mode: TimelineMode
  readonly playedOut: boolean
  readonly sound: SoundState
  /** Whose picture is on the page, and its media time. */
  readonly shown: Place | undefined
  /** When the first picture was on the page, on the clock of `performance.now()`. */
  readonly firstAt: number | undefined
  figures(now: number): PresentationFigures
  /** Everything held so far is left; what comes next is played in this mode. The picture stays until the next one. */
  begin(mode: TimelineMode): void
  /** Media time that passes in a unit of time; a live picture has 1, whatever was set before it. */
  setRate(rate: number): void
  /** The picture stands still, or goes on; what is begun with while it stands still shows its first picture. */
  setPaused(isPaused: boolean): void
  /** Milliseconds of media that came and are still to be shown; undefined where that is not known. */
  readonly ahead: number | undefined
  /** Milliseconds from what is on now within which a replay goes over to it. */
  readonly reach: number
  /** A replay has come to what is on now: it goes on as a live picture, with what it has. */
  goLive(): void
  /** Goes on over a new connection, which live begins with the newest GOP. */
  goOn(): void
  catalog(session: string, catalog: Catalog): void
  /** @param frame owned by the presentation from here on */
  frame(frame: FeedFrame): void
  /** No frame follows, unless a catalog or a frame comes first. */
  end(): void
  /** Called a few times a second, also where the page is hidden. */
  pump(): void
  /** What is shown, for the gateway to pace a replay by. */
  position(): Place | undefined
  /** When the picture of a media time was captured, on the gateway's wall clock, milliseconds. */
  capturedAt(timestamp: Micros): number | undefined
  setSound(wish: SoundWish): void
  /** Gives everything back. Idempotent. */
  stop(): void
}

/** The part of a player's figures that whoever presents knows. */
export type PresentationFigures = Omit<
  PlayerFigures,
  | 'mode'
  | 'gateway'
  | 'joinMs'
  | 'joinPhaseMs'
  | 'lagMs'
  | 'way'
  | 'clock'
  | 'span'
  | 'rate'
  | 'renditions'
  | 'errors'
>

export interface PresentationOptions {
  readonly sound: SoundWish
  /** What a screen reader says of the picture. */
  readonly label: string
  /** Whether a live picture that has fallen behind hurries back; switched off only to measure what it is good for. */
  readonly chases: boolean
}

export type PresentationMaker = (options: PresentationOptions, handler: PresentationHandler) => Presentation
