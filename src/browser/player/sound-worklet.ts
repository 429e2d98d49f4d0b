/** Runs in the audio thread: plays what the page decoded, as the page's timeline says. */
import { SoundRing } from './sound-ring.ts'

declare const sampleRate: number
declare const currentTime: number
declare class AudioWorkletProcessor {
  readonly port: MessagePort
}
declare function registerProcessor(name: string, processor: new () => AudioWorkletProcessor): void

/** From the page. Times in seconds. */
export type ToSound =
  | { readonly kind: 'block'; readonly time: number; readonly rate: number; readonly planes: Float32Array[] }
  /** The sample that is due at `context` on the context's clock is the one at `media`. */
  | { readonly kind: 'sync'; readonly context: number; readonly media: number }
  /** Another media clock. */
  | { readonly kind: 'clear' }

/** To the page, about ten times a second. */
export interface FromSound {
  readonly peak: number
  readonly played: number
  readonly starved: number
  readonly jumps: number
  /** Seconds ahead of the timeline. */
  readonly skew: number
}

const reportEvery = 0.1

class SoundProcessor extends AudioWorkletProcessor {
  #ring: SoundRing | undefined
  #ringRate = 0
  #sync: { readonly context: number; readonly media: number } | undefined
  #reportedAt = 0

  constructor() {
    super()
    this.port.onmessage = ({ data }: MessageEvent<ToSound>) => this.#take(data)
  }

  process(_inputs: unknown, outputs: readonly (readonly Float32Array[])[]): boolean {
    const out = outputs[0] ?? []
    const sync = this.#sync
    const due = sync === undefined ? undefined : sync.media + (currentTime - sync.context)
    this.#ring?.read(out, due, sampleRate)
    if (currentTime - this.#reportedAt >= reportEvery) this.#report()
    return true
  }

  #take(message: ToSound): void {
    if (message.kind === 'sync') this.#sync = message
    else if (message.kind === 'clear') {
      this.#ring?.clear()
      this.#sync = undefined
    } else {
      if (this.#ring === undefined || this.#ringRate !== message.rate) {
        this.#ring = new SoundRing(message.rate, 2)
        this.#ringRate = message.rate
      }
      this.#ring.write(message.time, message.planes)
    }
  }

  #report(): void {
    this.#reportedAt = currentTime
    const ring = this.#ring
    const report: FromSound = {
      peak: ring?.takePeak() ?? 0,
      played: ring?.played ?? 0,
      starved: ring?.starved ?? 0,
      jumps: ring?.jumps ?? 0,
      skew: ring?.skew ?? 0,
    }
    this.port.postMessage(report)
  }
}

registerProcessor('framelog-sound', SoundProcessor)
