/**
 * Publishers that send as a camera does and viewers that keep only what a check needs, for runs of many minutes. Both go on
 * by themselves as pages do: a publisher keeps what is not acknowledged, comes back under its session, and sends it again.
 */
import { EventEmitter, once } from 'node:events'
import { WebSocket } from 'ws'
import {
  decodeMessage,
  encodeMessage,
  type Message,
  protocolVersion,
  subprotocol,
} from '../../src/wire/message.ts'
import { testCatalog, testFrame } from './clients.ts'

const reconnectAfter = 100

abstract class SteadyClient extends EventEmitter {
  protected socket: WebSocket | undefined
  /** What ended its connections, in order. */
  readonly closes: string[] = []
  #stopped = false

  protected abstract readonly url: string
  protected abstract onOpen(): void
  protected abstract onMessage(message: Message): void

  start(): void {
    if (this.#stopped) return
    const socket = new WebSocket(this.url, subprotocol, { perMessageDeflate: false })
    socket.binaryType = 'nodebuffer'
    socket.on('open', () => this.onOpen())
    socket.on('message', (data: Buffer) => {
      const message = decodeMessage(data)
      if (message.type === 'bundle') for (const part of message.parts) this.onMessage(decodeMessage(part))
      else this.onMessage(message)
      this.emit('change')
    })
    socket.on('error', () => {})
    socket.on('close', (code, reason) => {
      this.closes.push(`${code} ${reason}`)
      setTimeout(() => this.start(), reconnectAfter)
    })
    this.socket = socket
  }

  stop(): void {
    this.#stopped = true
    this.socket?.terminate()
  }

  protected send(message: Parameters<typeof encodeMessage>[0]): void {
    if (this.socket?.readyState === WebSocket.OPEN) this.socket.send(encodeMessage(message))
  }

  /** Waits for a change after which `isTrue` holds. */
  async until(isTrue: () => boolean): Promise<void> {
    while (!isTrue()) await once(this, 'change')
  }
}

/** Numbers that will not come, both included, and why. */
export interface Missing {
  readonly from: number
  readonly to: number
  readonly reason: string
}

/** Those that follow each other for the same reason are one. */
export function joined(all: readonly Missing[]): Missing[] {
  const result: Missing[] = []
  for (const each of all) {
    const last = result.at(-1)
    if (last !== undefined && last.to + 1 === each.from && last.reason === each.reason)
      result[result.length - 1] = { ...last, to: each.to }
    else result.push(each)
  }
  return result
}

export class SteadyPublisher extends SteadyClient {
  protected readonly url: string
  readonly id: string
  session = ''
  /** The highest number that was acknowledged. */
  acknowledged = -1
  /** Number of the next frame. */
  next = 0
  /** What it was told will never be in the log. */
  readonly dropped: Missing[] = []
  /** The longest time from one acknowledgement to the next, milliseconds. */
  longestWait = 0
  #acknowledgedAt = performance.now()
  readonly #bytes: number
  #sent = 0
  #isOpen = false

  constructor(base: string, id: string, bytes = 6000) {
    super()
    this.url = `${base}/api/v1/broadcasts/${id}/publish`
    this.id = id
    this.#bytes = bytes
  }

  /** A frame was captured. */
  frame(): void {
    this.next += 1
    this.#send()
  }

  protected onOpen(): void {
    this.#isOpen = false
    const session = this.session === '' ? {} : { session: this.session }
    this.send({
      type: 'hello',
      role: 'publish',
      version: protocolVersion,
      resume: `token-of-${this.id}`,
      ...session,
    })
  }

  protected onMessage(message: Message): void {
    const { from, to, reason } = message.type === 'gap' ? message : {}
    if (from !== undefined && to !== undefined && reason !== undefined)
      this.dropped.push({ from, to, reason })
    if (message.type === 'ack') {
      const now = performance.now()
      this.longestWait = Math.max(this.longestWait, now - this.#acknowledgedAt)
      this.#acknowledgedAt = now
      this.acknowledged = Math.max(this.acknowledged, message.sequence)
    } else if (message.type === 'welcome' && message.role === 'publish') {
      this.session = message.session
      this.#sent = message.next
      this.#isOpen = true
      this.send({ type: 'catalog', catalog: testCatalog })
      this.#send()
    }
  }

  #send(): void {
    if (!this.#isOpen) return
    for (; this.#sent < this.next; this.#sent++)
      this.send({ type: 'frame', frame: testFrame(this.#sent, { bytes: this.#bytes }) })
  }
}

export class SteadyViewer extends SteadyClient {
  protected readonly url: string
  /** The numbers of all frames, in the order in which they came. */
  readonly sequences: number[] = []
  /** What it was told is missing. */
  readonly gaps: Missing[] = []
  /** The longest time without a frame since the last `mark`, milliseconds. */
  longestSilence = 0
  #lastAt = performance.now()

  constructor(base: string, id: string) {
    super()
    this.url = `${base}/api/v1/broadcasts/${id}/watch`
  }

  mark(): void {
    this.longestSilence = 0
    this.#lastAt = performance.now()
  }

  get latest(): number {
    return this.sequences.at(-1) ?? -1
  }

  protected onOpen(): void {
    this.send({ type: 'hello', role: 'watch', version: protocolVersion, from: 'live' })
  }

  protected onMessage(message: Message): void {
    if (message.type === 'gap') {
      const { frames, reason } = message
      this.gaps.push({ from: this.latest + 1, to: this.latest + frames, reason })
    }
    if (message.type !== 'frame') return
    const now = performance.now()
    this.longestSilence = Math.max(this.longestSilence, now - this.#lastAt)
    this.#lastAt = now
    this.sequences.push(message.frame.sequence)
  }
}
