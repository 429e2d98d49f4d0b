/**
 * Frames as Media Source Extensions take them: one track a stream, one block or fragment a frame, each with its
 * duration, so that an engine shows a frame without waiting for the next one.
 */
import type { AudioTrack, VideoTrack } from '../media/catalog.ts'
import { parseCodec } from '../media/codec.ts'
import type { Micros } from '../units.ts'
import { Mp4FragmentWriter } from './mp4/fragment-writer.ts'
import { WebmFragmentWriter } from './webm/fragment-writer.ts'

/** A frame as it goes into a fragment. */
export interface FragmentFrame {
  /** Presentation time on the stream's own clock, not negative. */
  readonly timestamp: Micros
  /** Only where it differs. */
  readonly decodeTimestamp?: Micros
  /** Above zero. */
  readonly duration: Micros
  readonly keyframe: boolean
  /** Borrowed until return. */
  readonly data: Uint8Array
}

export interface FragmentWriter {
  /** For `isTypeSupported` and `addSourceBuffer`: container and codec. */
  readonly mimeType: string
  /**
   * The first frame must be a keyframe. Where the stream begins, or its decoder needs another configuration, an
   * initialization segment comes before the fragment.
   * @returns owned bytes, in order
   * @throws FramelogError BAD_CONTAINER where a keyframe lacks what its configuration is made from
   */
  write(frame: FragmentFrame): Uint8Array<ArrayBuffer>[]
}

/**
 * The containers that can carry a track, the one that engines are quickest with first.
 * @returns none where the codec is unknown
 */
export function fragmentWriters(track: VideoTrack | AudioTrack): (() => FragmentWriter)[] {
  const webm = (): FragmentWriter => new WebmFragmentWriter(track)
  const mp4 = (): FragmentWriter => new Mp4FragmentWriter(track)
  switch (parseCodec(track.codec).family) {
    case 'vp8':
      return [webm]
    case 'vp9':
    case 'opus':
      return [webm, mp4]
    case 'av1':
      return [mp4, webm]
    case 'h264':
    case 'aac':
      return [mp4]
    default:
      return []
  }
}
