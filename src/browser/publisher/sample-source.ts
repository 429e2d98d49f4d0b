/** Raw samples of a microphone's track, each block with when its first sample was captured on the page's clock. */
import { CaptureClock } from './capture-clock.ts'
import workletUrl from './sample-worklet.ts?worker&url'
import { readProcessor } from './track-processor.ts'

export interface Samples {
  /** One array for each channel, 1 or 2, owned by whoever is called. */
  readonly planes: readonly Float32Array<ArrayBuffer>[]
  /** A second. */
  readonly rate: number
  /** Of the first sample, milliseconds of `performance.now()`. */
  readonly at: number
}

export type OnSamples = (samples: Samples) => void

/** @returns stops it; idempotent */
export function readSamples(track: MediaStreamTrack, onSamples: OnSamples): () => void {
  if (!('MediaStreamTrackProcessor' in globalThis)) return readWorklet(track, onSamples)
  const clock = new CaptureClock({ losesTime: true })
  return readProcessor(new MediaStreamTrackProcessor({ track: track as MediaStreamAudioTrack }), data => {
    onSamples(copySamples(data, clock))
    data.close()
  })
}

function copySamples(data: AudioData, clock: CaptureClock): Samples {
  const planes: Float32Array<ArrayBuffer>[] = []
  for (let planeIndex = 0; planeIndex < Math.min(2, data.numberOfChannels); planeIndex++) {
    const plane = new Float32Array(data.numberOfFrames)
    data.copyTo(plane, { planeIndex, format: 'f32-planar' })
    planes.push(plane)
  }
  // Browsers stamp a block's first sample, but it can be had only when its last one is there.
  const length = (data.numberOfFrames / data.sampleRate) * 1000
  const end = clock.place(data.timestamp / 1000 + length, performance.now())
  return { planes, rate: data.sampleRate, at: end - length }
}

/** Firefox has no processor: an audio worklet takes blocks of samples off the track. */
function readWorklet(track: MediaStreamTrack, onSamples: OnSamples): () => void {
  const context = new AudioContext({ sampleRate: 48_000, latencyHint: 'interactive' })
  const clock = new CaptureClock({ losesTime: true })
  const begin = async (): Promise<void> => {
    await context.audioWorklet.addModule(workletUrl)
    if (context.state === 'closed') return
    const node = new AudioWorkletNode(context, 'framelog-samples', { numberOfOutputs: 0 })
    node.port.onmessage = ({ data }: MessageEvent<{ planes: Float32Array<ArrayBuffer>[]; time: number }>) => {
      const length = ((data.planes[0]?.length ?? 0) / context.sampleRate) * 1000
      const end = clock.place(data.time * 1000 + length, performance.now())
      onSamples({ planes: data.planes, rate: context.sampleRate, at: end - length })
    }
    context.createMediaStreamSource(new MediaStream([track])).connect(node)
    await context.resume()
  }
  begin().catch(() => {})
  return () => {
    if (context.state !== 'closed') void context.close()
  }
}
