/** Timed data: what anybody may write beside the frames of a broadcast, such as a score, a caption, a thumbnail. */
import type { Micros, TrackName } from '../units.ts'

export const timedDataLimits = {
  /** Bytes of one record's data. */
  bytes: 64 * 1024,
} as const

/** A moment on the media clock of a session. */
export interface Moment {
  readonly session: string
  readonly timestamp: Micros
}

export interface TimedData {
  /** Begins with `meta-`. */
  readonly track: TrackName
  /** What it belongs to; absent for the newest frame before it in the log. */
  readonly moment?: Moment
  readonly duration?: Micros
  readonly data: Uint8Array
}

const dataTrackPattern = /^meta-[a-z0-9-]{1,27}$/

/** Whether records of a track may be data that anybody writes. */
export const isDataTrackName = (text: unknown): text is TrackName =>
  typeof text === 'string' && dataTrackPattern.test(text)
