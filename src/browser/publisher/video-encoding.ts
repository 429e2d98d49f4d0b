/** Pictures in, encoded frames out. What the encoder has no time for is dropped before it gets a number. */

import { encodeBase64 } from '../../core/base64.ts'
import type { VideoTrack } from '../../media/catalog.ts'
import type { Frame } from '../../media/frame.ts'
import { type Micros, micros, type TrackName } from '../../units.ts'
import { keyframeInterval } from './video-codec.ts'

/** Pictures that may wait in the encoder: one being encoded, one to follow. */
const queueLimit = 2

export interface VideoEncodingHandler {
  /** Called before the first frame, and again before a frame that needs another decoder configuration. */
  onTrack(track: VideoTrack): void
  /** @param frame without its time of capture, which whoever holds the clocks adds */
  onFrame(frame: Frame): void
  onError(error: DOMException): void
}

export class VideoEncoding {
  readonly #name: TrackName
  readonly #handler: VideoEncodingHandler
  readonly #encoder: VideoEncoder
  #config: VideoEncoderConfig
  /** Of the configuration where nothing is in the way: what the catalog tells. */
  #bitrate: number | undefined
  #track = ''
  #keyframeAt = Number.NEGATIVE_INFINITY
  #last = Number.NEGATIVE_INFINITY
  #wantsKeyframe = true

  constructor(name: TrackName, config: VideoEncoderConfig, handler: VideoEncodingHandler) {
    this.#name = name
    this.#config = config
    this.#bitrate = config.bitrate
    this.#handler = handler
    this.#encoder = new VideoEncoder({
      output: (chunk, metadata) => this.#output(chunk, metadata),
      error: error => handler.onError(error),
    })
    this.#encoder.configure(config)
  }

  /**
   * @param picture owned by the caller, closed by it
   * @returns false where it was dropped
   */
  encode(picture: VideoFrame, timestamp: Micros): boolean {
    if (this.#encoder.state !== 'configured' || this.#encoder.encodeQueueSize >= queueLimit) return false
    if (timestamp <= this.#last) return false
    this.#last = timestamp
    this.#followSize(picture)
    const keyFrame = this.#wantsKeyframe || timestamp - this.#keyframeAt >= keyframeInterval
    if (keyFrame) {
      this.#wantsKeyframe = false
      this.#keyframeAt = timestamp
    }
    let stamped: VideoFrame | undefined
    try {
      stamped = new VideoFrame(picture, { timestamp })
      this.#encoder.encode(stamped, { keyFrame })
      return true
    } catch {
      // A picture that is turned another way is refused by an encoder that has begun: it begins anew.
      this.#configure(this.#config)
      return false
    } finally {
      stamped?.close()
    }
  }

  forceKeyframe(): void {
    this.#wantsKeyframe = true
  }

  /** Half of what it was: frames have been too large. @returns the configuration from now on */
  lowerBitrate(): VideoEncoderConfig {
    this.#bitrate = Math.max(100_000, (this.#bitrate ?? 1_000_000) / 2)
    this.#configure({
      ...this.#config,
      bitrate: Math.min(this.#bitrate, this.#config.bitrate ?? this.#bitrate),
    })
    return { ...this.#config, bitrate: this.#bitrate }
  }

  /** Bits a second that it aims at from now on. A small change is none: each costs the encoder a moment. */
  setBitrate(bitrate: number): void {
    const { bitrate: before = 0 } = this.#config
    if (this.#encoder.state !== 'configured' || Math.abs(bitrate - before) < 0.05 * before) return
    this.#config = { ...this.#config, bitrate }
    this.#encoder.configure(this.#config)
  }

  /** Gives what the encoder still holds. */
  async flush(): Promise<void> {
    if (this.#encoder.state === 'configured') await this.#encoder.flush().catch(() => {})
  }

  close(): void {
    if (this.#encoder.state !== 'closed') this.#encoder.close()
  }

  /** A phone that is turned brings pictures of another shape. */
  #followSize(picture: VideoFrame): void {
    const width = picture.displayWidth & ~1
    const height = picture.displayHeight & ~1
    if (width === this.#config.width && height === this.#config.height) return
    this.#configure({ ...this.#config, width, height })
  }

  #configure(config: VideoEncoderConfig): void {
    this.#config = config
    this.#encoder.configure(config)
    this.#wantsKeyframe = true
  }

  #output(chunk: EncodedVideoChunk, metadata: EncodedVideoChunkMetadata | undefined): void {
    if (metadata?.decoderConfig !== undefined) this.#announce(metadata.decoderConfig)
    const data = new Uint8Array(chunk.byteLength)
    chunk.copyTo(data)
    this.#handler.onFrame({
      track: this.#name,
      timestamp: micros(chunk.timestamp),
      ...(chunk.duration === null || chunk.duration === 0 ? {} : { duration: micros(chunk.duration) }),
      keyframe: chunk.type === 'key',
      data,
    })
  }

  #announce(config: VideoDecoderConfig): void {
    const { codec, description } = config
    const { framerate } = this.#config
    const bitrate = this.#bitrate
    const h264 = /^avc/.test(codec)
    const track: VideoTrack = {
      name: this.#name,
      kind: 'video',
      codec,
      width: config.codedWidth ?? this.#config.width,
      height: config.codedHeight ?? this.#config.height,
      ...(framerate === undefined ? {} : { frameRate: framerate }),
      ...(bitrate === undefined ? {} : { bitrate }),
      ...(h264 ? { format: description === undefined ? 'annexb' : 'avc' } : {}),
      ...(description === undefined ? {} : { description: encodeBase64(bytesOf(description)) }),
    }
    const text = JSON.stringify(track)
    if (text === this.#track) return
    this.#track = text
    this.#handler.onTrack(track)
  }
}

const bytesOf = (source: AllowSharedBufferSource): Uint8Array =>
  ArrayBuffer.isView(source)
    ? new Uint8Array(source.buffer, source.byteOffset, source.byteLength)
    : new Uint8Array(source)
