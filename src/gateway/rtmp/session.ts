/**
 * One publisher over RTMP (Adobe RTMP 1.0, sections 5.2 and 7): handshake, commands, and its tags as FLV has them. It publishes,
 * and does nothing else.
 *   handshake → connecting → publishing → closed
 */
import { randomBytes } from 'node:crypto'
import type { Socket } from 'node:net'
import { Chunks } from '../../container/chunks.ts'
import { type Amf, decodeAmf0, encodeAmf0 } from '../../container/flv/amf0.ts'
import { tagTypes } from '../../container/flv/tag.ts'
import { FlvTracks } from '../../container/flv/tracks.ts'
import { OutOfBytes } from '../../core/bytes.ts'
import type { Clock } from '../../core/clock.ts'
import { FramelogError, toFramelogError } from '../../errors.ts'
import type { Logger } from '../../observe/logger.ts'
import { broadcastId } from '../../units.ts'
import type { Ingest, Ingests } from '../ingest.ts'
import {
  ChunkReader,
  encodeMessage,
  messageTypes,
  numberOf,
  ownChunk,
  type RtmpMessage,
} from './chunk-stream.ts'

export const rtmpLimits = {
  /** Milliseconds from the open connection to its publish command. */
  begin: 10_000,
  /** Milliseconds without a byte after which a publisher counts as gone. */
  silence: 60_000,
  /** Milliseconds for which what a refused publisher still sends is thrown away, so that it reads why. */
  linger: 1000,
  /** Bytes of answers that a peer may leave unread. */
  unread: 64 * 1024,
  /** Bytes after which the other side is told that they came, where it names no number. */
  window: 2_500_000,
} as const

export interface RtmpContext {
  readonly clock: Clock
  readonly log: Logger
  readonly ingests: Ingests
}

/** Section 5.2: a version, and twice 1536 bytes from each side. */
const version = 3
const helloBytes = 1536

/** Chunk streams of ours: of control messages and of commands. */
const streams = { control: 2, command: 3, status: 5 } as const
/** The only one there is. */
const messageStream = 1

type State =
  | { readonly kind: 'hello' }
  | { readonly kind: 'echo' }
  | { readonly kind: 'messages' }
  | { readonly kind: 'closed' }

export class RtmpSession {
  readonly #socket: Socket
  readonly #context: RtmpContext
  readonly #handshake = new Chunks()
  readonly #reader = new ChunkReader()
  #state: State = { kind: 'hello' }
  #ingest: Ingest | undefined
  #tracks: FlvTracks | undefined
  #log: Logger
  #received = 0
  #acknowledged = 0
  #window: number = rtmpLimits.window
  /** Bytes of our chunks, as the other side knows them; undefined for the default. */
  #chunk: number | undefined
  #cancel: () => void = () => {}
  /** Messages of one push that wait for room. */
  #messages: RtmpMessage[] = []
  #isBusy = false

  constructor(socket: Socket, context: RtmpContext) {
    this.#socket = socket
    this.#context = context
    this.#log = context.log.child({ role: 'rtmp' })
    this.#expect(rtmpLimits.begin)
    socket.setNoDelay(true)
    socket.on('data', bytes => this.#push(bytes))
    socket.on('error', () => socket.destroy())
    socket.on('end', () => socket.end())
    socket.on('close', () => this.#end())
  }

  /** Ends it from this side. */
  fail(cause: unknown): void {
    if (this.#state.kind === 'closed') return
    const error = toFramelogError(cause)
    const { code, message } = error
    this.#log.info({ ...this.#ingest?.report, code, reason: message }, 'the stream is cut off')
    this.#status('error', 'NetStream.Publish.BadName', error.toLine())
    // What came before the damage counts.
    if (!this.#isBusy) void this.#ingest?.rest()
    this.#end()
    this.#socket.resume()
    this.#socket.end()
    this.#context.clock.after(rtmpLimits.linger, () => this.#socket.destroy())
  }

  #push(bytes: Uint8Array): void {
    if (this.#state.kind === 'closed') return
    this.#received += bytes.byteLength
    if (this.#tracks !== undefined) this.#expect(rtmpLimits.silence)
    if (this.#socket.writableLength > rtmpLimits.unread) {
      this.#socket.destroy()
      return
    }
    try {
      if (this.#state.kind === 'messages') this.#take(bytes)
      else this.#greet(bytes)
    } catch (error) {
      this.fail(error)
    }
  }

  #greet(bytes: Uint8Array): void {
    this.#handshake.push(bytes)
    if (this.#state.kind === 'hello') {
      if (this.#handshake.at(0) !== version)
        throw new FramelogError('BAD_CONTAINER', 'The connection does not begin as RTMP does')
      const hello = this.#handshake.length > helloBytes ? this.#handshake.take(1 + helloBytes) : undefined
      if (hello === undefined) return
      const own = randomBytes(helloBytes)
      own.fill(0, 0, 8)
      this.#socket.write(Buffer.concat([Uint8Array.of(version), own, hello.subarray(1)]))
      this.#state = { kind: 'echo' }
    }
    if (this.#handshake.take(helloBytes) === undefined) return
    this.#state = { kind: 'messages' }
    this.#take(this.#handshake.take(this.#handshake.length) ?? new Uint8Array())
  }

  #take(bytes: Uint8Array): void {
    this.#messages.push(...this.#reader.push(bytes))
    if (this.#received - this.#acknowledged >= this.#window / 2) {
      this.#acknowledged = this.#received
      this.#control(messageTypes.acknowledgement, this.#received % 2 ** 32)
    }
    this.#work()
  }

  /** Deals with what has come, as far as there is room. */
  #work(): void {
    if (this.#isBusy) return
    for (let message = this.#messages.shift(); message !== undefined; message = this.#messages.shift()) {
      this.#message(message)
      if (this.#state.kind === 'closed') return
    }
    const wait = this.#ingest?.flow()
    if (wait === undefined) return
    this.#isBusy = true
    this.#cancel()
    this.#socket.pause()
    wait
      .then(() => {
        this.#isBusy = false
        if (this.#state.kind === 'closed') return
        this.#expect(rtmpLimits.silence)
        this.#socket.resume()
        this.#work()
      })
      .catch((error: unknown) => this.fail(error))
  }

  #message({ type, time, data }: RtmpMessage): void {
    switch (type) {
      case messageTypes.audio:
      case messageTypes.video:
        this.#tracks?.tag(type, time, data)
        return
      case messageTypes.data:
        this.#tracks?.tag(tagTypes.script, time, data)
        return
      case messageTypes.dataAmf3:
        this.#tracks?.tag(tagTypes.script, time, data.subarray(1))
        return
      case messageTypes.windowSize:
        this.#window = Math.max(1024, numberOf(data))
        return
      case messageTypes.userControl:
        this.#ping(data)
        return
      case messageTypes.command:
        this.#command(data)
        return
      case messageTypes.commandAmf3:
        this.#command(data.subarray(1))
    }
  }

  /** User control 6 asks, 7 answers with the same time (section 7.1.7). */
  #ping(data: Uint8Array): void {
    if (data[0] !== 0 || data[1] !== 6) return
    const answer = data.slice(0, 6)
    answer[1] = 7
    this.#socket.write(encodeMessage(streams.control, messageTypes.userControl, 0, answer))
  }

  #command(data: Uint8Array): void {
    let values: Amf[]
    try {
      values = decodeAmf0(data)
    } catch (cause) {
      if (!(cause instanceof OutOfBytes || cause instanceof TypeError)) throw cause
      throw new FramelogError('BAD_CONTAINER', 'A command is damaged', { cause })
    }
    const [name, number, , argument] = values
    const transaction = typeof number === 'number' ? number : 0
    switch (name) {
      case 'connect':
        this.#control(messageTypes.windowSize, rtmpLimits.window)
        this.#socket.write(
          encodeMessage(
            streams.control,
            messageTypes.peerBandwidth,
            0,
            Uint8Array.of(...bytesOf(rtmpLimits.window), 2),
          ),
        )
        this.#control(messageTypes.setChunkSize, ownChunk)
        this.#chunk = ownChunk
        this.#answer('_result', transaction, connected, success)
        return
      case 'createStream':
        this.#answer('_result', transaction, null, messageStream)
        return
      case 'publish':
        this.#publish(argument)
        return
      case 'FCUnpublish':
      case 'closeStream':
      case 'deleteStream':
        this.#finish()
        return
      case 'play':
        throw new FramelogError('BAD_MESSAGE', 'RTMP takes publishers here, and no viewers')
    }
  }

  /** @param name of the stream: a broadcast's id, and behind ?key= what takes it over */
  #publish(name: Amf | undefined): void {
    if (this.#ingest !== undefined) return
    const [path = '', query = ''] = String(name ?? '').split('?', 2)
    const id = broadcastId(path)
    const parameters = new URLSearchParams(query)
    const token = parameters.get('key') ?? undefined
    const ingest = this.#context.ingests.open({ id, token, title: parameters.get('title') ?? undefined })
    ingest.onFailed = error => this.fail(error)
    this.#log = this.#context.log.child({ broadcast: id, role: 'rtmp' })
    this.#ingest = ingest
    this.#reader.allowFrames()
    this.#tracks = new FlvTracks(ingest)
    this.#expect(rtmpLimits.silence)
    this.#status('status', 'NetStream.Publish.Start', `${id} may be sent`)
  }

  /** The publisher ends it in good order. */
  #finish(): void {
    const ingest = this.#ingest
    if (ingest === undefined) return
    this.#tracks?.end()
    this.#ingest = undefined
    this.#tracks = undefined
    this.#expect(rtmpLimits.silence)
    ingest
      .end('the stream has ended')
      .then(
        () => this.#log.info(ingest.report, 'the stream has ended'),
        (error: unknown) => this.fail(error),
      )
      .finally(() => this.#context.ingests.release(ingest))
  }

  #end(): void {
    if (this.#state.kind === 'closed') return
    this.#state = { kind: 'closed' }
    this.#cancel()
    this.#messages = []
    const ingest = this.#ingest
    this.#ingest = undefined
    this.#tracks = undefined
    if (ingest === undefined) return
    this.#log.info(ingest.report, 'the connection is gone')
    this.#context.ingests.release(ingest)
  }

  /** Something comes within so many milliseconds. */
  #expect(span: number): void {
    this.#cancel()
    this.#cancel = this.#context.clock.after(span, () =>
      this.fail(new FramelogError('STREAM_CUT_OFF', `Nothing has come for ${span / 1000} s`)),
    )
  }

  #answer(...values: readonly Amf[]): void {
    this.#socket.write(
      encodeMessage(streams.command, messageTypes.command, 0, encodeAmf0(values), this.#chunk),
    )
  }

  #status(level: string, code: string, description: string): void {
    if (!this.#socket.writable) return
    const values = ['onStatus', 0, null, { level, code, description: description.slice(0, 512) }]
    this.#socket.write(
      encodeMessage(streams.status, messageTypes.command, messageStream, encodeAmf0(values), this.#chunk),
    )
  }

  #control(type: number, value: number): void {
    this.#socket.write(encodeMessage(streams.control, type, 0, Uint8Array.of(...bytesOf(value))))
  }
}

const bytesOf = (value: number): number[] => [
  value >>> 24,
  (value >>> 16) & 255,
  (value >>> 8) & 255,
  value & 255,
]

const connected = { fmsVer: 'FMS/3,0,1,123', capabilities: 31 }
const success = {
  level: 'status',
  code: 'NetConnection.Connect.Success',
  description: 'Connection succeeded.',
  objectEncoding: 0,
}
