/**
 * Opens one socket to whichever gateway of a route answers first: another try is made beside those that take long, as a
 * network that was cut may be back at any moment, and nobody else repeats a lost request to connect for seconds.
 */
import type { Route } from '../../core/route.ts'
import { subprotocol } from '../../wire/message.ts'

export const dialLimits = {
  /** Milliseconds until another try is made beside those under way: soon after a loss, and otherwise. */
  eager: 600,
  patient: 4000,
  /** Tries that are under way at a time; the oldest gives way. */
  tries: 5,
} as const

export class Dial {
  readonly #route: Route
  readonly #path: string
  readonly #onOpen: (socket: WebSocket) => void
  readonly #tries = new Set<WebSocket>()
  #timer = 0

  /**
   * @param path of the socket, on whichever gateway
   * @param wait milliseconds before the first try
   * @param onOpen called once; the socket is the receiver's from then on
   */
  constructor(route: Route, path: string, wait: number, onOpen: (socket: WebSocket) => void) {
    this.#route = route
    this.#path = path
    this.#onOpen = onOpen
    this.#timer = setTimeout(() => this.#try(), wait)
  }

  /** The network is back. */
  hurry(): void {
    if (this.#tries.size === 0) this.#try()
  }

  close(): void {
    clearTimeout(this.#timer)
    for (const socket of this.#tries) abandon(socket)
    this.#tries.clear()
  }

  #try(): void {
    clearTimeout(this.#timer)
    const url = new URL(this.#path, this.#route.current)
    url.protocol = url.protocol === 'https:' ? 'wss:' : 'ws:'
    const socket = new WebSocket(url, subprotocol)
    socket.binaryType = 'arraybuffer'
    socket.onopen = () => {
      this.#tries.delete(socket)
      this.close()
      this.#onOpen(socket)
    }
    socket.onclose = () => this.#failed(socket)
    this.#tries.add(socket)
    const wait = this.#route.isEager(performance.now()) ? dialLimits.eager : dialLimits.patient
    this.#timer = setTimeout(() => this.#tryBeside(), wait)
  }

  #tryBeside(): void {
    this.#route.moveOn(performance.now())
    const [oldest] = this.#tries
    if (oldest !== undefined && this.#tries.size >= dialLimits.tries) {
      this.#tries.delete(oldest)
      abandon(oldest)
    }
    this.#try()
  }

  #failed(socket: WebSocket): void {
    if (!this.#tries.delete(socket) || this.#tries.size > 0) return
    clearTimeout(this.#timer)
    this.#timer = setTimeout(() => this.#try(), this.#route.moveOn(performance.now()))
  }
}

function abandon(socket: WebSocket): void {
  socket.onopen = null
  socket.onclose = null
  socket.close()
}
