/** Real frames, made by ffmpeg and taken out of their container. */
import { execFileSync } from 'node:child_process'
import { AnyDemuxer } from '../../src/container/recognise.ts'
import type { AudioTrack, VideoTrack } from '../../src/media/catalog.ts'
import type { Frame } from '../../src/media/frame.ts'

/** @param options of ffmpeg, without the output. @returns what it wrote */
export const encode = (...options: readonly string[]): Uint8Array =>
  execFileSync('ffmpeg', ['-v', 'error', ...options, 'pipe:1'], { maxBuffer: 256 * 1024 * 1024 })

export function framesOf(bytes: Uint8Array): { tracks: (VideoTrack | AudioTrack)[]; frames: Frame[] } {
  let tracks: readonly (VideoTrack | AudioTrack)[] = []
  const frames: Frame[] = []
  const demuxer = new AnyDemuxer({
    onTracks: told => {
      tracks = told
    },
    onFrame: frame => frames.push(frame),
  })
  demuxer.push(bytes)
  demuxer.end()
  return { tracks: [...tracks], frames }
}
