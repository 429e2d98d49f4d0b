/**
 * A page's connection to its gateway, for as long as it is wanted: opens sockets, says hello, tells what comes,
 * and opens the next one when one is lost. Whatever a socket still says after it was left is not heard.
 *   connecting → open → waiting → connecting → … → closed
 */

import { backOff } from '../../core/back-off.ts'
import { FramelogError } from '../../errors.ts'
import {
  decodeBundle,
  decodeMessage,
  encodeMessage,
  isBundle,
  type KnownMessage,
  type Message,
  type MessageOf,
  subprotocol,
} from '../../wire/message.ts'
import { ClockOffset } from './clock-offset.ts'

export const linkLimits = {
  /** Milliseconds from a new socket to the gateway's welcome. */
  welcome: 15_000,
  /** Milliseconds between two pings, and how many come quickly at first. */
  ping: 2000,
  firstPing: 100,
  firstPings: 4,
  /** Milliseconds without an answer to a ping after which the connection counts as lost. */
  silence: 8000,
  /** Milliseconds that a connection must have lasted for the back-off to begin anew. */
  settled: 5000,
  /** Messages that are heard in one turn of the page. */
  atOnce: 12,
} as const

/** What the gateway, or the link itself, gives as the reason of an end. */
export interface Problem {
  readonly code: string
  readonly message: string
  readonly advice: string
  readonly retryable: boolean
}

export interface LinkHandler {
  /** Asked anew for every socket. */
  hello(): MessageOf<'hello'>
  /** @param openedAt when the socket opened, on the clock of `performance.now()` */
  onWelcome(welcome: MessageOf<'welcome'>, openedAt: number): void
  onMessage(message: Exclude<Message, { type: 'welcome' | 'ping' | 'pong' | 'error' }>): void
  /** The connection is gone; the next try comes by itself. */
  onLost(problem: Problem | undefined): void
  /** The connection is gone for good: trying again cannot help. */
  onFailed(problem: Problem): void
}

type State =
  | { readonly kind: 'connecting'; readonly socket: WebSocket; readonly timer: number }
  | { readonly kind: 'open'; readonly socket: WebSocket; readonly since: number; readonly timer: number }
  | { readonly kind: 'waiting'; readonly timer: number }
  | { readonly kind: 'closed' }

/** The page's wall clock, milliseconds, monotonic for as long as the page lives. */
export const pageClock = (): number => performance.timeOrigin + performance.now()

export class Link {
  readonly clock = new ClockOffset()
  readonly #url: string
  readonly #handler: LinkHandler
  #state: State = { kind: 'closed' }
  #attempt = 0
  #pings = 0
  #unanswered: number | undefined
  #problem: Problem | undefined
  /** Messages that came and were not heard yet; the gateway bounds a joining viewer's GOP. */
  readonly #backlog: { readonly socket: WebSocket; readonly part: Uint8Array; readonly openedAt: number }[] =
    []
  readonly #turns = new MessageChannel()
  readonly #onOnline = (): void => {
    if (this.#state.kind === 'waiting') this.#connect()
  }

  constructor(url: string, handler: LinkHandler) {
    this.#url = url
    this.#handler = handler
    this.#turns.port1.onmessage = () => this.#hearSome()
  }

  get isOpen(): boolean {
    return this.#state.kind === 'open'
  }

  /** Bytes given to the socket and not yet to the network. */
  get buffered(): number {
    return this.#state.kind === 'open' ? this.#state.socket.bufferedAmount : 0
  }

  /** The gateway's wall clock, milliseconds, at a moment on the clock of `performance.now()`. */
  gatewayTime(at: number): number {
    return performance.timeOrigin + at + this.clock.offset
  }

  open(): void {
    if (this.#state.kind !== 'closed') return
    addEventListener('online', this.#onOnline)
    this.#connect()
  }

  /** @returns false where there is no connection; the message is then not sent */
  send(message: KnownMessage): boolean {
    if (this.#state.kind !== 'open' || this.#state.socket.readyState !== WebSocket.OPEN) return false
    this.#state.socket.send(encodeMessage(message) as Uint8Array<ArrayBuffer>)
    return true
  }

  /** Leaves the socket for a new one, at once; what the old one still says is not heard. */
  reconnect(): void {
    if (this.#state.kind === 'closed') return
    const left = this.#state
    this.#connect()
    if ('socket' in left) left.socket.close(1000)
  }

  /** Idempotent. What was sent before still leaves. */
  close(): void {
    removeEventListener('online', this.#onOnline)
    const left = this.#enter({ kind: 'closed' })
    if ('socket' in left) left.socket.close(1000)
    this.#turns.port1.close()
  }

  #connect(): void {
    const socket = new WebSocket(this.#url, subprotocol)
    socket.binaryType = 'arraybuffer'
    const timer = setTimeout(() => this.#lose(socket), linkLimits.welcome)
    this.#enter({ kind: 'connecting', socket, timer })
    this.#problem = undefined
    let openedAt = performance.now()
    socket.onopen = () => {
      openedAt = performance.now()
      if (this.#holds(socket)) socket.send(encodeMessage(this.#handler.hello()) as Uint8Array<ArrayBuffer>)
    }
    socket.onmessage = event => {
      if (this.#holds(socket)) this.#receive(socket, event.data, openedAt)
    }
    socket.onclose = () => this.#lose(socket)
  }

  #receive(socket: WebSocket, data: unknown, openedAt: number): void {
    let parts: readonly Uint8Array[]
    try {
      if (!(data instanceof ArrayBuffer)) throw new FramelogError('BAD_MESSAGE', 'A text message')
      const bytes = new Uint8Array(data)
      parts = isBundle(bytes) ? decodeBundle(bytes).parts : [bytes]
    } catch (error) {
      this.#fail(toProblem(error))
      return
    }
    const isFirst = this.#backlog.length === 0
    for (const part of parts) this.#backlog.push({ socket, part, openedAt })
    if (isFirst) this.#hearSome()
  }

  /**
   * Hears a few messages and gives the page a turn before the next few: a joining viewer's GOP comes in one piece,
   * and its first picture must not wait for all of it. Not by a timer, which a hidden page is given once a second.
   */
  #hearSome(): void {
    const some = this.#backlog.splice(0, linkLimits.atOnce)
    try {
      for (const { socket, part, openedAt } of some) {
        if (this.#holds(socket)) this.#hearPart(socket, part, openedAt)
      }
    } finally {
      if (this.#backlog.length > 0) this.#turns.port2.postMessage(undefined)
    }
  }

  #hearPart(socket: WebSocket, part: Uint8Array, openedAt: number): void {
    let message: Message
    try {
      message = decodeMessage(part)
    } catch (error) {
      this.#fail(toProblem(error))
      return
    }
    this.#hear(socket, message, openedAt)
  }

  #hear(socket: WebSocket, message: Message, openedAt: number): void {
    switch (message.type) {
      case 'welcome':
        if (this.#state.kind === 'connecting') this.#welcome(socket, message, openedAt)
        return
      case 'pong':
        this.#unanswered = undefined
        this.clock.add(message.sent, pageClock(), message.time)
        return
      case 'error':
        this.#problem = message
        if (!message.retryable) this.#fail(message)
        return
      case 'ping':
        return
      default:
        if (this.#state.kind === 'open') this.#handler.onMessage(message)
    }
  }

  #welcome(socket: WebSocket, welcome: MessageOf<'welcome'>, openedAt: number): void {
    this.#pings = 0
    this.#unanswered = undefined
    this.#enter({ kind: 'open', socket, since: performance.now(), timer: 0 })
    this.#ping(socket)
    this.#handler.onWelcome(welcome, openedAt)
  }

  #ping(socket: WebSocket): void {
    if (this.#state.kind !== 'open' || this.#state.socket !== socket) return
    const now = pageClock()
    if (this.#unanswered !== undefined && now - this.#unanswered > linkLimits.silence) {
      this.#lose(socket)
      return
    }
    this.#unanswered ??= now
    this.send({ type: 'ping', sent: now })
    this.#pings += 1
    const wait = this.#pings < linkLimits.firstPings ? linkLimits.firstPing : linkLimits.ping
    const timer = setTimeout(() => this.#ping(socket), wait)
    this.#state = { ...this.#state, timer }
  }

  /** A socket is over; the next one comes after the back-off. */
  #lose(socket: WebSocket): void {
    if (!this.#holds(socket)) return
    const left = this.#state
    const lasted = left.kind === 'open' ? performance.now() - left.since : 0
    this.#attempt = lasted > linkLimits.settled ? 0 : this.#attempt + 1
    const wait = backOff(Math.max(0, this.#attempt - 1), Math.random())
    this.#enter({ kind: 'waiting', timer: setTimeout(() => this.#connect(), wait) })
    socket.close()
    this.#handler.onLost(this.#problem)
  }

  #fail(problem: Problem): void {
    this.close()
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

function toProblem(error: unknown): Problem {
  if (error instanceof FramelogError) return error
  return { code: 'INTERNAL', message: String(error), advice: '', retryable: false }
}
