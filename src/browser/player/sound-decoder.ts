/**
 * Encoded sound in, blocks of samples out. Decoders count time from the first frame on, whatever later frames say
 * (Chromium), so a block takes the time of the frame that it came from: both go first in, first out.
 */

import { decodeBase64 } from '../../core/base64.ts'
import { BoundedQueue } from '../../core/queue.ts'
import type { AudioTrack } from '../../media/catalog.ts'
import type { NumberedFrame } from '../../media/frame.ts'
import type { Micros } from '../../units.ts'

const queueLimit = 200
/** Microseconds by which a decoder's first block may differ from its frame and still be that frame's. */
const near = 10_000

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
  #first = true
  /** Times of the frames whose blocks have not come out. */
  readonly #times = new BoundedQueue<Micros>({ items: 1024, bytes: Number.POSITIVE_INFINITY }, () => 0)

  constructor(track: AudioTrack, handler: SoundDecoderHandler) {
    this.#handler = handler
    const { codec, sampleRate, channels, description } = track
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
      this.#times.push(timestamp)
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
    this.#first = true
    try {
      decoder.configure(this.#config)
    } catch (error) {
      this.close()
      this.#handler.onError(error instanceof Error ? error : new Error(String(error)))
    }
  }

  #give(data: AudioData): void {
    // Some swallow their first frames; the first block's own time still tells which one it came from.
    if (this.#first) {
      while ((this.#times.peek() ?? Number.POSITIVE_INFINITY) < data.timestamp - near) this.#times.shift()
      this.#first = false
    }
    const timestamp = this.#times.shift()
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
