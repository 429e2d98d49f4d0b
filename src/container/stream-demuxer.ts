/** A demuxer for whatever comes: told by the first bytes. */
import type { Demuxer, DemuxHandler } from './demuxer.ts'
import { WebmDemuxer } from './webm/demuxer.ts'

export class StreamDemuxer implements Demuxer {
  readonly #handler: DemuxHandler
  #demuxer: Demuxer | undefined

  constructor(handler: DemuxHandler) {
    this.#handler = handler
  }

  push(bytes: Uint8Array): void {
    this.#demuxer ??= new WebmDemuxer(this.#handler)
    this.#demuxer.push(bytes)
  }

  end(): void {
    this.#demuxer?.end()
  }
}
