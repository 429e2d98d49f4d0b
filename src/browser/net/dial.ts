/**
 * Opens one socket to whichever gateway of a route answers first. One that takes long is given up for another try, as a
 * network that was cut may be back at any moment, and nobody else repeats a lost request to connect for seconds; where there
 * are several gateways they are tried beside each other. To one address browsers open one socket at a time (RFC 6455
 * section 4.1), so a further one beside it would only wait.
 */
import type { Route } from '../../core/route.ts'
import { subprotocol } from '../../wire/message.ts'

export const dialLimits = {
  /** Milliseconds until another try is made: soon after a loss, but no less than so many round trips. */
  eager: 600,
  roundTrips: 6,
  /** Otherwise, and twice as long each time, up to the most. */
  patient: 4000,
  most: 16_000,
  /** Tries that are under way at a time; the oldest gives way. */
  tries: 5,
} as const

export interface DialHandler {
  /** Called once; the socket is the receiver's from then on. */
  onOpen(socket: WebSocket): void
  /** A try has failed, or takes long. */
  onTrouble(): void
}

export class Dial {
  readonly #route: Route
  readonly #path: string
  readonly #handler: DialHandler
  readonly #eager: number
  /** By the gateway that is tried. */
  readonly #tries = new Map<string, WebSocket>()
  #timer = 0
  /** Tries that took too long, but for those soon after a loss. */
  #late = 0

  /**
   * @param path of the socket, on whichever gateway
   * @param wait milliseconds before the first try
   * @param roundTrip to the gateways, milliseconds, where that is known
   */
  constructor(
    route: Route,
    path: string,
    { wait, roundTrip = 0 }: { wait: number; roundTrip?: number | undefined },
    handler: DialHandler,
  ) {
    this.#eager = Math.min(dialLimits.patient, Math.max(dialLimits.eager, dialLimits.roundTrips * roundTrip))
    this.#route = route
    this.#path = path
    this.#handler = handler
    this.#timer = setTimeout(() => this.#try(), wait)
  }

  /** The network is back. */
  hurry(): void {
    if (this.#tries.size === 0) this.#try()
  }

  close(): void {
    clearTimeout(this.#timer)
    for (const socket of this.#tries.values()) abandon(socket)
    this.#tries.clear()
  }

  #try(): void {
    clearTimeout(this.#timer)
    const origin = this.#route.current
    this.#giveUp(origin)
    const url = new URL(this.#path, origin)
    url.protocol = url.protocol === 'https:' ? 'wss:' : 'ws:'
    const socket = new WebSocket(url, subprotocol)
    socket.binaryType = 'arraybuffer'
    socket.onopen = () => {
      this.#tries.delete(origin)
      this.close()
      this.#handler.onOpen(socket)
    }
    socket.onclose = () => this.#failed(origin)
    this.#tries.set(origin, socket)
    const patient = Math.min(dialLimits.most, dialLimits.patient * 2 ** this.#late)
    const wait = this.#route.isEager(performance.now()) ? this.#eager : patient
    this.#timer = setTimeout(() => this.#tryBeside(), wait)
  }

  #tryBeside(): void {
    if (!this.#route.isEager(performance.now())) this.#late += 1
    this.#route.moveOn(performance.now())
    this.#handler.onTrouble()
    const [oldest] = this.#tries.keys()
    if (oldest !== undefined && this.#tries.size >= dialLimits.tries) this.#giveUp(oldest)
    this.#try()
  }

  #giveUp(origin: string): void {
    const socket = this.#tries.get(origin)
    this.#tries.delete(origin)
    if (socket !== undefined) abandon(socket)
  }

  #failed(origin: string): void {
    this.#tries.delete(origin)
    this.#handler.onTrouble()
    if (this.#tries.size > 0) return
    clearTimeout(this.#timer)
    this.#timer = setTimeout(() => this.#try(), this.#route.moveOn(performance.now()))
  }
}

function abandon(socket: WebSocket): void {
  socket.onopen = null
  socket.onclose = null
  socket.close()
}
