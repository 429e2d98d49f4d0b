/**
 * What a broadcast gives its viewer, in order and once, over as many connections as it takes. Whoever reads it sets
 * the pace: what is not taken waits here within limits, then in the gateway, then in the log.
 *   connecting → open → waiting → connecting → … → closed
 */
import { BoundedQueue } from '../../core/queue.ts'
import { FramelogError } from '../../errors.ts'
import type { Catalog } from '../../media/catalog.ts'
import type { NumberedFrame } from '../../media/frame.ts'
import type { BroadcastId, Micros, Millis } from '../../units.ts'
import { type BroadcastState, type Message, type MessageOf, protocolVersion } from '../../wire/message.ts'
import { Link } from '../link.ts'
import { Resume } from './resume.ts'

export const feedLimits = {
  /** What waits here: past it the connection is over, which it is long after it was asked to pause. */
  items: 100_000,
  bytes: 64 * 1024 * 1024,
  /** Bytes and items at which the connection pauses; at half of them it goes on. */
  pauseItems: 4000,
  pauseBytes: 4 * 1024 * 1024,
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

export class Feed {
  readonly #options: FeedOptions
  readonly #resume = new Resume()
  /** That the offsets are of, where the gateway says so. */
  #topic: { readonly topic?: string } = {}
  readonly #queue = new BoundedQueue<FeedItem>(feedLimits, item =>
    item.kind === 'frame' ? item.frame.data.byteLength + 128 : 1024,
  )
  readonly #link: Link
  #state: FeedState = 'connecting'
  #isOpen = false
  /** Looks at where things are, while there is a connection. */
  #ticks: NodeJS.Timeout | undefined
  #frameAt = 0
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
    this.#link = new Link(options.url, options.id, 'watch', {
      hello: () => this.#hello(),
      onWelcome: welcome => this.#welcome(welcome),
      onMessage: message => this.#hear(message),
      onLeft: () => this.#left(),
      onLost: problem => this.#setState('reconnecting', problem.message),
      onFailed: problem => this.close(problem),
    })
  }

  get state(): FeedState {
    return this.#state
  }

  open(): void {
    this.#isOpen = true
    this.#link.open()
  }

  /** Nothing more is asked for; what came is still given. Idempotent. */
  close(error?: FramelogError): void {
    this.#error ??= error
    this.#isOpen = false
    clearInterval(this.#ticks)
    void this.#link.close()
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
      if (!this.#isOpen) {
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
    if (taken === undefined || taken.timestamp === this.#reported) return
    if (this.#link.send({ type: 'position', ...taken })) this.#reported = taken.timestamp
  }

  #hello(): MessageOf<'hello'> {
    const { from } = this.#resume
    const place = from === undefined ? { from: this.#options.from } : { from, ...this.#topic }
    return { type: 'hello', role: 'watch', version: protocolVersion, ...place }
  }

  #hear(message: Message): void {
    switch (message.type) {
      case 'catalog':
        this.#session = message.session ?? 'unnamed'
        this.#untold = message.catalog
        this.#ended = false
        return
      case 'frame':
        this.#frame(message)
        return
      case 'gap':
        if (!this.#askAgain()) this.#gap = { kind: 'gap', frames: message.frames + (this.#gap?.frames ?? 0) }
        return
      case 'state':
        this.#setState(message.state, message.reason)
        this.#toldEnded = message.state === 'ended'
        this.#checkOver()
        return
      case 'place':
        this.#topic = message.topic === undefined ? {} : { topic: message.topic }
        return
      case 'end':
        if (this.#askAgain()) return
        this.#ended = true
        this.#checkOver()
        return
      default:
    }
  }

  #welcome(welcome: MessageOf<'welcome'>): void {
    if (welcome.role !== 'watch') return
    clearInterval(this.#ticks)
    this.#ticks = setInterval(() => this.#tick(), feedLimits.position)
    this.#frameAt = performance.now()
    this.#hasPaused = this.#paused = false
    this.#ended = this.#toldEnded = false
    this.#reported = undefined
    this.#report()
    this.#setState(welcome.state)
  }

  #left(): void {
    clearInterval(this.#ticks)
    this.#untold = undefined
    this.#gap = undefined
  }

  #frame({ frame, relayed }: MessageOf<'frame'>): void {
    this.#frameAt = performance.now()
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
  #askAgain(): boolean {
    const { offset } = this.#resume
    if (!this.#hasPaused || offset === undefined || this.#askedAgain === offset) return false
    this.#askedAgain = offset
    this.#link.reconnect()
    return true
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
      this.#link.pause()
    }
    this.#wake?.()
  }

  /** There is room again. */
  #relieve(): void {
    if (!this.#paused) return
    if (this.#queue.length > feedLimits.pauseItems / 2 || this.#queue.bytes > feedLimits.pauseBytes / 2)
      return
    this.#paused = false
    this.#link.resume()
  }

  /** No frame follows, and none will: in a recording of several sessions one end is not the last. */
  #checkOver(): void {
    if (!this.#ended || !this.#toldEnded) return
    if (this.#gap !== undefined) this.#push(this.#gap)
    this.close()
  }

  #tick(): void {
    this.#report()
    if (this.#paused) return
    const isSilent = performance.now() - this.#frameAt > feedLimits.tail
    if (this.#ended && this.#state === 'ended' && isSilent) this.close()
  }

  #setState(state: FeedState, reason?: string): void {
    if (this.#state === state) return
    this.#state = state
    this.#options.onState(state, reason)
  }
}
