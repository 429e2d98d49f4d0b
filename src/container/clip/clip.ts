/**
 * A file of which everything is known before its first byte is written: so it has its duration and its index in front, and any
 * part of it can be made again by itself. Parts are self-contained runs of frames that begin with a keyframe.
 */
import type { AudioTrack, VideoTrack } from '../../media/catalog.ts'
import type { DecoderConfig } from '../decoder-config.ts'

export interface ClipTrack {
  readonly track: VideoTrack | AudioTrack
  readonly config: DecoderConfig
}

/** A frame on the clock of the clip, whose decoding begins at 0. Microseconds, whole numbers. */
export interface ClipFrame {
  /** Index of its track. */
  readonly track: number
  readonly timestamp: number
  readonly decodeTimestamp: number
  readonly duration: number
  readonly keyframe: boolean
  /** As the container holds it. Borrowed until return. */
  readonly data: Uint8Array
}

/** What is known of a part. */
export interface ClipPart {
  /** Bytes. */
  readonly size: number
  /** Earliest presentation time of its first track, and its length, microseconds. */
  readonly start: number
  readonly duration: number
  /** Whether it begins with a keyframe of the first track. */
  readonly isKey: boolean
}

export interface ClipPlan {
  readonly tracks: readonly ClipTrack[]
  readonly parts: readonly ClipPart[]
  /** What is presented: from when on, and for how long, microseconds. */
  readonly origin: number
  readonly duration: number
}

export interface ClipFormat {
  readonly mimeType: string
  holds(track: VideoTrack | AudioTrack): boolean
  /** Milliseconds of a part at most. */
  readonly longest: number
  /** Parts of a file at most. */
  readonly parts: number
  /** Whether what is presented may begin within a GOP. */
  readonly isExact: boolean
  /** Everything before the first part. @returns owned bytes */
  header(plan: ClipPlan): Uint8Array
  /** Bytes that a part will have. */
  sizeOf(frames: readonly ClipFrame[], origin: number): number
  /** @param index of the part, from 0. @returns owned bytes */
  part(frames: readonly ClipFrame[], index: number, origin: number): Uint8Array
}
