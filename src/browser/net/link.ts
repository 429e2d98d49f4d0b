/**
 * A page's connection to a gateway, for as long as it is wanted: opens sockets, says hello, tells what comes, and opens
 * the next one when one is lost, on another gateway where there is one. Whatever a socket still says after it was left
 * is not heard.
 *   dialing → greeting → open → dialing → … → closed
 * A gateway that is about to stop says so: the next socket is opened before its own is left.
 */

import { Route } from '../../core/route.ts'
import { FramelogError } from '../../errors.ts'
import { ClockOffset } from '../../wire/clock-offset.ts'
import {
  decodeBundle,
  decodeMessage,
  encodeMessage,
  isBundle,
  type KnownMessage,
  type Message,
  type MessageOf,
} from '../../wire/message.ts'
import { Dial } from './dial.ts'

export const linkLimits = {
  /** Milliseconds from hello to the gateway's welcome: as long as its log may take. */
  welcome: 15_000,
  /** Milliseconds between two pings, and how many come quickly at first. */
  ping: 1000,
  firstPing: 100,
  firstPings: 4,
  /** Milliseconds after which a viewer that hears frames all the time pings, for its clock alone; and how recent the last one is then. */
  align: 5000,
  recent: 500,
  /**
   * Milliseconds without a word after which the connection counts as lost. It doubles with each such loss of a connection
   * that has just begun, up to the most: where a single large frame takes that long, connecting anew would never get it
   * through.
   */
  silence: 3000,
  mostSilence: 12_000,
  /** Milliseconds that a page that was not given a turn has to hear what came meanwhile. */
  turn: 250,
  /** Milliseconds that a connection must have lasted to count as good. */
  settled: 5000,
  /** Milliseconds over which pages leave a gateway that is about to stop. */
  leave: 500,
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
  onMessage(message: Exclude<Message, { type: 'welcome' | 'ping' | 'pong' | 'error' | 'gateways' }>): void
  /** The connection is gone; the next try comes by itself. */
  onLost(problem: Problem | undefined): void
  /** The connection is gone for good: trying again cannot help. */
  onFailed(problem: Problem): void
}

/** What a link hands on. */
export type LinkMessage = Parameters<LinkHandler['onMessage']>[0]

type State =
  | { readonly kind: 'dialing' }
  | {
      readonly kind: 'greeting'
      readonly socket: WebSocket
      readonly openedAt: number
      readonly timer: number
    }
  | { readonly kind: 'open'; readonly socket: WebSocket; readonly since: number }
  | { readonly kind: 'closed' }

/** The page's wall clock, milliseconds, monotonic for as long as the page lives. */
export const pageClock = (): number => performance.timeOrigin + performance.now()

export class Link {
  readonly clock = new ClockOffset()
  readonly #route: Route
  readonly #path: string
  readonly #handler: LinkHandler
  #state: State = { kind: 'closed' }
  /** Where the next socket is looked for: there is none, or its gateway is about to stop. */
  #dial: Dial | undefined
  #leaving = 0
  #pinging = 0
  #pings = 0
  #pingedAt = 0
  #isViewer = false
  /** When the newest message came, and the first ping, or the hello, that was sent since. */
  #heardAt = Number.NEGATIVE_INFINITY
  #askedAt = 0
  /** Connections one after the other that were lost by silence. */
  #silences = 0
  #problem: Problem | undefined
  #isLostTold = false
  /** Messages that came and were not heard yet; the gateway bounds a joining viewer's GOP. */
  readonly #backlog: { readonly socket: WebSocket; readonly part: Uint8Array }[] = []
  readonly #turns = new MessageChannel()
  readonly #onOnline = (): void => {
    this.#dial?.hurry()
  }

  /** @param url of the page's own gateway. @param path of the socket, the same on all gateways */
  constructor(url: URL, path: string, handler: LinkHandler) {
    this.#route = new Route(url.origin, Math.random)
    this.#path = path
    this.#handler = handler
    this.#turns.port1.onmessage = () => this.#hearSome()
  }

  /** Of the gateway that it is connected to, or tries. */
  get origin(): string {
    return this.#route.current
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
    this.#state = { kind: 'dialing' }
    this.#look(0)
  }

  /** @returns false where there is no connection; the message is then not sent */
  send(message: KnownMessage): boolean {
    if (this.#state.kind !== 'open' || this.#state.socket.readyState !== WebSocket.OPEN) return false
    give(this.#state.socket, message)
    return true
  }

  /** Leaves the socket for a new one, at once, where it has said hello; what the old one still says is not heard. */
  reconnect(): void {
    if (!('socket' in this.#state)) return
    this.#enter({ kind: 'dialing' })
    this.#look(0)
  }

  /** Idempotent. What was sent before still leaves. */
  close(): void {
    removeEventListener('online', this.#onOnline)
    this.#stopLooking()
    this.#enter({ kind: 'closed' })
    this.#turns.port1.close()
  }

  /** Looks for a gateway. @param wait milliseconds before it does */
  #look(wait: number): void {
    this.#stopLooking()
    const { roundTrip } = this.clock
    this.#dial = new Dial(
      this.#route,
      this.#path,
      { wait, roundTrip },
      {
        onOpen: socket => this.#greet(socket),
        onTrouble: () => this.#tellLost(undefined),
      },
    )
  }

  #stopLooking(): void {
    clearTimeout(this.#leaving)
    this.#dial?.close()
    this.#dial = undefined
  }

  /** A socket is open: the one before it is left. */
  #greet(socket: WebSocket): void {
    const openedAt = performance.now()
    this.#stopLooking()
    const timer = setTimeout(() => this.#lose(socket), linkLimits.welcome)
    this.#enter({ kind: 'greeting', socket, openedAt, timer })
    this.#problem = undefined
    this.#isLostTold = false
    this.#askedAt = openedAt
    this.#heardAt = Number.NEGATIVE_INFINITY
    this.#pings = 0
    socket.onmessage = event => {
      if (this.#holds(socket)) this.#receive(socket, event.data)
    }
    socket.onclose = () => this.#lose(socket)
    const hello = this.#handler.hello()
    this.#isViewer = hello.role === 'watch'
    give(socket, hello)
    this.#ping(socket)
  }

  #receive(socket: WebSocket, data: unknown): void {
    this.#heardAt = performance.now()
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
    for (const part of parts) this.#backlog.push({ socket, part })
    if (isFirst) this.#hearSome()
  }

  /**
   * Hears a few messages and gives the page a turn before the next few: a joining viewer's GOP comes in one piece,
   * and its first picture must not wait for all of it. Not by a timer, which a hidden page is given once a second.
   */
  #hearSome(): void {
    const some = this.#backlog.splice(0, linkLimits.atOnce)
    try {
      for (const { socket, part } of some) {
        if (this.#holds(socket)) this.#hearPart(part)
      }
    } finally {
      if (this.#backlog.length > 0) this.#turns.port2.postMessage(undefined)
    }
  }

  #hearPart(part: Uint8Array): void {
    let message: Message
    try {
      message = decodeMessage(part)
    } catch (error) {
      this.#fail(toProblem(error))
      return
    }
    this.#hear(message)
  }

  #hear(message: Message): void {
    switch (message.type) {
      case 'welcome':
        if (this.#state.kind === 'greeting') this.#welcome(this.#state, message)
        return
      case 'gateways':
        this.#route.learn(message.urls)
        if (message.leave === true) this.#leave()
        return
      case 'pong':
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

  #welcome({ socket, openedAt }: State & { kind: 'greeting' }, welcome: MessageOf<'welcome'>): void {
    this.#enter({ kind: 'open', socket, since: performance.now() })
    this.#handler.onWelcome(welcome, openedAt)
  }

  #ping(socket: WebSocket): void {
    if (!this.#holds(socket)) return
    if (this.#isSilent) {
      // A page that was not given a turn for long hears now what came meanwhile.
      this.#pinging = setTimeout(() => {
        if (!this.#isSilent) this.#ping(socket)
        else this.#lose(socket, true)
      }, linkLimits.turn)
      return
    }
    if (this.#hears) {
      this.#pinging = setTimeout(() => this.#ping(socket), linkLimits.recent)
      return
    }
    if (this.#askedAt <= this.#heardAt) this.#askedAt = performance.now()
    give(socket, { type: 'ping', sent: pageClock() })
    this.#pingedAt = performance.now()
    this.#pings += 1
    const wait = this.#pings <= linkLimits.firstPings ? linkLimits.firstPing : linkLimits.ping
    this.#pinging = setTimeout(() => this.#ping(socket), wait)
  }

  /** What comes says that the connection is there. A ping costs the gateway a read and a write, as a frame does. */
  get #hears(): boolean {
    const { firstPings, align, recent } = linkLimits
    if (!this.#isViewer || this.#pings <= firstPings) return false
    const now = performance.now()
    return now - this.#heardAt < recent && now - this.#pingedAt < align
  }

  get #isSilent(): boolean {
    const { silence, mostSilence } = linkLimits
    const isSettled =
      this.#state.kind === 'open' && performance.now() - this.#state.since > linkLimits.settled
    const limit = isSettled ? silence : Math.min(mostSilence, silence * 2 ** this.#silences)
    return this.#askedAt > this.#heardAt && performance.now() - this.#askedAt > limit
  }

  /** The gateway is about to stop. */
  #leave(): void {
    if (this.#dial !== undefined || this.#state.kind !== 'open') return
    clearTimeout(this.#leaving)
    this.#leaving = setTimeout(() => {
      this.#route.settle()
      this.#route.moveOn(performance.now())
      this.#look(0)
    }, Math.random() * linkLimits.leave)
  }

  /** A socket is over; the next one comes. */
  #lose(socket: WebSocket, isSilent = false): void {
    if (!this.#holds(socket)) return
    const now = performance.now()
    const lasted = this.#state.kind === 'open' ? now - this.#state.since : 0
    if (lasted > linkLimits.settled) {
      this.#route.settle()
      this.#silences = isSilent ? 1 : 0
    } else if (isSilent) this.#silences += 1
    this.#enter({ kind: 'dialing' })
    this.#route.lost(now)
    if (this.#dial === undefined) this.#look(this.#route.moveOn(now))
    this.#tellLost(this.#problem)
  }

  /** Once for each connection; of the first one that comes to nothing too. */
  #tellLost(problem: Problem | undefined): void {
    if (this.#isLostTold || this.#state.kind !== 'dialing') return
    this.#isLostTold = true
    this.#handler.onLost(problem)
  }

  #fail(problem: Problem): void {
    this.close()
    this.#handler.onFailed(problem)
  }

  #holds(socket: WebSocket): boolean {
    return 'socket' in this.#state && this.#state.socket === socket
  }

  /** What the state before had is given up, but for a socket that goes on. */
  #enter(state: State): void {
    const left = this.#state
    this.#state = state
    if ('timer' in left) clearTimeout(left.timer)
    if (!('socket' in left) || ('socket' in state && state.socket === left.socket)) return
    clearTimeout(this.#pinging)
    left.socket.close(1000)
  }
}

function give(socket: WebSocket, message: KnownMessage): void {
  socket.send(encodeMessage(message) as Uint8Array<ArrayBuffer>)
}

function toProblem(error: unknown): Problem {
  if (error instanceof FramelogError) return error
  return { code: 'INTERNAL', message: String(error), advice: '', retryable: false }
}
