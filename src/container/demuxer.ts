/** What every demuxer is: bytes in as they come, in pieces of any size; tracks and frames out as soon as they are whole. */
import type { AudioTrack, VideoTrack } from '../media/catalog.ts'
import type { Frame } from '../media/frame.ts'

export interface DemuxHandler {
  /**
   * Called before the first frame of the tracks, and again where the stream itself changes what a decoder needs
   * (a keyframe of another size, a second stream behind the first).
   */
  onTracks(tracks: readonly (VideoTrack | AudioTrack)[]): void
  /** In the container's order, which is decode order; the frame is owned by whoever is called. */
  onFrame(frame: Frame): void
}

export interface Demuxer {
  /**
   * @param bytes owned by the demuxer from here on: nobody writes into them
   * @throws FramelogError BAD_CONTAINER, UNSUPPORTED_CODEC or FRAME_TOO_LARGE; nothing may be pushed after that
   */
  push(bytes: Uint8Array): void
  /** No bytes follow: gives what was held back for want of more. An element that is cut off is left out. */
  end(): void
}

export const demuxLimits = {
  /** Bytes of one frame, with what the container wraps around it. */
  frame: 8 * 1024 * 1024,
  /** Bytes of a header: everything that must be there as a whole before anything can be read. */
  header: 1024 * 1024,
  /** Bytes of anything that is passed over: more than that is a length that lies. */
  skipped: 64 * 1024 * 1024,
  /** Bytes of a codec's configuration: the catalog takes 16 KiB of base64. */
  description: 12 * 1024,
  /** Bytes that a container may cut off the front of every frame. */
  stripped: 256,
  /** Tracks, as many as a catalog takes. */
  tracks: 16,
  /** Frames, and their bytes, that wait for every track's first keyframe. */
  held: { items: 512, bytes: 16 * 1024 * 1024 },
} as const
