/**
 * FLV (Adobe Flash Video File Format 10.1, annex E) as it comes, each frame out at its last byte.
 *   stream := header (size tag)* size       sizes are those of the tags before them
 *   tag    := type size time stream data
 */
import { FramelogError } from '../../errors.ts'
import { Chunks } from '../chunks.ts'
import { type Demuxer, type DemuxHandler, demuxLimits } from '../demuxer.ts'
import { tagTypes } from './tag.ts'
import { FlvTracks } from './tracks.ts'

type State =
  /** The header of the stream comes next. */
  | { readonly kind: 'header' }
  /** So many bytes are passed over. */
  | { readonly kind: 'skip'; rest: number }
  /** The size of the tag before, and the head of a tag come next. @param before what that size must be */
  | { readonly kind: 'head'; readonly before: number }
  /** The data of a tag is waited for. */
  | { readonly kind: 'data'; readonly type: number; readonly time: number; readonly size: number }

const headerBytes = 9
/** The size of the tag before, then type, size, time and stream. */
const sizeBytes = 4
const headBytes = 11

const knownTypes: ReadonlySet<number> = new Set(Object.values(tagTypes))

const bad = (message: string): never => {
  throw new FramelogError('BAD_CONTAINER', message)
}

export class FlvDemuxer implements Demuxer {
  readonly #chunks = new Chunks()
  readonly #tracks: FlvTracks
  #state: State = { kind: 'header' }
  /** Bytes taken since the beginning. */
  #position = 0

  constructor(handler: DemuxHandler) {
    this.#tracks = new FlvTracks(handler)
  }

  push(bytes: Uint8Array): void {
    this.#chunks.push(bytes)
    while (this.#step());
  }

  end(): void {
    this.#tracks.end()
    this.#chunks.clear()
  }

  /** @returns whether there was enough for a step */
  #step(): boolean {
    const state = this.#state
    switch (state.kind) {
      case 'header': {
        const header = this.#take(headerBytes)
        if (header !== undefined) this.#header(header)
        return header !== undefined
      }
      case 'skip': {
        const skipped = this.#chunks.skip(state.rest)
        this.#position += skipped
        state.rest -= skipped
        if (state.rest > 0) return false
        this.#state = { kind: 'head', before: 0 }
        return true
      }
      case 'head': {
        const head = this.#take(sizeBytes + headBytes)
        if (head !== undefined) this.#head(head, state.before)
        return head !== undefined
      }
      case 'data': {
        const data = this.#take(state.size)
        if (data === undefined) return false
        this.#state = { kind: 'head', before: headBytes + state.size }
        this.#tracks.tag(state.type, state.time, data)
        return true
      }
      default:
        return state satisfies never
    }
  }

  #take(size: number): Uint8Array | undefined {
    const data = this.#chunks.take(size)
    if (data !== undefined) this.#position += size
    return data
  }

  #header(header: Uint8Array): void {
    const view = new DataView(header.buffer)
    if (view.getUint32(0) >>> 8 !== 0x464c56) bad('The stream does not begin with FLV')
    const flags = view.getUint8(4)
    this.#tracks.expect({ video: (flags & 1) !== 0, audio: (flags & 4) !== 0 })
    const size = view.getUint32(5)
    if (size < headerBytes || size > demuxLimits.header) bad(`The header says that it has ${size} bytes`)
    this.#state = { kind: 'skip', rest: size - headerBytes }
  }

  #head(head: Uint8Array, before: number): void {
    const view = new DataView(head.buffer)
    const begin = this.#position - headBytes
    // Some writers leave the sizes out; a wrong one says that bytes are missing, or are not what they should be.
    const stated = view.getUint32(0)
    if (stated !== before && stated !== 0)
      bad(`The tag before byte ${begin} has ${before} bytes, and says that it had ${stated}`)
    const type = view.getUint8(4)
    if ((type & 0x20) !== 0) throw new FramelogError('UNSUPPORTED_CODEC', 'The FLV is encrypted')
    if (!knownTypes.has(type)) bad(`Byte ${begin} begins no tag`)
    const size = view.getUint32(4) & 0xff_ffff
    const time = (view.getUint32(8) >>> 8) | (view.getUint8(11) << 24)
    if (size > demuxLimits.frame)
      throw new FramelogError(
        'FRAME_TOO_LARGE',
        `The tag at byte ${begin} has ${size} bytes; ${demuxLimits.frame} is the limit`,
      )
    this.#state = { kind: 'data', type, time, size }
  }
}
