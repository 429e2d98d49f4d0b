/**
 * Connections to brokers, one for each address and role: a broker answers the requests of a connection in order,
 * so a long poll would hold up whatever stands behind it.
 */
import type { FramelogError } from '../../errors.ts'
import { Link } from './link.ts'
import type { Address, NewConnectionOptions } from './options.ts'

/**
 * Milliseconds that a request of the role may take, waiting in the broker included. Short where frames wait: a
 * connection that hangs shows by nothing else.
 */
const requestTimeouts = {
  produce: 5000,
  live: 3000,
  idle: 3000,
  fresh: 3000,
  replay: 10_000,
  lookup: 5000,
  trim: 8000,
} as const
export type Role = keyof typeof requestTimeouts

const warnEvery = 30_000

export class Connections {
  readonly #options: NewConnectionOptions
  readonly #clientId: string
  readonly #links = new Map<string, Link>()
  readonly #closing = new AbortController()
  readonly #onWarning: (line: string) => void
  /** When a broker's trouble may be told again, by its address; milliseconds of performance.now(). */
  readonly #quietUntil = new Map<string, number>()

  /** @param onWarning told of every broker that cannot be reached, once in a while */
  constructor(options: NewConnectionOptions, clientId: string, onWarning: (line: string) => void) {
    this.#options = options
    this.#clientId = clientId
    this.#onWarning = onWarning
  }

  /** Aborted once the log is closed. */
  get signal(): AbortSignal {
    return this.#closing.signal
  }

  link(address: Address, role: Role): Link {
    const key = `${role} ${address.key}`
    let link = this.#links.get(key)
    if (link === undefined) {
      link = new Link({
        address,
        clientId: this.#clientId,
        requestTimeout: requestTimeouts[role],
        connection: this.#options,
        signal: this.#closing.signal,
        onFailure: error => this.#warn(address, error),
        onTimeout: () => this.#suspect(address),
      })
      this.#links.set(key, link)
    }
    return link
  }

  /** Cuts what is open to an address: what waits for an answer from there fails at once. */
  drop(address: Address): void {
    for (const [key, link] of this.#links) {
      if (link.address.key !== address.key) continue
      link.close()
      this.#links.delete(key)
    }
  }

  /** A request had no answer in time: what else is open to that address may hang too, and is replaced where that is free. */
  #suspect(address: Address): void {
    for (const link of this.#links.values()) if (link.address.key === address.key && link.isIdle) link.drop()
  }

  #warn({ key }: Address, error: FramelogError): void {
    const now = performance.now()
    if (now < (this.#quietUntil.get(key) ?? 0) || this.signal.aborted) return
    this.#quietUntil.set(key, now + warnEvery)
    this.#onWarning(`${error.toLine()} Trying again until it works.`)
  }

  close(): void {
    this.#closing.abort()
    for (const link of this.#links.values()) link.close()
    this.#links.clear()
  }
}
