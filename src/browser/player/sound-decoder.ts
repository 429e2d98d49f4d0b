/** Encoded sound in, blocks of samples out. */
import type { AudioTrack } from '../../media/catalog.ts'
import type { NumberedFrame } from '../../media/frame.ts'
import { type Micros, micros } from '../../units.ts'
import { fromBase64 } from '../base64.ts'

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

  constructor(track: AudioTrack, handler: SoundDecoderHandler) {
    this.#handler = handler
    const { codec, sampleRate, channels, description } = track
    this.#config = {
      codec,
      sampleRate,
      numberOfChannels: channels,
      ...(description === undefined ? {} : { description: fromBase64(description) }),
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
          this.#handler.onBlock(copyBlock(data))
        }
        data.close()
      },
      error: error => {
        if (this.#decoder === decoder) this.#fail(error)
      },
    })
    this.#decoder = decoder
    try {
      decoder.configure(this.#config)
    } catch (error) {
      this.close()
      this.#handler.onError(error instanceof Error ? error : new Error(String(error)))
    }
  }

  #fail(error: Error): void {
    this.close()
    this.#errors += 1
    if (error.name !== 'NotSupportedError' && this.#errors < 5) this.#open()
    this.#handler.onError(error)
  }
}

function copyBlock(data: AudioData): Block {
  const planes: Float32Array<ArrayBuffer>[] = []
  for (let planeIndex = 0; planeIndex < Math.min(2, data.numberOfChannels); planeIndex++) {
    const plane = new Float32Array(data.numberOfFrames)
    data.copyTo(plane, { planeIndex, format: 'f32-planar' })
    planes.push(plane)
  }
  return { timestamp: micros(data.timestamp), rate: data.sampleRate, planes }
}
