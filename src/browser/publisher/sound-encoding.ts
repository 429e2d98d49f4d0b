/**
 * Samples in, Opus frames of 20 ms out. Encoders count samples from the first block's time on, whatever the
 * later blocks say; this counts with them and corrects each frame's time by how far capture has moved since.
 */
import type { AudioTrack } from '../../media/catalog.ts'
import type { Frame } from '../../media/frame.ts'
import { type Micros, micros, type TrackName } from '../../units.ts'
import type { Samples } from './sample-source.ts'

const bitrate = 64_000
/** Blocks that may wait in the encoder before samples are dropped. */
const queueLimit = 50

export const skewLimits = {
  /** Microseconds between capture and count past which samples are missing: the count jumps. */
  jump: 40_000,
  /** Share of a smaller difference that is followed with each block. */
  share: 0.02,
} as const

export interface SoundEncodingHandler {
  onFrame(frame: Frame): void
  onError(error: DOMException): void
}

export class SoundEncoding {
  readonly #track: TrackName
  readonly #rate: number
  readonly #channels: number
  readonly #handler: SoundEncodingHandler
  readonly #encoder: AudioEncoder
  #samples = 0
  /** Media time minus counted time, microseconds. */
  #skew: number | undefined
  #last = Number.NEGATIVE_INFINITY

  constructor(track: TrackName, rate: number, channels: number, handler: SoundEncodingHandler) {
    this.#track = track
    this.#rate = rate
    this.#channels = channels
    this.#handler = handler
    this.#encoder = new AudioEncoder({
      output: chunk => this.#output(chunk),
      error: error => handler.onError(error),
    })
    this.#encoder.configure({
      codec: 'opus',
      sampleRate: rate,
      numberOfChannels: channels,
      bitrate,
      opus: { frameDuration: 20_000 },
    } as AudioEncoderConfig)
  }

  /** Opus decodes at 48 kHz whatever it was encoded from, and needs no further configuration (RFC 7845). */
  static describe(name: TrackName, channels: number): AudioTrack {
    return { name, kind: 'audio', codec: 'opus', sampleRate: 48_000, channels, bitrate }
  }

  takes({ rate, planes }: Samples): boolean {
    return rate === this.#rate && planes.length === this.#channels
  }

  /** @param timestamp media time of the first sample */
  encode({ planes }: Samples, timestamp: Micros): boolean {
    if (this.#encoder.state !== 'configured' || this.#encoder.encodeQueueSize > queueLimit) return false
    const length = planes[0]?.length ?? 0
    const counted = Math.round((this.#samples / this.#rate) * 1_000_000)
    this.#follow(timestamp - counted)
    this.#samples += length
    const joined = new Float32Array(length * this.#channels)
    planes.forEach((plane, channel) => {
      joined.set(plane, channel * length)
    })
    const data = new AudioData({
      format: 'f32-planar',
      sampleRate: this.#rate,
      numberOfFrames: length,
      numberOfChannels: this.#channels,
      timestamp: counted,
      data: joined,
    })
    this.#encoder.encode(data)
    data.close()
    return true
  }

  async flush(): Promise<void> {
    if (this.#encoder.state === 'configured') await this.#encoder.flush().catch(() => {})
  }

  close(): void {
    if (this.#encoder.state !== 'closed') this.#encoder.close()
  }

  #follow(skew: number): void {
    if (this.#skew === undefined || Math.abs(skew - this.#skew) > skewLimits.jump) this.#skew = skew
    else this.#skew += (skew - this.#skew) * skewLimits.share
  }

  #output(chunk: EncodedAudioChunk): void {
    const data = new Uint8Array(chunk.byteLength)
    chunk.copyTo(data)
    this.#last = Math.max(this.#last + 1, Math.round(chunk.timestamp + (this.#skew ?? 0)))
    this.#handler.onFrame({
      track: this.#track,
      timestamp: micros(this.#last),
      ...(chunk.duration === null ? {} : { duration: micros(chunk.duration) }),
      keyframe: true,
      data,
    })
  }
}
