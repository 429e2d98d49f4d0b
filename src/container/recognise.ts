/** Which container a stream is: its first bytes tell, however they are cut. */
import { FramelogError } from '../errors.ts'
import { Chunks } from './chunks.ts'
import type { Demuxer, DemuxHandler } from './demuxer.ts'
import { fourCc } from './mp4/boxes.ts'
import { Mp4Demuxer } from './mp4/demuxer.ts'
import { WebmDemuxer } from './webm/demuxer.ts'
import { ids } from './webm/ebml.ts'

/** Boxes that an MP4 may begin with, also one that cannot be carried: its demuxer says why. */
const firstBoxes: ReadonlySet<number> = new Set(
  [
    'ftyp',
    'styp',
    'moov',
    'moof',
    'mdat',
    'sidx',
    'free',
    'skip',
    'wide',
    'pdin',
    'uuid',
    'emsg',
    'prft',
  ].map(fourCc),
)

/** Bytes that tell: an EBML header's id, or a box's size and type. */
const enough = 8

/** A demuxer of whatever container is pushed: WebM and Matroska, or fragmented MP4. */
export class AnyDemuxer implements Demuxer {
  readonly #handler: DemuxHandler
  readonly #chunks = new Chunks()
  #demuxer: Demuxer | undefined

  constructor(handler: DemuxHandler) {
    this.#handler = handler
  }

  push(bytes: Uint8Array): void {
    if (this.#demuxer !== undefined) {
      this.#demuxer.push(bytes)
      return
    }
    this.#chunks.push(bytes)
    const first = this.#chunks.length < enough ? undefined : this.#chunks.take(this.#chunks.length)
    if (first === undefined) return
    this.#demuxer = demuxerFor(first, this.#handler)
    this.#demuxer.push(first)
  }

  end(): void {
    this.#demuxer?.end()
    this.#chunks.clear()
  }
}

/**
 * @param first at least 8 bytes of the stream's beginning, borrowed; they are still to be pushed
 * @throws FramelogError BAD_CONTAINER where they begin neither WebM nor MP4
 */
export function demuxerFor(first: Uint8Array, handler: DemuxHandler): Demuxer {
  if (first.byteLength >= enough) {
    const view = new DataView(first.buffer, first.byteOffset)
    if (view.getUint32(0) === ids.ebml) return new WebmDemuxer(handler)
    if (firstBoxes.has(view.getUint32(4))) return new Mp4Demuxer(handler)
  }
  throw new FramelogError('BAD_CONTAINER', 'The stream begins neither WebM nor MP4')
}
