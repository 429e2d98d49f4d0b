/**
 * A small picture of the camera every few seconds, for lists of broadcasts. It is drawn in a worker: drawing a camera's
 * picture on the page stops Chromium's main thread for a second or two where there is no GPU, and the camera with it.
 */
import type { ThumbnailAnswer } from './thumbnail-worker.ts'
import workerUrl from './thumbnail-worker.ts?worker&url'

export const thumbnailLimits = {
  /** Milliseconds from the beginning to the first one, and between two. */
  first: 1000,
  every: 5000,
} as const

export class Thumbnails {
  readonly #onImage: (jpeg: Uint8Array) => void
  #track: MediaStreamVideoTrack | undefined
  #worker: Worker | undefined
  #timer = 0

  /** @param onImage called with a JPEG, which is the receiver's */
  constructor(onImage: (jpeg: Uint8Array) => void) {
    this.#onImage = onImage
  }

  /** Where the browser hands out no single pictures of a camera, there are none. */
  start(stream: MediaStream): void {
    const [track] = stream.getVideoTracks()
    if (track === undefined || !('MediaStreamTrackProcessor' in globalThis)) return
    this.#track = track as MediaStreamVideoTrack
    this.#worker = new Worker(workerUrl, { type: 'module' })
    this.#worker.onmessage = ({ data }: MessageEvent<ThumbnailAnswer>) => this.#onImage(new Uint8Array(data))
    this.#lookIn(thumbnailLimits.first)
  }

  /** Idempotent. */
  stop(): void {
    clearTimeout(this.#timer)
    this.#worker?.terminate()
    this.#worker = undefined
    this.#track = undefined
  }

  #lookIn(wait: number): void {
    clearTimeout(this.#timer)
    this.#timer = setTimeout(() => {
      this.#lookIn(thumbnailLimits.every)
      // One that cannot be had is left out.
      this.#look().catch(() => {})
    }, wait)
  }

  async #look(): Promise<void> {
    const track = this.#track
    if (track?.readyState !== 'live') return
    const reader = new MediaStreamTrackProcessor({ track, maxBufferSize: 1 }).readable.getReader()
    const { value: picture } = await reader.read()
    void reader.cancel().catch(() => {})
    if (picture === undefined) return
    if (this.#worker === undefined) picture.close()
    else this.#worker.postMessage(picture, [picture])
  }
}
