/** Runs in the audio thread: hands blocks of 10 ms of the microphone to the page. */
declare const sampleRate: number
declare const currentTime: number
declare class AudioWorkletProcessor {
  readonly port: MessagePort
}
declare function registerProcessor(name: string, processor: new () => AudioWorkletProcessor): void

class SampleProcessor extends AudioWorkletProcessor {
  readonly #size = Math.round(sampleRate / 100)
  #planes: Float32Array<ArrayBuffer>[] = []
  #filled = 0
  #time = 0

  process(inputs: readonly (readonly Float32Array[])[]): boolean {
    const input = inputs[0] ?? []
    const length = input[0]?.length ?? 0
    for (let at = 0; at < length; ) {
      if (this.#filled === 0) {
        this.#planes = input.slice(0, 2).map(() => new Float32Array(this.#size))
        this.#time = currentTime + at / sampleRate
      }
      const count = Math.min(length - at, this.#size - this.#filled)
      this.#planes.forEach((plane, channel) => {
        const samples = input[Math.min(channel, input.length - 1)]
        if (samples !== undefined) plane.set(samples.subarray(at, at + count), this.#filled)
      })
      this.#filled += count
      at += count
      if (this.#filled === this.#size) this.#hand()
    }
    return true
  }

  #hand(): void {
    const planes = this.#planes
    this.port.postMessage(
      { planes, time: this.#time },
      planes.map(plane => plane.buffer),
    )
    this.#filled = 0
  }
}

registerProcessor('framelog-samples', SampleProcessor)
