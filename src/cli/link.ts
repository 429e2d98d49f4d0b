/**
 * A command's connection to a gateway, for as long as it is wanted: when one is lost it comes back, on another gateway where
 * there is one.
 *   connecting → open → waiting → connecting → … → closed
 */
import { WebSocket } from 'ws'
import { Route } from '../core/route.ts'
import { FramelogError, toFramelogError } from '../errors.ts'
import type { BroadcastId } from '../units.ts'
import {
  decodeBundle,
  decodeMessage,
  encodeMessage,
  isBundle,
  type KnownMessage,
  type Message,
  type MessageOf,
  messageLimits,
  subprotocol,
} from '../wire/message.ts'
import { toldByGateway, unreachable } from './unreachable.ts'

export const linkLimits = {
  /** Milliseconds from a new socket to the gateway's welcome. */
  welcome: 15_000,
  /** Milliseconds between two pings, and without a word from the gateway until the connection counts as lost. */
  ping: 2000,
  silence: 10_000,
  /** Milliseconds that a connection must have lasted for the back-off to begin anew. */
  settled: 5000,
  /** Milliseconds without a gateway until it is given up. */
  away: 10 * 60_000,
  /** Milliseconds that the other side has to answer a close. */
  close: 2000,
} as const

export interface LinkHandler {
  /** Asked anew for every socket. */
  hello(): MessageOf<'hello'>
  onWelcome(welcome: MessageOf<'welcome'>): void
  onMessage(message: Message): void
  /** The connection is left, for whatever reason; another one may follow. */
  onLeft?(): void
  /** The connection is gone; the next try comes by itself. */
  onLost(problem: FramelogError): void
  /** It is gone for good: trying again cannot help. */
  onFailed(problem: FramelogError): void
}

type State =
  | { readonly kind: 'connecting'; readonly socket: WebSocket; readonly timer: NodeJS.Timeout }
  | {
      readonly kind: 'open'
      readonly socket: WebSocket
      readonly since: number
      readonly timer: NodeJS.Timeout
    }
  | { readonly kind: 'waiting'; readonly timer: NodeJS.Timeout }
  | { readonly kind: 'closed' }

export class Link {
  readonly #route: Route
  readonly #path: string
  readonly #handler: LinkHandler
  #state: State = { kind: 'closed' }
  #problem: FramelogError | undefined
  #wasWelcome = false
  #lostAt: number | undefined
  #heardAt = 0
  /** Nothing is read of the connection, and so nothing is heard. */
  #isPaused = false

  constructor(url: URL, id: BroadcastId, role: 'publish' | 'watch' | 'data', handler: LinkHandler) {
    this.#route = new Route(url.origin, Math.random)
    this.#path = `/api/v1/broadcasts/${id}/${role}`
    this.#handler = handler
  }

  /** Of the gateway that it is connected to, or tries. */
  get origin(): string {
    return this.#route.current
  }

  /** Bytes given to the socket and not yet to the network. */
  get buffered(): number {
    return this.#state.kind === 'open' ? this.#state.socket.bufferedAmount : 0
  }

  open(): void {
    if (this.#state.kind === 'closed') this.#connect()
  }

  /** @returns false where there is no connection; the message is then not sent */
  send(message: KnownMessage): boolean {
    if (this.#state.kind !== 'open' || this.#state.socket.readyState !== WebSocket.OPEN) return false
    this.#state.socket.send(encodeMessage(message))
    return true
  }

  /** Takes nothing more from the connection, until told to. */
  pause(): void {
    this.#isPaused = true
    if (this.#state.kind === 'open') this.#state.socket.pause()
  }

  resume(): void {
    this.#isPaused = false
    this.#heardAt = performance.now()
    if (this.#state.kind === 'open') this.#state.socket.resume()
  }

  /** Leaves the connection for a new one, at once. */
  reconnect(): void {
    if (!('socket' in this.#state)) return
    this.#leave(this.#state.socket)
    this.#connect()
  }

  /** Nothing more is wanted. @returns once the other side has closed too, or had time to. Idempotent */
  async close(): Promise<void> {
    const left = this.#enter({ kind: 'closed' })
    if (!('socket' in left)) return
    const { socket } = left
    socket.resume()
    await new Promise<void>(resolve => {
      const cut = setTimeout(() => socket.terminate(), linkLimits.close)
      socket.once('close', () => {
        clearTimeout(cut)
        resolve()
      })
      socket.close(1000)
    })
  }

  #connect(): void {
    const origin = this.#route.current
    const address = new URL(this.#path, origin)
    address.protocol = address.protocol === 'https:' ? 'wss:' : 'ws:'
    const socket = new WebSocket(address, subprotocol, {
      perMessageDeflate: false,
      maxPayload: messageLimits.frame,
      handshakeTimeout: linkLimits.welcome,
    })
    socket.binaryType = 'nodebuffer'
    const timer = setTimeout(() => this.#lose(socket), linkLimits.welcome)
    this.#enter({ kind: 'connecting', socket, timer })
    this.#problem = undefined
    socket.on('open', () => socket.send(encodeMessage(this.#handler.hello())))
    socket.on('message', (data: Buffer, isBinary: boolean) => {
      if (this.#holds(socket)) this.#receive(socket, data, isBinary)
    })
    socket.on('error', cause => {
      if (this.#holds(socket)) this.#problem ??= unreachable(origin, cause)
    })
    socket.on('close', () => this.#lose(socket))
  }

  #receive(socket: WebSocket, data: Buffer, isBinary: boolean): void {
    this.#heardAt = performance.now()
    try {
      if (!isBinary) throw new FramelogError('BAD_MESSAGE', 'The gateway sent a text message')
      const parts = isBundle(data) ? decodeBundle(data).parts : [data]
      for (const part of parts) if (this.#holds(socket)) this.#hear(socket, decodeMessage(part))
    } catch (error) {
      this.#fail(toFramelogError(error))
    }
  }

  #hear(socket: WebSocket, message: Message): void {
    switch (message.type) {
      case 'welcome':
        this.#welcome(socket, message)
        return
      case 'error':
        this.#problem = toldByGateway(message)
        if (!message.retryable) this.#fail(this.#problem)
        return
      case 'gateways':
        this.#route.learn(message.urls)
        if (message.leave === true) this.#goElsewhere(socket)
        return
      case 'pong':
        return
      default:
        if (this.#state.kind === 'open') this.#handler.onMessage(message)
    }
  }

  #welcome(socket: WebSocket, welcome: MessageOf<'welcome'>): void {
    if (this.#state.kind !== 'connecting') return
    const since = performance.now()
    const timer = setInterval(() => this.#look(socket), linkLimits.ping)
    this.#enter({ kind: 'open', socket, since, timer })
    this.#wasWelcome = true
    this.#lostAt = undefined
    this.#handler.onWelcome(welcome)
  }

  #look(socket: WebSocket): void {
    const now = performance.now()
    if (this.#isPaused) return
    if (now - this.#heardAt > linkLimits.silence) {
      socket.terminate()
      this.#lose(socket)
    } else this.send({ type: 'ping', sent: now })
  }

  /** The gateway is about to stop. */
  #goElsewhere(socket: WebSocket): void {
    this.#route.settle()
    this.#route.moveOn(performance.now())
    this.#leave(socket)
    this.#connect()
  }

  #leave(socket: WebSocket): State {
    const left = this.#enter({ kind: 'closed' })
    this.#isPaused = false
    socket.resume()
    socket.terminate()
    this.#handler.onLeft?.()
    return left
  }

  /** A socket is over; the next one comes after the back-off. */
  #lose(socket: WebSocket): void {
    if (!this.#holds(socket)) return
    const now = performance.now()
    const left = this.#leave(socket)
    const lasted = left.kind === 'open' ? now - left.since : 0
    const lost = `The connection to ${this.#route.current} is lost`
    const problem = this.#problem ?? new FramelogError('GATEWAY_UNREACHABLE', lost)
    this.#lostAt ??= now
    const isNew = !this.#wasWelcome && problem.code.startsWith('GATEWAY_')
    if (isNew || now - this.#lostAt > linkLimits.away) {
      this.#fail(problem)
      return
    }
    if (lasted > linkLimits.settled) this.#route.settle()
    this.#route.lost(now)
    const wait = this.#route.moveOn(now)
    this.#enter({ kind: 'waiting', timer: setTimeout(() => this.#connect(), wait) })
    this.#handler.onLost(problem)
  }

  #fail(problem: FramelogError): void {
    void this.close()
    this.#handler.onFailed(problem)
  }

  #holds(socket: WebSocket): boolean {
    return 'socket' in this.#state && this.#state.socket === socket
  }

  #enter(state: State): State {
    const left = this.#state
    if ('timer' in left) clearTimeout(left.timer)
    this.#state = state
    return left
  }
}
