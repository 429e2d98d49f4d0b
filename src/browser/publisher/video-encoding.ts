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

export interface VideoEncodingOptions {
  readonly name: TrackName
  readonly config: VideoEncoderConfig
  /** Of the picture's width and height, how much is encoded: the encoder scales it. */
  readonly scale: number
  /** What it shows beside others, as the catalog tells it. */
  readonly altGroup?: number | undefined
}

export class VideoEncoding {
  readonly #name: TrackName
  readonly #scale: number
  readonly #altGroup: number | undefined
  readonly #handler: VideoEncodingHandler
  readonly #encoder: VideoEncoder
  #config: VideoEncoderConfig
  /** Of the configuration where nothing is in the way: what the catalog tells. */
  #bitrate: number | undefined
  #track = ''
  #keyframeAt = Number.NEGATIVE_INFINITY
  #last = Number.NEGATIVE_INFINITY
  #wantsKeyframe = true

  constructor({ name, config, scale, altGroup }: VideoEncodingOptions, handler: VideoEncodingHandler) {
    this.#name = name
    this.#scale = scale
    this.#altGroup = altGroup
    this.#config = config
    this.#bitrate = config.bitrate
    this.#handler = handler
    this.#encoder = new VideoEncoder({
      output: (chunk, metadata) => this.#output(chunk, metadata),
      error: error => handler.onError(error),
    })
    this.#encoder.configure(config)
  }

  /** Whether it has time for a picture. */
  get hasRoom(): boolean {
    return this.#encoder.state === 'configured' && this.#encoder.encodeQueueSize < queueLimit
  }

  /** Whether the picture of a time is to be a keyframe. */
  isDue(timestamp: Micros): boolean {
    return this.#wantsKeyframe || timestamp - this.#keyframeAt >= keyframeInterval
  }

  /**
   * @param picture owned by the caller, closed by it
   * @param isKey whether it is a keyframe, be none due
   * @returns false where it was dropped
   */
  encode(picture: VideoFrame, timestamp: Micros, isKey: boolean): boolean {
    if (!this.hasRoom || timestamp <= this.#last) return false
    this.#last = timestamp
    this.#followSize(picture)
    const keyFrame = isKey || this.isDue(timestamp)
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
    const { width, height } = scaled(picture.displayWidth, picture.displayHeight, this.#scale)
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
      ...(this.#altGroup === undefined ? {} : { altGroup: this.#altGroup }),
    }
    const text = JSON.stringify(track)
    if (text === this.#track) return
    this.#track = text
    this.#handler.onTrack(track)
  }
}

/** Encoders take even sizes only. */
export const scaled = (width: number, height: number, scale: number): { width: number; height: number } => ({
  width: Math.max(2, Math.floor(width * scale) & ~1),
  height: Math.max(2, Math.floor(height * scale) & ~1),
})

const bytesOf = (source: AllowSharedBufferSource): Uint8Array =>
  ArrayBuffer.isView(source)
    ? new Uint8Array(source.buffer, source.byteOffset, source.byteLength)
    : new Uint8Array(source)
