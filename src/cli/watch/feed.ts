/**
 * What a broadcast gives its viewer, in order and once, over as many connections as it takes. Whoever reads it sets
 * the pace: what is not taken waits here within limits, then in the gateway, then in the log.
 *   connecting → open → waiting → connecting → … → closed
 */
import { WebSocket } from 'ws'
import { BoundedQueue } from '../../core/queue.ts'
import { Route } from '../../core/route.ts'
import { type ErrorCode, errorKinds, FramelogError, toFramelogError } from '../../errors.ts'
import type { Catalog } from '../../media/catalog.ts'
import type { NumberedFrame } from '../../media/frame.ts'
import type { BroadcastId, Micros, Millis } from '../../units.ts'
import {
  type BroadcastState,
  decodeBundle,
  decodeMessage,
  encodeMessage,
  isBundle,
  type KnownMessage,
  type Message,
  type MessageOf,
  messageLimits,
  protocolVersion,
  subprotocol,
} from '../../wire/message.ts'
import { unreachable } from '../unreachable.ts'
import { Resume } from './resume.ts'

export const feedLimits = {
  /** What waits here: past it the connection is over, which it is long after it was asked to pause. */
  items: 100_000,
  bytes: 64 * 1024 * 1024,
  /** Bytes and items at which the connection pauses; at half of them it goes on. */
  pauseItems: 4000,
  pauseBytes: 4 * 1024 * 1024,
  /** Milliseconds from a new socket to the gateway's welcome. */
  welcome: 15_000,
  /** Milliseconds between two pings, and without a word from the gateway until the connection counts as lost. */
  ping: 2000,
  silence: 10_000,
  /** Milliseconds that a connection must have lasted for the back-off to begin anew. */
  settled: 5000,
  /** Milliseconds without a gateway until it is given up. */
  away: 10 * 60_000,
  /** Milliseconds between two reports of the position, and media time at which one goes at once, microseconds. */
  position: 200,
  positionStep: 1_000_000,
  /** Milliseconds without a frame after which a broadcast that has ended counts as told to its end. */
  tail: 15_000,
} as const

export type FeedState = 'connecting' | 'reconnecting' | BroadcastState

/** Frames that will not come. */
interface Gap {
  readonly kind: 'gap'
  readonly frames: number
}

export type FeedItem =
  | { readonly kind: 'catalog'; readonly session: string; readonly catalog: Catalog }
  | {
      readonly kind: 'frame'
      readonly session: string
      readonly frame: NumberedFrame
      /** Of its record: the gateway's wall clock. */
      readonly time: Millis | undefined
    }
  | Gap

export interface FeedOptions {
  /** The gateway's address, http or https. */
  readonly url: URL
  readonly id: BroadcastId
  /** `live`, `start`, `-30s`, an ISO 8601 time, or `@` and an offset. */
  readonly from: string
  readonly onState: (state: FeedState, reason?: string) => void
}

type Connection =
  | { readonly kind: 'connecting'; readonly socket: WebSocket; readonly timer: NodeJS.Timeout }
  | {
      readonly kind: 'open'
      readonly socket: WebSocket
      readonly since: number
      readonly timer: NodeJS.Timeout
    }
  | { readonly kind: 'waiting'; readonly timer: NodeJS.Timeout }
  | { readonly kind: 'closed' }

export class Feed {
  readonly #options: FeedOptions
  readonly #resume = new Resume()
  /** That the offsets are of, where the gateway says so. */
  #topic: { readonly topic?: string } = {}
  readonly #queue = new BoundedQueue<FeedItem>(feedLimits, item =>
    item.kind === 'frame' ? item.frame.data.byteLength + 128 : 1024,
  )
  #connection: Connection = { kind: 'closed' }
  #state: FeedState = 'connecting'
  readonly #route: Route
  /** When the last connection was lost; undefined before the first was there. */
  #lostAt: number | undefined
  #welcomed = false
  #problem: FramelogError | undefined
  #heardAt = 0
  #frameAt = 0
  #pingedAt = 0
  #paused = false
  /** Whether the gateway may have passed over frames because of a pause here, and after which one they were asked for. */
  #hasPaused = false
  #askedAgain: number | undefined
  /** Of the frames that come, and the one that its frames are still to be told by. */
  #session = 'unnamed'
  #untold: Catalog | undefined
  /** Before the next frame, or the end. */
  #gap: Gap | undefined
  /** The gateway has said that no frame follows; and, on this connection, that the broadcast is over. */
  #ended = false
  #toldEnded = false
  #error: FramelogError | undefined
  #wake: (() => void) | undefined
  #taken: { readonly session: string; timestamp: Micros } | undefined
  #reported: number | undefined

  constructor(options: FeedOptions) {
    this.#options = options
    this.#route = new Route(options.url.origin, Math.random)
  }

  get state(): FeedState {
    return this.#state
  }

  open(): void {
    if (this.#connection.kind === 'closed') this.#connect()
  }

  /** Nothing more is asked for; what came is still given. Idempotent. */
  close(error?: FramelogError): void {
    this.#error ??= error
    const left = this.#enter({ kind: 'closed' })
    if ('socket' in left) {
      left.socket.resume()
      left.socket.close(1000)
      const cut = setTimeout(() => left.socket.terminate(), 1000)
      left.socket.once('close', () => clearTimeout(cut))
    }
    this.#wake?.()
  }

  /**
   * The next item; undefined after the last one.
   * @throws FramelogError after the last one, where that is not how it should have ended
   */
  async next(): Promise<FeedItem | undefined> {
    for (;;) {
      const item = this.#queue.shift()
      if (item !== undefined) {
        this.#relieve()
        return item
      }
      if (this.#connection.kind === 'closed') {
        if (this.#error !== undefined) throw this.#error
        return undefined
      }
      await new Promise<void>(resolve => {
        this.#wake = resolve
      })
      this.#wake = undefined
    }
  }

  /** A frame is written: a replay may send what comes that much later. */
  took(session: string, timestamp: Micros): void {
    if (this.#taken?.session !== session) {
      this.#taken = { session, timestamp }
      this.#reported = undefined
    } else if (timestamp > this.#taken.timestamp) this.#taken.timestamp = timestamp
    if (this.#taken.timestamp - (this.#reported ?? Number.NEGATIVE_INFINITY) >= feedLimits.positionStep)
      this.#report()
  }

  #report(): void {
    const taken = this.#taken
    if (taken === undefined || taken.timestamp === this.#reported || this.#connection.kind !== 'open') return
    this.#reported = taken.timestamp
    this.#send({ type: 'position', ...taken })
  }

  #connect(): void {
    const origin = this.#route.current
    const address = new URL(`/api/v1/broadcasts/${this.#options.id}/watch`, origin)
    address.protocol = address.protocol === 'https:' ? 'wss:' : 'ws:'
    const socket = new WebSocket(address, subprotocol, {
      perMessageDeflate: false,
      maxPayload: messageLimits.frame,
      handshakeTimeout: feedLimits.welcome,
    })
    socket.binaryType = 'nodebuffer'
    const timer = setTimeout(() => this.#lose(socket), feedLimits.welcome)
    this.#enter({ kind: 'connecting', socket, timer })
    this.#problem = undefined
    socket.on('open', () => {
      const { from } = this.#resume
      const place = from === undefined ? { from: this.#options.from } : { from, ...this.#topic }
      socket.send(encodeMessage({ type: 'hello', role: 'watch', version: protocolVersion, ...place }))
    })
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
      this.close(toFramelogError(error))
    }
  }

  #hear(socket: WebSocket, message: Message): void {
    switch (message.type) {
      case 'welcome':
        if (message.role === 'watch') this.#welcome(socket, message.state)
        return
      case 'error':
        this.#problem = problemOf(message)
        if (!message.retryable) this.close(this.#problem)
        return
      case 'catalog':
        this.#session = message.session ?? 'unnamed'
        this.#untold = message.catalog
        this.#ended = false
        return
      case 'frame':
        this.#frame(message)
        return
      case 'gap':
        if (!this.#askAgain(socket))
          this.#gap = { kind: 'gap', frames: message.frames + (this.#gap?.frames ?? 0) }
        return
      case 'state':
        this.#setState(message.state, message.reason)
        this.#toldEnded = message.state === 'ended'
        this.#checkOver()
        return
      case 'place':
        this.#topic = message.topic === undefined ? {} : { topic: message.topic }
        return
      case 'gateways':
        this.#route.learn(message.urls)
        if (message.leave === true) this.#goElsewhere(socket)
        return
      case 'end':
        if (this.#askAgain(socket)) return
        this.#ended = true
        this.#checkOver()
        return
      default:
    }
  }

  #welcome(socket: WebSocket, state: BroadcastState): void {
    if (this.#connection.kind !== 'connecting') return
    const now = performance.now()
    const timer = setInterval(() => this.#tick(socket), feedLimits.position)
    this.#enter({ kind: 'open', socket, since: now, timer })
    this.#welcomed = true
    this.#lostAt = undefined
    this.#heardAt = this.#frameAt = now
    this.#hasPaused = this.#paused = false
    this.#ended = this.#toldEnded = false
    this.#reported = undefined
    this.#report()
    this.#setState(state)
  }

  #frame({ frame, relayed }: MessageOf<'frame'>): void {
    this.#frameAt = this.#heardAt
    this.#ended = false
    const session = this.#session
    // Their numbers tell, where they have a beginning: not all that is missing has somebody who says so.
    const frames = this.#resume.missing(session, frame.sequence) ?? this.#gap?.frames ?? 0
    this.#gap = undefined
    if (!this.#resume.accept(session, frame.sequence, relayed?.offset)) return
    if (frames > 0) this.#push({ kind: 'gap', frames })
    if (this.#untold !== undefined) this.#push({ kind: 'catalog', session, catalog: this.#untold })
    this.#untold = undefined
    this.#push({ kind: 'frame', session, frame, time: relayed?.time })
  }

  /**
   * A gateway passes over frames that this side was too slow for, and ends without a word about the last of them. The
   * log has them still: they are asked for, once.
   */
  #askAgain(socket: WebSocket): boolean {
    const { offset } = this.#resume
    if (!this.#hasPaused || offset === undefined || this.#askedAgain === offset) return false
    this.#askedAgain = offset
    this.#leave(socket)
    this.#connect()
    return true
  }

  /** The gateway is about to stop. */
  #goElsewhere(socket: WebSocket): void {
    this.#route.settle()
    this.#route.moveOn(performance.now())
    this.#leave(socket)
    this.#connect()
  }

  #push(item: FeedItem): void {
    if (!this.#queue.push(item)) {
      const { items, bytes } = feedLimits
      throw new FramelogError(
        'MESSAGE_TOO_LARGE',
        `The gateway sent over ${items} frames or ${bytes} bytes unasked`,
      )
    }
    if (this.#queue.length > feedLimits.pauseItems || this.#queue.bytes > feedLimits.pauseBytes) {
      this.#hasPaused = this.#paused = true
      if ('socket' in this.#connection) this.#connection.socket.pause()
    }
    this.#wake?.()
  }

  /** There is room again. */
  #relieve(): void {
    if (!this.#paused) return
    if (this.#queue.length > feedLimits.pauseItems / 2 || this.#queue.bytes > feedLimits.pauseBytes / 2)
      return
    this.#paused = false
    this.#heardAt = performance.now()
    if ('socket' in this.#connection) this.#connection.socket.resume()
  }

  /** No frame follows, and none will: in a recording of several sessions one end is not the last. */
  #checkOver(): void {
    if (!this.#ended || !this.#toldEnded) return
    if (this.#gap !== undefined) this.#push(this.#gap)
    this.close()
  }

  #tick(socket: WebSocket): void {
    if (this.#connection.kind !== 'open' || this.#connection.socket !== socket) return
    const now = performance.now()
    this.#report()
    if (this.#paused) return
    if (now - this.#heardAt > feedLimits.silence) {
      socket.terminate()
      this.#lose(socket)
    } else if (this.#ended && this.#state === 'ended' && now - this.#frameAt > feedLimits.tail) this.close()
    else if (now - this.#pingedAt > feedLimits.ping) {
      this.#pingedAt = now
      this.#send({ type: 'ping', sent: now })
    }
  }

  #send(message: KnownMessage): void {
    if (this.#connection.kind === 'open' && this.#connection.socket.readyState === WebSocket.OPEN)
      this.#connection.socket.send(encodeMessage(message))
  }

  /** A socket is over; the next one comes after the back-off. */
  #lose(socket: WebSocket): void {
    if (!this.#holds(socket)) return
    const now = performance.now()
    const left = this.#leave(socket)
    const lasted = left.kind === 'open' ? now - left.since : 0
    const problem =
      this.#problem ??
      new FramelogError('GATEWAY_UNREACHABLE', `The connection to ${this.#route.current} is lost`)
    this.#lostAt ??= now
    const isNew = !this.#welcomed && problem.code.startsWith('GATEWAY_')
    if (isNew || now - this.#lostAt > feedLimits.away) {
      this.close(problem)
      return
    }
    if (lasted > feedLimits.settled) this.#route.settle()
    this.#route.lost(now)
    const wait = this.#route.moveOn(now)
    this.#enter({ kind: 'waiting', timer: setTimeout(() => this.#connect(), wait) })
    this.#setState('reconnecting', problem.message)
  }

  #leave(socket: WebSocket): Connection {
    const left = this.#enter({ kind: 'closed' })
    socket.resume()
    socket.terminate()
    this.#untold = undefined
    this.#gap = undefined
    return left
  }

  #holds(socket: WebSocket): boolean {
    return 'socket' in this.#connection && this.#connection.socket === socket
  }

  #enter(connection: Connection): Connection {
    const left = this.#connection
    if ('timer' in left) clearTimeout(left.timer)
    this.#connection = connection
    return left
  }

  #setState(state: FeedState, reason?: string): void {
    if (this.#state === state) return
    this.#state = state
    this.#options.onState(state, reason)
  }
}

function problemOf({ code, message }: MessageOf<'error'>): FramelogError {
  if (Object.hasOwn(errorKinds, code)) return new FramelogError(code as ErrorCode, message)
  return new FramelogError('GATEWAY_UNREACHABLE', `${message} (${code})`)
}
