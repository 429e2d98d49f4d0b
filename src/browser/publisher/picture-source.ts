/** Raw pictures of a camera's track, each with when it was captured on the page's clock. */
import { CaptureClock } from './capture-clock.ts'

/** @param frame owned by whoever is called: it closes it. @param at milliseconds of `performance.now()` */
export type OnPicture = (frame: VideoFrame, at: number) => void

/** @returns stops it; idempotent */
export function readPictures(track: MediaStreamTrack, onPicture: OnPicture): () => void {
  return 'MediaStreamTrackProcessor' in globalThis
    ? readProcessor(track as MediaStreamVideoTrack, onPicture)
    : readElement(track, onPicture)
}

function readProcessor(track: MediaStreamVideoTrack, onPicture: OnPicture): () => void {
  const reader = new MediaStreamTrackProcessor({ track }).readable.getReader()
  const clock = new CaptureClock()
  let stopped = false
  // Ends with the track, or when it is stopped; nobody restarts it: a new camera is a new publisher.
  const read = async (): Promise<void> => {
    while (!stopped) {
      const { done, value } = await reader.read()
      if (done) return
      if (stopped) value.close()
      else onPicture(value, clock.place(value.timestamp / 1000, performance.now()))
    }
  }
  read().catch(() => {})
  return () => {
    stopped = true
    reader.cancel().catch(() => {})
  }
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
    const at = metadata.captureTime ?? now
    onPicture(new VideoFrame(video, { timestamp: Math.round(at * 1000) }), at)
    video.requestVideoFrameCallback(next)
  }
  video.requestVideoFrameCallback(next)
  video.play().catch(() => {})
  return () => {
    stopped = true
    video.srcObject = null
  }
}
