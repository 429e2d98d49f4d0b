/** A small picture of the camera every few seconds, for lists of broadcasts. */

export const thumbnailLimits = {
  /** Milliseconds from the beginning to the first one, and between two. */
  first: 1000,
  every: 5000,
  /** Pixels of its longer side. */
  side: 256,
  quality: 0.6,
} as const

export class Thumbnails {
  readonly #onImage: (jpeg: Uint8Array) => void
  readonly #video = document.createElement('video')
  readonly #canvas = document.createElement('canvas')
  #timer = 0

  /** @param onImage called with a JPEG, which is the receiver's */
  constructor(onImage: (jpeg: Uint8Array) => void) {
    this.#onImage = onImage
    this.#video.muted = true
    this.#video.playsInline = true
  }

  start(stream: MediaStream): void {
    const [track] = stream.getVideoTracks()
    if (track === undefined) return
    this.#video.srcObject = new MediaStream([track])
    // Where the browser plays nothing, there is no thumbnail.
    this.#video.play().catch(() => {})
    this.#lookIn(thumbnailLimits.first)
  }

  /** Idempotent. */
  stop(): void {
    clearTimeout(this.#timer)
    this.#video.srcObject = null
  }

  #lookIn(wait: number): void {
    clearTimeout(this.#timer)
    this.#timer = setTimeout(() => {
      this.#lookIn(thumbnailLimits.every)
      this.#look()
    }, wait)
  }

  #look(): void {
    const { videoWidth, videoHeight } = this.#video
    if (videoWidth === 0 || document.hidden) return
    const scale = Math.min(1, thumbnailLimits.side / Math.max(videoWidth, videoHeight))
    this.#canvas.width = Math.round(videoWidth * scale)
    this.#canvas.height = Math.round(videoHeight * scale)
    this.#canvas.getContext('2d')?.drawImage(this.#video, 0, 0, this.#canvas.width, this.#canvas.height)
    this.#canvas.toBlob(
      blob => {
        blob?.arrayBuffer().then(
          bytes => this.#onImage(new Uint8Array(bytes)),
          () => {},
        )
      },
      'image/jpeg',
      thumbnailLimits.quality,
    )
  }
}
