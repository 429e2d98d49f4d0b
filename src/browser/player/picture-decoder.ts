/** Encoded pictures in, decoded ones out, through errors: what fails to decode costs a GOP, not the player. */

import { decodeBase64 } from '../../core/base64.ts'
import type { VideoTrack } from '../../media/catalog.ts'
import type { NumberedFrame } from '../../media/frame.ts'

/** Frames that may wait in the decoder: enough to keep it busy, few enough to change one's mind. */
const queueLimit = 16

export interface PictureDecoderHandler {
  /** @param picture owned by whoever is called */
  onPicture(picture: VideoFrame): void
  /** @param supported false where this browser has no decoder for the track at all */
  onError(error: Error, supported: boolean): void
}

export class PictureDecoder {
  readonly #config: VideoDecoderConfig
  readonly #handler: PictureDecoderHandler
  #decoder: VideoDecoder | undefined
  #waitsForKeyframe = true
  #errors = 0
  #inside = 0
  #flushed = false

  constructor(track: VideoTrack, handler: PictureDecoderHandler) {
    this.#handler = handler
    const { codec, width, height, description } = track
    this.#config = {
      codec,
      codedWidth: width,
      codedHeight: height,
      optimizeForLatency: true,
      ...(description === undefined ? {} : { description: decodeBase64(description) }),
    }
    this.#open()
  }

  get isFull(): boolean {
    return this.#decoder === undefined || this.#decoder.decodeQueueSize >= queueLimit
  }

  /** Frames given whose pictures have not come out. */
  get inside(): number {
    return this.#inside
  }

  decode(frame: NumberedFrame): void {
    if (this.#waitsForKeyframe && !frame.keyframe) return
    this.#waitsForKeyframe = false
    this.#flushed = false
    const type = frame.keyframe ? 'key' : 'delta'
    try {
      this.#decoder?.decode(new EncodedVideoChunk({ type, timestamp: frame.timestamp, data: frame.data }))
      this.#inside += 1
    } catch (error) {
      this.#fail(error instanceof Error ? error : new Error(String(error)))
    }
  }

  /** No frame follows: lets out what the decoder holds back. */
  flush(): void {
    const decoder = this.#decoder
    if (this.#flushed || decoder?.state !== 'configured') return
    this.#flushed = true
    this.#waitsForKeyframe = true
    decoder.flush().then(
      () => {
        this.#inside = 0
      },
      () => {},
    )
  }

  close(): void {
    const decoder = this.#decoder
    this.#decoder = undefined
    if (decoder !== undefined && decoder.state !== 'closed') decoder.close()
  }

  #open(): void {
    const decoder = new VideoDecoder({
      output: picture => {
        if (this.#decoder !== decoder) {
          picture.close()
          return
        }
        this.#inside = Math.max(0, this.#inside - 1)
        this.#errors = 0
        this.#handler.onPicture(picture)
      },
      error: error => {
        if (this.#decoder === decoder) this.#fail(error)
      },
    })
    this.#decoder = decoder
    this.#waitsForKeyframe = true
    this.#inside = 0
    try {
      decoder.configure(this.#config)
    } catch (error) {
      this.close()
      this.#handler.onError(error instanceof Error ? error : new Error(String(error)), false)
    }
  }

  #fail(error: Error): void {
    this.close()
    this.#errors += 1
    const supported = error.name !== 'NotSupportedError'
    // A decoder that never gives a picture will not learn it.
    if (supported && this.#errors < 5) this.#open()
    this.#handler.onError(error, supported)
  }
}
