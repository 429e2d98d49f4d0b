/** Encoded sound in, blocks of samples out, each with its time. */

import { decodeBase64 } from '../../core/base64.ts'
import { durationOfAac } from '../../media/aac.ts'
import type { AudioTrack } from '../../media/catalog.ts'
import { parseCodec } from '../../media/codec.ts'
import type { NumberedFrame } from '../../media/frame.ts'
import { durationOfOpus } from '../../media/opus.ts'
import type { Micros } from '../../units.ts'
import { PacketTimes } from './packet-times.ts'

const queueLimit = 200

export interface Block {
  readonly timestamp: Micros
  readonly rate: number
  /** Owned by whoever gets it. */
  readonly planes: readonly Float32Array<ArrayBuffer>[]
}

export interface SoundDecoderHandler {
  onBlock(block: Block): void
  onError(error: Error): void
}

export class SoundDecoder {
  readonly #config: AudioDecoderConfig
  readonly #handler: SoundDecoderHandler
  #decoder: AudioDecoder | undefined
  #errors = 0
  readonly #times = new PacketTimes()
  readonly #isOpus: boolean

  constructor(track: AudioTrack, handler: SoundDecoderHandler) {
    this.#handler = handler
    const { codec, sampleRate, channels, description } = track
    this.#isOpus = parseCodec(codec).family === 'opus'
    this.#config = {
      codec,
      sampleRate,
      numberOfChannels: channels,
      ...(description === undefined ? {} : { description: decodeBase64(description) }),
    }
    this.#open()
  }

  get isFull(): boolean {
    return this.#decoder !== undefined && this.#decoder.decodeQueueSize >= queueLimit
  }

  get inside(): number {
    return this.#decoder?.decodeQueueSize ?? 0
  }

  decode(frame: NumberedFrame): void {
    const { timestamp, data } = frame
    try {
      this.#decoder?.decode(new EncodedAudioChunk({ type: 'key', timestamp, data }))
      this.#times.push(
        timestamp,
        this.#isOpus ? durationOfOpus(data) : durationOfAac(this.#config.sampleRate),
      )
    } catch (error) {
      this.#fail(error instanceof Error ? error : new Error(String(error)))
    }
  }

  close(): void {
    const decoder = this.#decoder
    this.#decoder = undefined
    if (decoder !== undefined && decoder.state !== 'closed') decoder.close()
  }

  #open(): void {
    const decoder = new AudioDecoder({
      output: data => {
        if (this.#decoder === decoder) {
          this.#errors = 0
          this.#give(data)
        }
        data.close()
      },
      error: error => {
        if (this.#decoder === decoder) this.#fail(error)
      },
    })
    this.#decoder = decoder
    this.#times.clear()
    try {
      decoder.configure(this.#config)
    } catch (error) {
      this.close()
      this.#handler.onError(error instanceof Error ? error : new Error(String(error)))
    }
  }

  #give(data: AudioData): void {
    const length = (data.numberOfFrames * 1_000_000) / data.sampleRate
    const timestamp = this.#times.next(data.timestamp, length)
    if (timestamp === undefined) return
    this.#handler.onBlock({ timestamp, rate: data.sampleRate, planes: copyPlanes(data) })
  }

  #fail(error: Error): void {
    this.close()
    this.#errors += 1
    if (error.name !== 'NotSupportedError' && this.#errors < 5) this.#open()
    this.#handler.onError(error)
  }
}

function copyPlanes(data: AudioData): Float32Array<ArrayBuffer>[] {
  const planes: Float32Array<ArrayBuffer>[] = []
  for (let planeIndex = 0; planeIndex < Math.min(2, data.numberOfChannels); planeIndex++) {
    const plane = new Float32Array(data.numberOfFrames)
    data.copyTo(plane, { planeIndex, format: 'f32-planar' })
    planes.push(plane)
  }
  return planes
}
