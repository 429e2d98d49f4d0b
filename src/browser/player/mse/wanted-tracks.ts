/** Which tracks of a segment get a buffer: those that this browser can decode, that are wanted, and that come. */
import type { AudioTrack, VideoTrack } from '../../../media/catalog.ts'
import type { Segment } from '../feed.ts'
import type { SoundWish } from '../player.ts'
import { type Tracks, writerFor } from './source-tracks.ts'

export const wantedTracksLimits = {
  /** Microseconds of sound that wait for a first picture, before they are played without. */
  pictureless: 2_000_000,
} as const

export class WantedTracks {
  /** Its pictures do not come; until one does, it is sound alone. */
  #pictureless: Segment | undefined

  /** @param soundComes false where live sound was given up */
  of(segment: Segment, isLive: boolean, wish: SoundWish, soundComes: boolean): Tracks {
    const video = segment === this.#pictureless ? undefined : decodable(segment.video)
    // A live picture without sound has no use for it, and is the sooner shown.
    const isUseless = isLive && wish === 'off' && segment.video !== undefined && segment !== this.#pictureless
    return { video, audio: soundComes && !isUseless ? decodable(segment.audio) : undefined }
  }

  /** Whether a picture is there that this browser cannot decode. */
  isUndecodable({ video }: Segment): boolean {
    return video !== undefined && decodable(video) === undefined
  }

  /**
   * For a segment whose sound waits for its first picture: whether that should have come, since nothing follows or so
   * much sound is there. It counts as sound alone from then on.
   */
  givesUpPicture(segment: Segment, hasNext: boolean): boolean {
    const { sounds, last, ended } = segment
    const first = sounds.peek()?.timestamp
    if (first === undefined || last === undefined) return false
    if (!ended && !hasNext && last - first <= wantedTracksLimits.pictureless) return false
    this.giveUpPicture(segment)
    return true
  }

  giveUpPicture(segment: Segment): void {
    this.#pictureless = segment
  }

  /** @returns whether a picture has come after all */
  pictureIsBack(segment: Segment): boolean {
    if (segment !== this.#pictureless) return false
    // A source begins with a keyframe.
    while (segment.pictures.peek()?.keyframe === false) segment.pictures.shift()
    if (segment.pictures.length === 0) return false
    this.#pictureless = undefined
    return true
  }
}

const decodable = <Track extends VideoTrack | AudioTrack>(track: Track | undefined): Track | undefined =>
  track !== undefined && writerFor(track) !== undefined ? track : undefined
