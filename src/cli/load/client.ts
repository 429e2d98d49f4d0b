/** A connection of a virtual client that comes back until it is stopped: what publishers and viewers share. */
import { WebSocket } from 'ws'
import { backOff } from '../../core/back-off.ts'
import {
  decodeMessage,
  encodeMessage,
  type KnownMessage,
  type Message,
  messageLimits,
  subprotocol,
} from '../../wire/message.ts'
import { sentNow, type Target } from './target.ts'

export const clientLimits = {
  /** Milliseconds from a new socket to the gateway's welcome. */
  welcome: 15_000,
  /** Milliseconds that a connection must have lasted for the back-off to begin anew. */
  settled: 5000,
  /** Milliseconds that the other side has to answer a close. */
  close: 2000,
} as const

type State =
  | { readonly kind: 'idle' }
  | { readonly kind: 'connected'; readonly socket: WebSocket; readonly since: number; isWelcome: boolean }
  | { readonly kind: 'waiting'; readonly timer: NodeJS.Timeout }
  | { readonly kind: 'stopped' }

export abstract class Client {
  protected readonly target: Target
  readonly #url: URL
  #state: State = { kind: 'idle' }
  #attempt = 0

  constructor(target: Target, url: URL) {
    this.target = target
    this.#url = url
  }

  protected abstract hello(): KnownMessage
  /** Of every type but welcome, pong and error. */
  protected abstract onMessage(message: Message): void
  protected abstract onWelcome(message: Extract<Message, { type: 'welcome' }>): void
  /** The connection is gone, and was not to be. */
  protected abstract onLost(reason: string): void
  /** @returns whether the message is dealt with, without being decoded */
  protected onBytes(_bytes: Uint8Array): boolean {
    return false
  }

  /** Whether it has been welcomed and may send. */
  protected get socket(): WebSocket | undefined {
    return this.#state.kind === 'connected' && this.#state.isWelcome ? this.#state.socket : undefined
  }

  /** The connection there is, welcomed or not. */
  protected get anySocket(): WebSocket | undefined {
    return this.#state.kind === 'connected' ? this.#state.socket : undefined
  }

  connect(): void {
    if (this.#state.kind !== 'idle' && this.#state.kind !== 'waiting') return
    const socket = new WebSocket(this.#url, subprotocol, {
      perMessageDeflate: false,
      maxPayload: messageLimits.frame,
      handshakeTimeout: clientLimits.welcome,
    })
    socket.binaryType = 'nodebuffer'
    const state: State = { kind: 'connected', socket, since: performance.now(), isWelcome: false }
    this.#state = state
    let problem: string | undefined
    const patience = setTimeout(() => {
      problem = 'no welcome'
      socket.terminate()
    }, clientLimits.welcome)
    socket.on('open', () => {
      socket.send(encodeMessage(this.hello()))
      socket.send(encodeMessage({ type: 'ping', sent: sentNow() }))
    })
    socket.on('message', (data: Buffer) => {
      if (this.#state !== state || this.onBytes(data)) return
      let message: Message
      try {
        message = decodeMessage(data)
      } catch (error) {
        problem = String(error)
        socket.terminate()
        return
      }
      if (message.type === 'pong') this.target.pong(message.sent, message.time)
      else if (message.type === 'error') problem = message.code
      else if (message.type === 'welcome') {
        clearTimeout(patience)
        state.isWelcome = true
        this.onWelcome(message)
      } else this.onMessage(message)
    })
    socket.on('error', error => {
      problem ??= (error as { code?: string }).code ?? error.message
    })
    socket.on('close', code => {
      clearTimeout(patience)
      if (this.#state !== state) return
      if (performance.now() - state.since > clientLimits.settled) this.#attempt = 0
      const timer = setTimeout(() => this.connect(), backOff(this.#attempt++, Math.random()))
      this.#state = { kind: 'waiting', timer }
      this.onLost(problem ?? `closed with ${code}`)
    })
  }

  protected send(message: KnownMessage): void {
    this.socket?.send(encodeMessage(message))
  }

  ping(): void {
    this.send({ type: 'ping', sent: sentNow() })
  }

  /** @returns once the connection is closed, or has not been answered in time. Idempotent. */
  async stop(): Promise<void> {
    const state = this.#state
    this.#state = { kind: 'stopped' }
    if (state.kind === 'waiting') clearTimeout(state.timer)
    if (state.kind !== 'connected') return
    const { socket } = state
    await new Promise<void>(resolve => {
      const cut = setTimeout(() => socket.terminate(), clientLimits.close)
      socket.once('close', () => {
        clearTimeout(cut)
        resolve()
      })
      socket.resume()
      socket.close(1000)
    })
  }
}
