/** Raw pictures of a camera's track, each with when it was captured on the page's clock. */
import { CaptureClock } from './capture-clock.ts'
import { readProcessor } from './track-processor.ts'

/** @param frame owned by whoever is called: it closes it. @param at milliseconds of `performance.now()` */
export type OnPicture = (frame: VideoFrame, at: number) => void

/** @returns stops it; idempotent */
export function readPictures(track: MediaStreamTrack, onPicture: OnPicture): () => void {
  if (!('MediaStreamTrackProcessor' in globalThis)) return readElement(track, onPicture)
  const clock = new CaptureClock()
  return readProcessor(new MediaStreamTrackProcessor({ track: track as MediaStreamVideoTrack }), frame =>
    onPicture(frame, clock.place(frame.timestamp / 1000, performance.now())),
  )
}

/** Firefox has no processor: a hidden video element tells of each picture that it shows. */
function readElement(track: MediaStreamTrack, onPicture: OnPicture): () => void {
  const video = document.createElement('video')
  video.muted = true
  video.playsInline = true
  video.srcObject = new MediaStream([track])
  let stopped = false
  const next = (now: number, metadata: VideoFrameCallbackMetadata): void => {
    if (stopped) return
    video.requestVideoFrameCallback(next)
    const at = metadata.captureTime ?? now
    let picture: VideoFrame
    try {
      picture = new VideoFrame(video, { timestamp: Math.round(at * 1000) })
    } catch {
      // An element that is being hidden or shown has none for a moment.
      return
    }
    onPicture(picture, at)
  }
  video.requestVideoFrameCallback(next)
  video.play().catch(() => {})
  return () => {
    stopped = true
    video.srcObject = null
  }
}
