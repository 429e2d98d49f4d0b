/** How long a frame lasts that does not say it. */
import { durationOfAac } from '../media/aac.ts'
import type { AudioTrack, VideoTrack } from '../media/catalog.ts'
import { durationOfOpus } from '../media/opus.ts'
import { usualPictureDuration } from '../media/picture.ts'

/** @param data of the frame, borrowed. @returns microseconds, above 0 */
export function durationOfSample(track: VideoTrack | AudioTrack, data: Uint8Array): number {
  if (track.kind === 'video')
    return track.frameRate === undefined ? usualPictureDuration : Math.round(1_000_000 / track.frameRate)
  return track.codec === 'opus' ? (durationOfOpus(data) ?? 20_000) : durationOfAac(track.sampleRate)
}
