/** Real frames, taken out of their container. */
import type { AudioTrack, VideoTrack } from '../../src/media/catalog.ts'
import type { Frame } from '../../src/media/frame.ts'
import { demuxWhole } from './containers.ts'

export function framesOf(bytes: Uint8Array): { tracks: (VideoTrack | AudioTrack)[]; frames: Frame[] } {
  const { announcements, frames } = demuxWhole(bytes)
  return { tracks: [...(announcements.at(-1)?.tracks ?? [])], frames }
}
