/**
 * Where a client connects next, and after how long: the gateway that it began with and those that it was told of, each
 * once, then after a back-off all of them again. No clock and no chance of its own.
 */
import { backOff } from './back-off.ts'

export const routeLimits = {
  /** Gateways that are remembered. */
  others: 16,
  /** Milliseconds before another gateway is tried, at most: so that those of one that died do not come as one. */
  spread: 50,
  /** Milliseconds after a loss in which no wait is longer than `eagerWait`: what was cut may be back at any moment. */
  eager: 10_000,
  eagerWait: 500,
} as const

export class Route {
  readonly #home: string
  readonly #random: () => number
  #others: readonly string[] = []
  #current: string
  readonly #tried = new Set<string>()
  #rounds = 0
  #lostAt: number | undefined

  /** @param home an origin, `http://…` or `https://…`. @param random 0 to 1 */
  constructor(home: string, random: () => number) {
    this.#home = home
    this.#current = home
    this.#random = random
  }

  /** The origin to connect to. */
  get current(): string {
    return this.#current
  }

  /** Other gateways, in the order in which they are to be tried. What this client cannot reach is left out. */
  learn(origins: readonly string[]): void {
    const isReachable = (origin: string): boolean =>
      /^https?:\/\/[^/?#@\s]+$/.test(origin) &&
      // A page from https opens nothing else, and another machine's own address is a stranger here.
      (this.#home.startsWith('http:') || origin.startsWith('https:')) &&
      (isLoopback(this.#home) || !isLoopback(origin))
    const told = origins.filter(isReachable).slice(0, routeLimits.others)
    // The one that told of them does not name itself.
    this.#others = told.includes(this.#current) ? told : [...told, this.#current]
  }

  /** A connection is lost: for a while it may be back at any moment. */
  lost(now: number): void {
    this.#lostAt ??= now
  }

  /**
   * There is no connection to the current one, or it is to be left.
   * @param now milliseconds of any monotonic clock
   * @returns milliseconds to wait before the next one, `current` from now on, is tried
   */
  moveOn(now: number): number {
    this.#tried.add(this.#current)
    const all = [...this.#others, this.#home]
    const next = all.find(origin => !this.#tried.has(origin))
    if (next !== undefined) {
      this.#current = next
      return this.#random() * routeLimits.spread
    }
    this.#tried.clear()
    this.#current = all.find(origin => origin !== this.#current) ?? this.#home
    const wait = backOff(this.#rounds, this.#random())
    this.#rounds += 1
    return this.isEager(now) ? Math.min(wait, routeLimits.eagerWait) : wait
  }

  /** Whether it is so soon after a loss that an answer is worth being asked for more than once. */
  isEager(now: number): boolean {
    return this.#lostAt !== undefined && now - this.#lostAt < routeLimits.eager
  }

  /** The connection to the current one has lasted: the next loss is a new one. */
  settle(): void {
    this.#tried.clear()
    this.#rounds = 0
    this.#lostAt = undefined
  }
}

const loopback = /^https?:\/\/(localhost|127\.\d+\.\d+\.\d+|\[::1\])(?=:|$)/

/** Whether an origin is a machine's own, and means another machine elsewhere. */
export const isLoopback = (origin: string): boolean => loopback.test(origin)
