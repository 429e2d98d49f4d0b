/**
 * RTMP's chunk stream (Adobe RTMP 1.0, section 5.3): messages in chunks, those of one chunk stream id after another, with heads
 * that leave out what has not changed.
 */

import { Chunks } from '../../container/chunks.ts'
import { demuxLimits } from '../../container/demuxer.ts'
import { FramelogError } from '../../errors.ts'

export const messageTypes = {
  setChunkSize: 1,
  abort: 2,
  acknowledgement: 3,
  userControl: 4,
  windowSize: 5,
  peerBandwidth: 6,
  audio: 8,
  video: 9,
  dataAmf3: 15,
  commandAmf3: 17,
  data: 18,
  command: 20,
} as const

export const chunkLimits = {
  /** Chunk stream ids of one connection. */
  streams: 64,
  /** Bytes of messages that are not whole, of one connection. */
  waiting: 2 * demuxLimits.frame,
  /** Bytes of a chunk, as a peer may set it: what is smaller costs more to hold than it holds. */
  chunk: { least: 128, most: 16 * 1024 * 1024 },
  /** Bytes of a message before anything is published. */
  command: 64 * 1024,
} as const

export interface RtmpMessage {
  readonly type: number
  /** Milliseconds, in 32 bits. */
  readonly time: number
  readonly streamId: number
  /** Owned. */
  readonly data: Uint8Array
}

interface ChunkStream {
  time: number
  /** What is added for a message that states no time. */
  delta: number
  length: number
  type: number
  streamId: number
  isExtended: boolean
  /** Of the message under way. */
  parts: Uint8Array[]
  filled: number
}

type State = { readonly kind: 'head' } | { readonly kind: 'data'; readonly id: number; readonly size: number }

const extended = 0xff_ffff
const defaultChunk = 128

const bad = (message: string): never => {
  throw new FramelogError('BAD_CONTAINER', message)
}

export class ChunkReader {
  readonly #chunks = new Chunks()
  readonly #streams = new Map<number, ChunkStream>()
  #state: State = { kind: 'head' }
  #chunkSize = defaultChunk
  #mostBytes: number = chunkLimits.command
  #waiting = 0

  /** Takes messages as large as a frame from now on. */
  allowFrames(): void {
    this.#mostBytes = demuxLimits.frame
  }

  /**
   * @param bytes owned by the reader from here on
   * @returns the messages that are whole now; those that concern the chunks alone are dealt with
   * @throws FramelogError BAD_CONTAINER, FRAME_TOO_LARGE
   */
  push(bytes: Uint8Array): RtmpMessage[] {
    this.#chunks.push(bytes)
    const messages: RtmpMessage[] = []
    for (;;) {
      const { kind } = this.#state
      if (kind === 'head') {
        if (!this.#head()) return messages
      } else {
        const message = this.#data(this.#state)
        if (message === 'short') return messages
        if (message !== undefined) messages.push(message)
      }
    }
  }

  /** @returns whether the head of a chunk was there as a whole */
  #head(): boolean {
    const first = this.#chunks.at(0)
    if (first === undefined) return false
    const format = first >> 6
    const short = first & 63
    const basic = short === 0 ? 2 : short === 1 ? 3 : 1
    const fields = [11, 7, 3, 0][format] ?? 0
    const head = basic + fields
    if (this.#chunks.length < head) return false
    const at = (index: number): number => this.#chunks.at(index) ?? 0
    const id = short === 0 ? 64 + at(1) : short === 1 ? 64 + at(1) + at(2) * 256 : short
    const u24 = (index: number): number => (at(index) << 16) | (at(index + 1) << 8) | at(index + 2)
    const known = this.#streams.get(id)
    if (known === undefined && format !== 0 && format !== 1) bad(`Chunk stream ${id} begins without a length`)
    const stated = fields >= 3 ? u24(basic) : undefined
    const isExtended = stated === undefined ? (known?.isExtended ?? false) : stated === extended
    if (this.#chunks.length < head + (isExtended ? 4 : 0)) return false
    const stream = known ?? this.#newStream(id)
    const isContinued = stream.filled > 0
    // A message that is under way goes on in chunks without heads.
    if (isContinued && format !== 3) this.#drop(stream)
    const long = isExtended ? at(head) * 0x100_0000 + u24(head + 1) : undefined
    if (fields >= 7) {
      stream.length = u24(basic + 3)
      stream.type = at(basic + 6)
    }
    if (fields === 11)
      stream.streamId = at(basic + 7) | (at(basic + 8) << 8) | (at(basic + 9) << 16) | (at(basic + 10) << 24)
    if (stated !== undefined) {
      stream.isExtended = isExtended
      stream.delta = long ?? stated
      stream.time = format === 0 ? stream.delta : (stream.time + stream.delta) | 0
      // Behind a time, what states none is no later.
      if (format === 0) stream.delta = 0
    } else if (!isContinued) stream.time = (stream.time + stream.delta) | 0
    this.#chunks.skip(head + (isExtended ? 4 : 0))
    if (stream.length > this.#mostBytes)
      throw new FramelogError(
        'FRAME_TOO_LARGE',
        `A message has ${stream.length} bytes; ${this.#mostBytes} is the limit`,
      )
    const size = Math.min(this.#chunkSize, stream.length - stream.filled)
    this.#state = { kind: 'data', id, size }
    return true
  }

  #newStream(id: number): ChunkStream {
    if (this.#streams.size >= chunkLimits.streams)
      bad(`Over ${chunkLimits.streams} chunk streams in one connection`)
    const stream = {
      ...{ time: 0, delta: 0, length: 0, type: 0, streamId: 0, isExtended: false },
      ...{ parts: [], filled: 0 },
    }
    this.#streams.set(id, stream)
    return stream
  }

  #data({ id, size }: State & { kind: 'data' }): RtmpMessage | 'short' | undefined {
    const data = this.#chunks.take(size)
    if (data === undefined) return 'short'
    this.#state = { kind: 'head' }
    const stream = this.#streams.get(id) as ChunkStream
    stream.parts.push(data)
    stream.filled += size
    this.#waiting += size
    if (this.#waiting > chunkLimits.waiting)
      bad(`Over ${chunkLimits.waiting} bytes of messages that do not end`)
    if (stream.filled < stream.length) return undefined
    const { type, time, streamId, parts } = stream
    const whole = parts.length === 1 ? data : Buffer.concat(parts)
    this.#drop(stream)
    if (type === messageTypes.setChunkSize) this.#setChunkSize(whole)
    else if (type === messageTypes.abort) this.#abort(whole)
    else return { type, time, streamId, data: whole }
    return undefined
  }

  #setChunkSize(data: Uint8Array): void {
    const size = numberOf(data) & 0x7fff_ffff
    if (size < chunkLimits.chunk.least || size > chunkLimits.chunk.most) bad(`Chunks of ${size} bytes`)
    this.#chunkSize = size
  }

  #abort(data: Uint8Array): void {
    const stream = this.#streams.get(numberOf(data))
    if (stream !== undefined) this.#drop(stream)
  }

  #drop(stream: ChunkStream): void {
    this.#waiting -= stream.filled
    stream.parts = []
    stream.filled = 0
  }
}

/** Big-endian, as control messages have them. */
export const numberOf = (data: Uint8Array): number =>
  (data[0] ?? 0) * 0x100_0000 + (((data[1] ?? 0) << 16) | ((data[2] ?? 0) << 8) | (data[3] ?? 0))

/** Bytes of a chunk that we send, once the other side was told. */
export const ownChunk = 4096

/**
 * One message in chunks, the first with a whole head.
 * @param chunk bytes of each: the default until the other side was told of another
 */
export function encodeMessage(
  chunkStream: number,
  type: number,
  streamId: number,
  data: Uint8Array,
  chunk: number = defaultChunk,
): Uint8Array {
  const { byteLength: size } = data
  const more = Math.max(0, Math.ceil(size / chunk) - 1)
  const bytes = new Uint8Array(12 + size + more)
  bytes[0] = chunkStream
  bytes[4] = size >> 16
  bytes[5] = size >> 8
  bytes[6] = size
  bytes[7] = type
  bytes[8] = streamId
  for (let i = 0; i <= more; i++) {
    const at = 12 + i * (chunk + 1)
    if (i > 0) bytes[at - 1] = 0xc0 | chunkStream
    bytes.set(data.subarray(i * chunk, (i + 1) * chunk), at)
  }
  return bytes
}
