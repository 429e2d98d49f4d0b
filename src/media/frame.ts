/** Frame: the narrow waist. Everything before the log makes frames, everything after it starts from frames. */
import type { Micros, Millis, TrackName } from '../units.ts'
import type { Hops } from './hops.ts'

/** One encoded access unit of a track: exactly the bytes that WebCodecs' decoder takes. */
export interface Frame {
  readonly track: TrackName
  /** Presentation time on the publisher's media clock. */
  readonly timestamp: Micros
  /** Decode time, only where it differs from the presentation time (B-frames). */
  readonly decodeTimestamp?: Micros
  readonly duration?: Micros
  /** Decodes without any earlier frame. */
  readonly keyframe: boolean
  /** The publisher's wall clock at capture, where known. */
  readonly capturedAt?: Millis
  /** Its way so far, where the time of capture is known. */
  readonly hops?: Hops
  /** Owned by the frame: nobody writes into it. */
  readonly data: Uint8Array
}

/** A frame with its place in the publisher's session: numbers run over all tracks, from 0, by one. */
export interface NumberedFrame extends Frame {
  readonly sequence: number
}
