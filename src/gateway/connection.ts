/** One WebSocket, whoever's it is: hello first, limits on everything, errors told before the close. */
import type { Duplex } from 'node:stream'
import type { Clock } from '../core/clock.ts'
import { FramelogError, toFramelogError } from '../errors.ts'
import type { Logger } from '../observe/logger.ts'
import {
  decodeMessage,
  type KnownMessage,
  type Message,
  type MessageOf,
  protocolVersion,
} from '../wire/message.ts'
import { Backlog } from './backlog.ts'
import { encodeFramed } from './framed.ts'
import type { LimitedSocket } from './limited-socket.ts'

export const connectionLimits = {
  /** Milliseconds from the open socket to its hello. */
  hello: 10_000,
  /** Messages of types that this version does not know, in one connection. */
  unknown: 1000,
  /** Bytes that may wait to be sent to a client that takes nothing, before the connection is cut. */
  buffered: 16 * 1024 * 1024,
  /** Milliseconds between two looks whether the other side is still there. */
  heartbeat: 10_000,
} as const

/** Called in this order: hello once, then messages, then closed once. */
export interface ConnectionHandler {
  onHello(hello: MessageOf<'hello'>): void | Promise<void>
  onMessage(message: Message): void
  onClosed(): void
}

export class Connection {
  readonly #socket: LimitedSocket
  readonly #stream: Duplex
  readonly #clock: Clock
  readonly #log: Logger
  readonly #handler: ConnectionHandler
  readonly #cancelHello: () => void
  #cancelHeartbeat: () => void = () => {}
  readonly #backlog = new Backlog()
  /** Whether anything has come since the last look, and whether it was asked for at that. */
  #isHeard = true
  #isAsked = false
  #greeted = false
  #closed = false
  #unknown = 0
  #waiting: (() => void)[] = []

  constructor(socket: LimitedSocket, stream: Duplex, clock: Clock, log: Logger, handler: ConnectionHandler) {
    this.#socket = socket
    this.#stream = stream
    this.#clock = clock
    this.#log = log
    this.#handler = handler
    this.#cancelHello = clock.after(connectionLimits.hello, () => {
      this.fail(new FramelogError('HELLO_TIMEOUT', `No hello within ${connectionLimits.hello / 1000} s`))
    })
    socket.binaryType = 'nodebuffer'
    socket.onTooLarge = error => this.fail(error)
    socket.on('message', (data, isBinary) => this.#receive(data as Buffer, isBinary))
    socket.on('error', error => this.#log.debug({ reason: error.message }, 'socket error'))
    socket.on('close', () => this.#end())
    socket.on('pong', () => {
      this.#isHeard = true
    })
    stream.on('drain', () => this.#drained())
    this.#heartbeat()
  }

  /** Whether its hello was taken. */
  get isGreeted(): boolean {
    return this.#greeted
  }

  /** Bytes sent and not yet taken by the network. */
  get buffered(): number {
    // Of ws nothing is added to that: without compression it holds nothing back.
    return this.#stream.writableLength
  }

  /** How long the first of them has waited, milliseconds. */
  get waited(): number {
    const { buffered } = this
    return buffered === 0 ? 0 : this.#backlog.age(buffered, this.#clock.monotonic())
  }

  /** Takes messages as large as a frame from now on; until then none larger than JSON may be. */
  allowFrames(): void {
    this.#socket.allowFrames()
  }

  async drained(size: number): Promise<void> {
    while (!this.#closed && this.buffered > size) {
      await new Promise<void>(resolve => this.#waiting.push(resolve))
    }
  }

  send(message: KnownMessage): void {
    this.sendFramed(encodeFramed(message).bytes)
  }

  /** @param bytes an encoded message; borrowed until the network has taken them */
  sendBytes(bytes: Uint8Array): void {
    if (this.#closed) return
    this.#socket.send(bytes, { binary: true, compress: false })
    this.#written(bytes)
  }

  /**
   * Beside ws, which without compression holds nothing back that this could overtake.
   * @param bytes whole messages with their heads; borrowed until the network has taken them
   */
  sendFramed(bytes: Uint8Array): void {
    if (this.#closed || this.#socket.readyState !== this.#socket.OPEN) return
    this.#stream.write(bytes)
    this.#written(bytes)
  }

  /** Tells the other side why, then closes. */
  fail(error: FramelogError): void {
    if (this.#closed) return
    const { code, message, advice, retryable } = error
    this.#log[code === 'INTERNAL' ? 'error' : 'info'](
      { code, reason: message },
      'connection refused or ended',
    )
    this.send({ type: 'error', code, message: message.slice(0, 512), advice, retryable })
    this.close(error.closeCode, code)
  }

  close(code: number, reason: string): void {
    if (this.#closed) return
    this.#socket.close(code, reason)
    this.#end()
    // A peer that answers no close frame is cut.
    this.#clock.after(2000, () => this.#socket.terminate())
  }

  /** Where the network takes all at once, as it nearly always does, there is nothing to be noted. */
  #written({ byteLength }: Uint8Array): void {
    const { buffered } = this
    if (buffered === 0) return
    this.#backlog.add(byteLength, Math.max(0, buffered - byteLength), this.#clock.monotonic())
    if (buffered > connectionLimits.buffered) this.#socket.terminate()
  }

  #receive(data: Buffer, isBinary: boolean): void {
    if (this.#closed) return
    this.#isHeard = true
    try {
      if (!isBinary) throw new FramelogError('BAD_MESSAGE', 'A text message; messages are binary')
      const message = decodeMessage(data)
      if (message.type === 'unknown') {
        this.#unknown += 1
        if (this.#unknown > connectionLimits.unknown)
          throw new FramelogError('BAD_MESSAGE', 'Too many messages of unknown types')
      } else if (!this.#greeted) this.#greet(message)
      else if (message.type === 'ping')
        this.send({ type: 'pong', sent: message.sent, time: this.#clock.now() })
      else this.#handler.onMessage(message)
    } catch (error) {
      this.fail(toFramelogError(error))
    }
  }

  #greet(message: Message): void {
    if (message.type !== 'hello')
      throw new FramelogError('BAD_MESSAGE', `The first message is ${message.type}, not hello`)
    if (message.version !== protocolVersion) {
      throw new FramelogError(
        'UNSUPPORTED_VERSION',
        `Protocol version ${message.version}; this gateway speaks ${protocolVersion}`,
      )
    }
    this.#greeted = true
    this.#cancelHello()
    Promise.resolve(this.#handler.onHello(message)).catch((error: unknown) =>
      this.fail(toFramelogError(error)),
    )
  }

  #drained(): void {
    const waiting = this.#waiting
    this.#waiting = []
    for (const resolve of waiting) resolve()
  }

  /** A half-dead connection says nothing, also where it is asked to. Who speaks by itself is not asked. */
  #heartbeat(): void {
    this.#cancelHeartbeat = this.#clock.after(connectionLimits.heartbeat, () => {
      if (!this.#isHeard && this.#isAsked) {
        this.#socket.terminate()
        return
      }
      this.#isAsked = !this.#isHeard
      if (this.#isAsked) this.#socket.ping()
      this.#isHeard = false
      this.#heartbeat()
    })
  }

  #end(): void {
    if (this.#closed) return
    this.#closed = true
    this.#cancelHello()
    this.#cancelHeartbeat()
    this.#drained()
    this.#handler.onClosed()
  }
}
