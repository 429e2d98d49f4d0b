/** A virtual viewer: takes a broadcast as it comes, or slowly, and counts what it gets and what it does not. */
import {
  type Delivery,
  decodeBundle,
  decodeMessage,
  isBundle,
  type KnownMessage,
  type Message,
  type MessageOf,
  protocolVersion,
} from '../../wire/message.ts'
import { Client } from './client.ts'
import { record, type Tally } from './tally.ts'
import type { Target } from './target.ts'

export interface ViewerOptions {
  readonly target: Target
  readonly id: string
  readonly tally: Tally
  /** Bytes a second that it takes at most. */
  readonly rate?: number | undefined
  /** What it asks of the gateway. */
  readonly delivery?: Delivery | undefined
}

export class VirtualViewer extends Client {
  readonly #tally: Tally
  readonly #rate: number | undefined
  readonly #delivery: Delivery | undefined
  #connectedAt = performance.now()
  #hasJoined = false
  /** The number of the next frame, once one has come; and how many the gateway says are left out before it. */
  #next: number | undefined
  #told = 0
  #session: string | undefined
  /** Until when it takes nothing, of performance.now(). */
  #pausedUntil = 0
  #timer: NodeJS.Timeout | undefined

  constructor({ target, id, tally, rate, delivery }: ViewerOptions) {
    super(target, target.socketUrl(id, 'watch'))
    this.#tally = tally
    this.#rate = rate
    this.#delivery = delivery
  }

  /** Whether it has got a frame. */
  get hasJoined(): boolean {
    return this.#hasJoined
  }

  override connect(): void {
    this.#connectedAt = performance.now()
    this.#next = undefined
    this.#told = 0
    super.connect()
  }

  override async stop(): Promise<void> {
    clearTimeout(this.#timer)
    await super.stop()
  }

  protected hello(): KnownMessage {
    const delivery = this.#delivery === undefined ? {} : { delivery: this.#delivery }
    return { type: 'hello', role: 'watch', version: protocolVersion, from: 'live', ...delivery }
  }

  protected onWelcome(): void {}

  protected override onBytes(bytes: Uint8Array): boolean {
    if (this.#rate !== undefined) this.#slowDown(bytes.byteLength, this.#rate)
    if (!isBundle(bytes)) return false
    for (const part of decodeBundle(bytes).parts) this.#take(decodeMessage(part))
    return true
  }

  protected onMessage(message: Message): void {
    this.#take(message)
  }

  protected onLost(reason: string): void {
    this.#tally.ended('viewer', reason)
  }

  #take(message: Message): void {
    if (message.type === 'frame') this.#frame(message)
    else if (message.type === 'gap') this.#told += message.frames
    else if (message.type === 'catalog' && message.session !== this.#session) {
      this.#session = message.session
      this.#next = undefined
    }
  }

  #frame({ frame }: MessageOf<'frame'>): void {
    const tally = this.#tally
    if (!this.#hasJoined) {
      this.#hasJoined = true
      tally.joined += 1
      record(tally.joins, (performance.now() - this.#connectedAt) * 1000)
    }
    const missing = Math.max(0, frame.sequence - (this.#next ?? frame.sequence))
    const isTold = this.#told > 0
    this.#told = 0
    this.#next = frame.sequence + 1
    if (!tally.isCounting) return
    if (!isTold) tally.lost += missing
    else tally.skipped[this.#rate === undefined ? 'quick' : 'slow'] += missing
    tally.delivered += 1
    tally.deliveredBytes += frame.data.byteLength
    if (this.#rate !== undefined || frame.capturedAt === undefined) return
    const lag = this.target.now() - frame.capturedAt
    // What was captured before it came tells how old the GOP was that it began with.
    if (lag < performance.now() - this.#connectedAt) tally.arrived(frame.hops, lag * 1000)
  }

  /** Takes nothing more until that much was due. */
  #slowDown(bytes: number, rate: number): void {
    const now = performance.now()
    this.#pausedUntil = Math.max(now, this.#pausedUntil) + (bytes / rate) * 1000
    this.anySocket?.pause()
    clearTimeout(this.#timer)
    this.#timer = setTimeout(() => this.anySocket?.resume(), this.#pausedUntil - now)
  }
}
