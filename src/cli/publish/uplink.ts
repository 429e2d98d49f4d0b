/**
 * The way of a command's frames to the log: numbers them, keeps them until they are acknowledged, and goes on after a lost
 * connection where the gateway says. Whoever offers frames waits while too many are on their way.
 */
import { randomBytes } from 'node:crypto'
import { FramelogError } from '../../errors.ts'
import { type Catalog, mainTrack } from '../../media/catalog.ts'
import type { Frame, NumberedFrame } from '../../media/frame.ts'
import type { BroadcastId } from '../../units.ts'
import { type Message, type MessageOf, protocolVersion } from '../../wire/message.ts'
import { Unacknowledged } from '../../wire/unacknowledged.ts'
import { Link } from '../link.ts'

export const uplinkLimits = {
  /** Frames that are not acknowledged, and their bytes, from which on nothing more is taken. */
  unacknowledged: { items: 2048, bytes: 16 * 1024 * 1024 },
  /** Bytes in the socket past which frames wait here. */
  buffered: 1024 * 1024,
  /** Milliseconds until a full socket is looked at again. */
  retry: 10,
  /** Milliseconds that a stop waits for the last acknowledgement. */
  finish: 30_000,
} as const

export type UplinkState = 'connecting' | 'live' | 'stalled' | 'reconnecting'

export interface UplinkOptions {
  readonly url: URL
  readonly id: BroadcastId
  /** Whether its source waits: of one that does not the oldest GOPs go where too much is kept. */
  readonly waits: boolean
  readonly onState: (state: UplinkState, reason?: string) => void
}

interface DescribedFrame extends NumberedFrame {
  /** The one that was told before it. */
  readonly catalog: Catalog
}

export class Uplink {
  readonly #options: UplinkOptions
  readonly #link: Link
  readonly #resume = randomBytes(16).toString('hex')
  readonly #kept = new Unacknowledged<DescribedFrame>(opensGop)
  #catalog: Catalog | undefined
  #told: Catalog | undefined
  #session: string | undefined
  /** Undefined until the first welcome. */
  #next: number | undefined
  #state: UplinkState = 'connecting'
  #acknowledged = 0
  #acknowledgedBytes = 0
  #dropped = 0
  #error: FramelogError | undefined
  #isStopped = false
  #wake: (() => void) | undefined
  #retry: NodeJS.Timeout | undefined

  constructor(options: UplinkOptions) {
    this.#options = options
    this.#link = new Link(options.url, options.id, 'publish', {
      hello: () => this.#hello(),
      onWelcome: welcome => this.#welcome(welcome),
      onMessage: message => this.#receive(message),
      onLost: problem => this.#setState('reconnecting', problem.message),
      onFailed: problem => {
        this.#error ??= problem
        this.#wake?.()
      },
    })
  }

  get state(): UplinkState {
    return this.#state
  }

  /** Frames and bytes that the log has, and frames that were lost. */
  get figures(): { frames: number; bytes: number; dropped: number; waiting: number } {
    return {
      frames: this.#acknowledged,
      bytes: this.#acknowledgedBytes,
      dropped: this.#dropped,
      waiting: this.#kept.length,
    }
  }

  open(): void {
    this.#link.open()
  }

  /** The tracks of the frames to come. */
  describe(catalog: Catalog): void {
    this.#catalog = catalog
  }

  /**
   * Takes a frame, and resolves when the next may come.
   * @param frame owned by this from here on. The catalog must have been told
   * @throws FramelogError why the broadcast cannot go on
   */
  async offer(frame: Frame): Promise<void> {
    await this.#until(() => this.#next !== undefined || this.#isStopped)
    if (this.#isStopped) return
    const catalog = this.#catalog
    if (catalog === undefined || this.#next === undefined) throw new Error('a frame before its catalog')
    const { dropped } = this.#kept.add({ ...frame, sequence: this.#next++, catalog })
    this.#dropped += dropped
    this.#pump()
    await this.#until(() => this.#isRoomy || this.#isStopped)
  }

  /** Waits until all is in the log, and ends the broadcast. @throws FramelogError LOG_OVERLOADED where that takes too long, and why it cannot go on */
  async finish(reason: string): Promise<void> {
    const late = `${this.#kept.length} frames were not taken within ${uplinkLimits.finish / 1000} s`
    const timer = setTimeout(() => {
      this.#error ??= new FramelogError('LOG_OVERLOADED', late)
      this.#wake?.()
    }, uplinkLimits.finish)
    try {
      if (this.#next !== undefined) await this.#until(() => this.#kept.length === 0)
      this.#link.send({ type: 'end', reason })
    } finally {
      clearTimeout(timer)
      await this.close()
    }
  }

  /** Nobody waits for room any more: what was taken is still on its way. */
  stop(): void {
    this.#isStopped = true
    this.#wake?.()
  }

  async close(): Promise<void> {
    clearTimeout(this.#retry)
    await this.#link.close()
  }

  get #isRoomy(): boolean {
    const { items, bytes } = uplinkLimits.unacknowledged
    return !this.#options.waits || (this.#kept.length < items && this.#kept.bytes < bytes)
  }

  #hello(): MessageOf<'hello'> {
    const session = this.#session === undefined ? {} : { session: this.#session }
    return { type: 'hello', role: 'publish', version: protocolVersion, resume: this.#resume, ...session }
  }

  #welcome(welcome: MessageOf<'welcome'>): void {
    if (welcome.role !== 'publish') return
    this.#told = undefined
    if (welcome.session === this.#session) {
      this.#acknowledge(welcome.next - 1)
      this.#next = Math.max(this.#next ?? 0, welcome.next)
      this.#dropped += this.#kept.rewind(welcome.next)
    } else {
      // Numbers of another session mean nothing in this one.
      this.#session = welcome.session
      this.#dropped += this.#kept.clear()
      this.#next = welcome.next
    }
    this.#setState('live')
    this.#pump()
    this.#wake?.()
  }

  #receive(message: Message): void {
    if (message.type === 'ack') this.#acknowledge(message.sequence)
    else if (message.type === 'stall') this.#setState(message.stalled ? 'stalled' : 'live')
    else if (message.type === 'gap' && message.from !== undefined && message.to !== undefined)
      this.#dropped += this.#kept.giveUp(message.from, message.to).lost
    else return
    this.#pump()
    this.#wake?.()
  }

  #acknowledge(sequence: number): void {
    const safe = this.#kept.acknowledge(sequence)
    this.#acknowledged += safe.length
    this.#acknowledgedBytes += safe.reduce((sum, { data }) => sum + data.byteLength, 0)
  }

  #pump(): void {
    clearTimeout(this.#retry)
    while (this.#link.buffered < uplinkLimits.buffered) {
      const frame = this.#state === 'live' || this.#state === 'stalled' ? this.#kept.take() : undefined
      if (frame === undefined || !this.#give(frame)) return
    }
    this.#retry = setTimeout(() => this.#pump(), uplinkLimits.retry)
  }

  /** @returns false where there is no connection: what it was comes again with the next */
  #give({ catalog, ...frame }: DescribedFrame): boolean {
    if (catalog !== this.#told && !this.#link.send({ type: 'catalog', catalog })) return false
    this.#told = catalog
    return this.#link.send({ type: 'frame', frame })
  }

  #setState(state: UplinkState, reason?: string): void {
    if (this.#state === state) return
    this.#state = state
    this.#options.onState(state, reason)
  }

  async #until(isSo: () => boolean): Promise<void> {
    for (;;) {
      if (this.#error !== undefined) throw this.#error
      if (isSo()) return
      await new Promise<void>(resolve => {
        this.#wake = resolve
      })
      this.#wake = undefined
    }
  }
}

const opensGop = ({ keyframe, track, catalog }: DescribedFrame): boolean =>
  keyframe && track === mainTrack(catalog)?.name
