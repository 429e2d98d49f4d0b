/**
 * The way of encoded frames to the log: numbers them, keeps them until they are acknowledged, and goes on after a
 * lost connection where the gateway says.
 */
import { type Catalog, mainTrack } from '../../media/catalog.ts'
import type { Frame, NumberedFrame } from '../../media/frame.ts'
import { addHops } from '../../media/hops.ts'
import type { TimedData } from '../../media/timed-data.ts'
import { type Message, type MessageOf, protocolVersion } from '../../wire/message.ts'
import { Unacknowledged } from '../../wire/unacknowledged.ts'
import { Link, type Problem } from '../net/link.ts'

export const uplinkLimits = {
  /** Bytes in the socket past which frames wait here: a socket's own queue can neither be bounded nor dropped. */
  buffered: 512 * 1024,
  /** Milliseconds until a full socket is looked at again. */
  retry: 20,
  /** Milliseconds that a stop waits for the last acknowledgement. */
  finish: 5000,
} as const

export interface UplinkHandler {
  /** The gateway has begun a new session: media time and catalog begin anew. */
  onSession(): void
  /** Frames are acknowledged on this connection. */
  onLive(): void
  /** The gateway holds frames back: the log does not answer. What is kept here waits too. */
  onStalled(): void
  /**
   * Frames are in the log.
   * @param bytes of the pictures among them. @param age of the newest, milliseconds since it was offered
   */
  onAcknowledged(bytes: number, age: number): void
  onLost(problem: Problem | undefined): void
  onFailed(problem: Problem): void
  /** What was kept had to go: the encoder should begin a new GOP. */
  onKeyframeWanted(): void
  /** The gateway or its log takes no frames so large: the encoder should begin a new GOP with smaller ones. */
  onTooLarge(): void
}

export interface UplinkOptions {
  readonly page: URL
  /** Of the socket, on any gateway. */
  readonly path: string
  readonly resume: string
  readonly token: string | undefined
}

interface DescribedFrame extends NumberedFrame {
  /** The one that was told before it: kept with it, as another one may hold when it is sent again. */
  readonly catalog: Catalog | undefined
  /** When it was captured, on the clock of `performance.now()`. */
  readonly at: number
  /** When it was offered, on the same clock. */
  readonly offeredAt: number
  readonly isPicture: boolean
}

export class Uplink {
  readonly link: Link
  readonly #options: UplinkOptions
  readonly #handler: UplinkHandler
  readonly #kept = new Unacknowledged<DescribedFrame>(opensGop)
  /** Of the frames to come. */
  #catalog: Catalog | undefined
  /** What this connection was told last. */
  #told: Catalog | undefined
  #session: string | undefined
  #next = 0
  #acknowledged = -1
  #maxFrameBytes = Number.POSITIVE_INFINITY
  /** Undefined where the gateway takes no data. */
  #maxDataBytes: number | undefined
  #sent = 0
  #dropped = 0
  #isStalled = false
  #openedAt: number | undefined
  #retry: number | undefined
  #onAcknowledged = (): void => {}

  constructor(options: UplinkOptions, handler: UplinkHandler) {
    this.#options = options
    this.#handler = handler
    this.link = new Link(options.page, options.path, {
      hello: () => this.#hello(),
      onWelcome: (welcome, openedAt) => this.#welcome(welcome, openedAt),
      onMessage: message => this.#receive(message),
      onLost: problem => handler.onLost(problem),
      onFailed: problem => handler.onFailed(problem),
    })
  }

  get figures(): {
    sent: number
    acknowledged: number
    dropped: number
    unacknowledged: number
    openedAt?: number
  } {
    return {
      sent: this.#sent,
      acknowledged: this.#acknowledged,
      dropped: this.#dropped,
      unacknowledged: this.#kept.length,
      ...(this.#openedAt === undefined ? {} : { openedAt: this.#openedAt }),
    }
  }

  open(): void {
    this.link.open()
  }

  /** The tracks of the frames to come. */
  describe(catalog: Catalog): void {
    this.#catalog = catalog
  }

  /**
   * Takes a frame that an encoder gave. The catalog must have been told.
   * @param at when it was captured, on the clock of `performance.now()`
   */
  offer(frame: Frame, at: number): void {
    const described = {
      ...frame,
      sequence: this.#next,
      catalog: this.#catalog,
      at,
      offeredAt: performance.now(),
      isPicture: this.#catalog?.tracks.find(({ name }) => name === frame.track)?.kind === 'video',
    }
    if (frame.data.byteLength > this.#maxFrameBytes) {
      this.#dropped += 1
      this.#next += 1
      const isNew = this.#kept.cutOff()
      // A keyframe that is still too large asks for smaller ones again.
      if (isNew || opensGop(described)) this.#handler.onTooLarge()
      return
    }
    const { dropped, needsKeyframe } = this.#kept.add(described)
    this.#next += 1
    this.#dropped += dropped
    if (needsKeyframe) this.#handler.onKeyframeWanted()
    this.#pump()
  }

  /** Sends data beside the frames, or not: where frames wait, they go first, and nobody keeps it. */
  write(record: TimedData): void {
    const most = this.#maxDataBytes
    const waits = this.#isStalled || this.link.buffered > uplinkLimits.buffered / 2
    if (most === undefined || record.data.byteLength > most || waits) return
    this.link.send({ type: 'data', record })
  }

  /** Waits until everything is in the log, a while at most, and ends the broadcast. */
  async finish(reason: string): Promise<void> {
    if (this.link.isOpen && this.#kept.length > 0) {
      await new Promise<void>(resolve => {
        const timer = setTimeout(resolve, uplinkLimits.finish)
        this.#onAcknowledged = () => {
          if (this.#kept.length > 0) return
          clearTimeout(timer)
          resolve()
        }
      })
    }
    this.abandon(reason)
  }

  /** Gives the socket all that is left, at once, and leaves it. */
  abandon(reason: string): void {
    clearTimeout(this.#retry)
    for (let frame = this.#kept.take(); frame !== undefined; frame = this.#kept.take()) {
      if (!this.#give(frame)) break
    }
    this.link.send({ type: 'end', reason })
    this.link.close()
  }

  #hello(): MessageOf<'hello'> {
    const { resume, token } = this.#options
    return {
      type: 'hello',
      role: 'publish',
      version: protocolVersion,
      resume,
      ...(token === undefined ? {} : { token }),
      ...(this.#session === undefined ? {} : { session: this.#session }),
    }
  }

  #welcome(welcome: MessageOf<'welcome'>, openedAt: number): void {
    if (welcome.role !== 'publish') return
    this.#openedAt ??= openedAt
    this.#isStalled = false
    this.#told = undefined
    this.#maxFrameBytes = welcome.maxFrameBytes
    this.#maxDataBytes = welcome.maxDataBytes
    if (welcome.session === this.#session) {
      this.#acknowledged = Math.max(this.#acknowledged, welcome.next - 1)
      this.#next = Math.max(this.#next, welcome.next)
      this.#dropped += this.#kept.rewind(welcome.next)
      this.#pump()
    } else {
      this.#session = welcome.session
      this.#dropped += this.#kept.clear()
      this.#catalog = undefined
      this.#next = welcome.next
      this.#acknowledged = welcome.next - 1
      this.#handler.onSession()
    }
  }

  #receive(message: Message): void {
    switch (message.type) {
      case 'ack':
        this.#acknowledged = Math.max(this.#acknowledged, message.sequence)
        this.#measure(this.#kept.acknowledge(message.sequence))
        if (!this.#isStalled) this.#handler.onLive()
        break
      case 'stall':
        this.#isStalled = message.stalled
        if (message.stalled) this.#handler.onStalled()
        else this.#handler.onLive()
        break
      case 'gap':
        this.#giveUp(message)
        break
      default:
        return
    }
    this.#onAcknowledged()
    this.#pump()
  }

  #measure(safe: readonly DescribedFrame[]): void {
    const newest = safe.at(-1)
    if (newest === undefined) return
    const bytes = safe.reduce((sum, { isPicture, data }) => sum + (isPicture ? data.byteLength : 0), 0)
    this.#handler.onAcknowledged(bytes, performance.now() - newest.offeredAt)
  }

  /** The gateway has dropped what it could not hold. */
  #giveUp({ from, to, tooLarge }: MessageOf<'gap'>): void {
    if (from === undefined || to === undefined) return
    const { lost, needsKeyframe } = this.#kept.giveUp(from, to)
    this.#dropped += lost
    if (!needsKeyframe) return
    if (tooLarge) this.#handler.onTooLarge()
    else this.#handler.onKeyframeWanted()
  }

  #pump(): void {
    clearTimeout(this.#retry)
    if (!this.link.isOpen || this.#catalog === undefined) return
    while (this.link.buffered < uplinkLimits.buffered) {
      const frame = this.#kept.take()
      if (frame === undefined) return
      if (!this.#give(frame)) return
    }
    this.#retry = setTimeout(() => this.#pump(), uplinkLimits.retry)
  }

  /** @returns false where there is no connection */
  #give(frame: DescribedFrame): boolean {
    const { catalog = this.#catalog } = frame
    if (catalog !== undefined && catalog !== this.#told) {
      if (!this.link.send({ type: 'catalog', catalog })) return false
      this.#told = catalog
    }
    const hops = addHops(frame.hops, { sent: (performance.now() - frame.at) * 1000 })
    if (!this.link.send({ type: 'frame', frame: { ...frame, hops } })) return false
    this.#sent += 1
    return true
  }
}

const opensGop = ({ keyframe, track, catalog }: DescribedFrame): boolean =>
  keyframe && (catalog === undefined || track === mainTrack(catalog)?.name)
