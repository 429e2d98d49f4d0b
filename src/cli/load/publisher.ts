/** A virtual publisher: sends a clip over and over, each frame when it is due, and holds back what does not get through. */
import { randomBytes } from 'node:crypto'
import type { Frame } from '../../media/frame.ts'
import { type Millis, micros } from '../../units.ts'
import { encodeMessage, type KnownMessage, type Message, protocolVersion } from '../../wire/message.ts'
import { Client } from './client.ts'
import type { Clip } from './clip.ts'
import { record, type Tally } from './tally.ts'
import type { Target } from './target.ts'

export const publisherLimits = {
  /** Bytes in the socket, and frames without an acknowledgement, from which on whole GOPs are held back. */
  buffered: 4 * 1024 * 1024,
  unacknowledged: 10_000,
  /** Milliseconds between two pings. */
  ping: 2000,
} as const

export class VirtualPublisher extends Client {
  readonly id: string
  readonly #clip: Clip
  readonly #tally: Tally
  readonly #resume = randomBytes(16).toString('hex')
  /** When the clip began for the first time, of performance.now(). */
  readonly #began: number
  readonly #sentAt = new Map<number, number>()
  #turn = 0
  #index = 0
  #sequence = 0
  #isHolding = true
  #isOnAir = false
  #timer: NodeJS.Timeout | undefined
  #pingedAt = 0

  /** @param phase 0 to 1: at what part of the clip's length from now it begins, so that publishers do not send as one */
  constructor(target: Target, id: string, clip: Clip, tally: Tally, phase: number) {
    super(target, target.socketUrl(id, 'publish'))
    this.id = id
    this.#clip = clip
    this.#tally = tally
    this.#began = performance.now() + (phase * clip.span) / 1000
  }

  /** Whether a frame of it has been acknowledged. */
  get isOnAir(): boolean {
    return this.#isOnAir
  }

  start(): void {
    this.connect()
    this.#schedule()
  }

  override async stop(): Promise<void> {
    clearTimeout(this.#timer)
    this.send({ type: 'end', reason: 'the load is over' })
    await super.stop()
  }

  protected hello(): KnownMessage {
    return { type: 'hello', role: 'publish', version: protocolVersion, resume: this.#resume }
  }

  protected onWelcome(message: Extract<Message, { type: 'welcome' }>): void {
    if (message.role !== 'publish') return
    this.#sequence = message.next
    this.#sentAt.clear()
    this.#isHolding = true
    this.send({ type: 'catalog', catalog: this.#clip.catalog })
  }

  protected onMessage(message: Message): void {
    // Frames that the gateway leaves out have numbers too: they wait for no acknowledgement.
    if (message.type === 'gap' && message.to !== undefined) this.#settle(message.to, false)
    if (message.type === 'ack') this.#settle(message.sequence, true)
  }

  protected onLost(reason: string): void {
    this.#tally.ended('publisher', reason)
  }

  #settle(sequence: number, isAcknowledged: boolean): void {
    if (isAcknowledged) this.#isOnAir = true
    const now = performance.now()
    for (const [number, at] of this.#sentAt) {
      if (number > sequence) return
      this.#sentAt.delete(number)
      if (!isAcknowledged || !this.#tally.isCounting) continue
      this.#tally.acknowledged += 1
      record(this.#tally.acks, (now - at) * 1000)
    }
  }

  /** Of the next frame, of performance.now(). */
  get #due(): number {
    return this.#began + (this.#turn * this.#clip.span + (this.#clip.due[this.#index] ?? 0)) / 1000
  }

  #schedule(): void {
    this.#timer = setTimeout(
      () => {
        const now = performance.now()
        if (now - this.#pingedAt > publisherLimits.ping) {
          this.#pingedAt = now
          this.ping()
        }
        while (this.#due <= now) {
          this.#send(this.#clip.frames[this.#index] as Frame, now)
          this.#index += 1
          if (this.#index < this.#clip.frames.length) continue
          this.#index = 0
          this.#turn += 1
        }
        this.#schedule()
      },
      Math.max(0, this.#due - performance.now()),
    )
  }

  #send(frame: Frame, now: number): void {
    const tally = this.#tally
    const { socket } = this
    const isFull =
      socket === undefined ||
      socket.bufferedAmount > publisherLimits.buffered ||
      this.#sentAt.size >= publisherLimits.unacknowledged
    // It goes on where the clip begins, with a keyframe.
    this.#isHolding = isFull || (this.#isHolding && this.#index > 0)
    if (socket === undefined || this.#isHolding) {
      if (tally.isCounting) tally.heldBack += 1
      return
    }
    const shift = this.#turn * this.#clip.span
    const wall = this.target.now()
    const capturedAt = Math.round(wall - (now - this.#due)) as Millis
    const { decodeTimestamp } = frame
    const sequence = this.#sequence++
    const sent = micros((wall - capturedAt) * 1000)
    const message = encodeMessage({
      type: 'frame',
      frame: {
        ...frame,
        sequence,
        timestamp: micros(frame.timestamp + shift),
        ...(decodeTimestamp === undefined ? {} : { decodeTimestamp: micros(decodeTimestamp + shift) }),
        capturedAt,
        hops: { encoded: sent, sent },
      },
    })
    socket.send(message)
    this.#sentAt.set(sequence, now)
    if (!tally.isCounting) return
    tally.sent += 1
    tally.sentBytes += frame.data.byteLength
  }
}
