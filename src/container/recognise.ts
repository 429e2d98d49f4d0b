/** Which container a stream is: its first bytes tell, however they are cut. */
import { FramelogError } from '../errors.ts'
import { Chunks } from './chunks.ts'
import type { Demuxer, DemuxHandler } from './demuxer.ts'
import { fourCc } from './mp4/boxes.ts'
import { Mp4Demuxer } from './mp4/demuxer.ts'
import { WebmDemuxer } from './webm/demuxer.ts'
import { ids } from './webm/ebml.ts'

export interface ContainerFormat {
  readonly name: string
  /** @param first the first 8 bytes of a stream */
  begins(first: DataView): boolean
  make(handler: DemuxHandler): Demuxer
}

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

/** What browsers record. */
export const recordedFormats: readonly ContainerFormat[] = [
  {
    name: 'WebM',
    begins: first => first.getUint32(0) === ids.ebml,
    make: handler => new WebmDemuxer(handler),
  },
  {
    name: 'MP4',
    begins: first => firstBoxes.has(first.getUint32(4)),
    make: handler => new Mp4Demuxer(handler),
  },
]

/** Bytes that tell: an EBML header's id, or a box's size and type. */
const enough = 8

/** A demuxer of whatever container is pushed. */
export class AnyDemuxer implements Demuxer {
  readonly #handler: DemuxHandler
  readonly #formats: readonly ContainerFormat[]
  readonly #chunks = new Chunks()
  #demuxer: Demuxer | undefined

  /** @param formats that it may be: those that browsers record, unless told */
  constructor(handler: DemuxHandler, formats = recordedFormats) {
    this.#handler = handler
    this.#formats = formats
  }

  push(bytes: Uint8Array): void {
    if (this.#demuxer !== undefined) {
      this.#demuxer.push(bytes)
      return
    }
    this.#chunks.push(bytes)
    const first = this.#chunks.length < enough ? undefined : this.#chunks.take(this.#chunks.length)
    if (first === undefined) return
    this.#demuxer = this.#recognise(new DataView(first.buffer, first.byteOffset)).make(this.#handler)
    this.#demuxer.push(first)
  }

  end(): void {
    this.#demuxer?.end()
    this.#chunks.clear()
  }

  #recognise(first: DataView): ContainerFormat {
    const format = this.#formats.find(each => each.begins(first))
    if (format !== undefined) return format
    const names = this.#formats.map(({ name }) => name)
    throw new FramelogError('BAD_CONTAINER', `The stream begins neither ${names.join(' nor ')}`)
  }
}
