/**
 * One connection to a broker. It is made when it is first asked for, and again after a failure, no sooner than a growing,
 * jittered pause. One with a request that ran out of time is not usable any more and is replaced, as is one whose
 * log-in is about to end.
 */
import { isIP } from 'node:net'
import { setTimeout as delay } from 'node:timers/promises'
import { apiVersionsV3, Connection, TimeoutError } from '@platformatic/kafka'
import { FramelogError } from '../../errors.ts'
import type { Api, Versioned } from './apis.ts'
import { answerIn, closedError, connectionError, isUnreadable } from './errors.ts'
import type { Address, NewConnectionOptions } from './options.ts'

/** Milliseconds for which a broker is believed that it reads nothing. */
const longestThrottle = 30_000

/** Where a client is over its quota, an answer says for how long it is held back (KIP-219); milliseconds. */
function throttleTimeOf(answer: unknown): number {
  const isTold = typeof answer === 'object' && answer !== null && 'throttleTime' in answer
  return isTold ? Number(answer.throttleTime) : 0
}

/** Share of a log-in's life after which a new connection takes over: a long poll must still end on the old one. */
const sessionShare = 0.7
const firstPause = 25
const longestPause = 1000

export interface LinkOptions {
  readonly address: Address
  readonly clientId: string
  /** Milliseconds. */
  readonly requestTimeout: number
  readonly connection: NewConnectionOptions
  /** Aborted once the log is closed. */
  readonly signal: AbortSignal
  /** It could not be connected. */
  readonly onFailure: (error: FramelogError) => void
  /** A request had no answer in time. */
  readonly onTimeout: () => void
}

interface Open {
  readonly connection: Connection
  /** Highest version that the broker knows, by API key. */
  readonly versions: ReadonlyMap<number, number>
  /** When to move on to another connection: the log-in ends soon after. Milliseconds of performance.now(). */
  readonly renewAt: number
  /** Requests under way. */
  requests: number
  /** What the socket said before it closed, which tells more than that it did. */
  readonly trouble: unknown
}

export class Link {
  readonly #options: LinkOptions
  #opening: Promise<Open> | undefined
  #connection: Connection | undefined
  /** Counts how often it was dropped. */
  #generation = 0
  #requests = 0
  /** A broker that holds this client back reads nothing from it before; milliseconds of performance.now(). */
  #mutedUntil = 0
  #failures = 0
  #notBefore = 0
  #closed = false

  constructor(options: LinkOptions) {
    this.#options = options
  }

  get address(): Address {
    return this.#options.address
  }

  /**
   * @returns the answer, also where it has error codes inside
   * @throws FramelogError where no answer came; LOG_CORRUPT where one came that cannot be read
   */
  async request<Args extends unknown[], Answer>(api: Api<Args, Answer>, ...args: Args): Promise<Answer> {
    this.#requests += 1
    try {
      await this.#waitUntil(this.#mutedUntil)
      const answer = await this.#ask(await this.#open(), api, args)
      this.#mutedUntil = performance.now() + Math.min(throttleTimeOf(answer), longestThrottle)
      return answer
    } finally {
      this.#requests -= 1
    }
  }

  async #ask<Args extends unknown[], Answer>(
    open: Open,
    api: Api<Args, Answer>,
    args: Args,
  ): Promise<Answer> {
    const version = highest(api, open.versions, this.address)
    open.requests += 1
    try {
      const answer = await version.async(open.connection, ...args)
      this.#failures = 0
      return answer
    } catch (error) {
      const answer = answerIn(error)
      if (answer !== undefined) return answer as Answer
      this.#countFailure()
      if (error instanceof TimeoutError) this.#options.onTimeout()
      if (this.#connection === open.connection) this.drop()
      else discard(open.connection)
      if (this.#options.signal.aborted) throw closedError()
      if (isUnreadable(error)) {
        const message = `an answer of the broker ${this.address.key} cannot be read`
        throw new FramelogError('LOG_CORRUPT', message, { cause: error })
      }
      throw connectionError(open.trouble ?? error, this.address.key)
    } finally {
      open.requests -= 1
      if (open.requests === 0 && this.#connection !== open.connection) discard(open.connection)
    }
  }

  /** No request waits for an answer. */
  get isIdle(): boolean {
    return this.#requests === 0
  }

  /** @throws FramelogError where the broker cannot be reached, or refuses */
  async connect(): Promise<void> {
    await this.#open()
  }

  /** For good: what still waits to be asked fails, and makes no connection that nobody would end. */
  close(): void {
    this.#closed = true
    this.drop()
  }

  drop(): void {
    this.#generation += 1
    const connection = this.#connection
    this.#connection = undefined
    this.#opening = undefined
    if (connection) discard(connection)
  }

  async #open(): Promise<Open> {
    if (this.#options.signal.aborted) throw closedError()
    if (this.#closed) throw this.#notAsked()
    const opening = this.#opening ?? this.#begin()
    const open = await opening
    if (performance.now() < open.renewAt) return open
    if (this.#opening !== opening) return this.#open()
    // What is under way on the connection before is answered there.
    this.#opening = undefined
    this.#connection = undefined
    if (open.requests === 0) discard(open.connection)
    return this.#begin()
  }

  #begin(): Promise<Open> {
    const opening = this.#connect()
    this.#opening = opening
    opening.catch(() => {
      if (this.#opening === opening) this.drop()
    })
    return opening
  }

  async #connect(): Promise<Open> {
    const generation = this.#generation
    await this.#waitUntil(this.#notBefore)
    if (generation !== this.#generation) throw this.#notAsked()
    const { host, port, key } = this.address
    let renewAt = Number.POSITIVE_INFINITY
    const { clientId, requestTimeout, connection: newOptions } = this.#options
    const options = newOptions(lifetime => {
      renewAt = performance.now() + lifetime * sessionShare
    })
    const connection = new Connection(clientId, {
      ...options,
      requestTimeout,
      // A server name is a name: TLS knows none for a bare address.
      tlsServerName: isIP(host) === 0,
    })
    let trouble: unknown
    // Its errors arrive through the calls below and through requests; without a listener they would be thrown.
    connection.on('error', error => {
      trouble = error
    })
    this.#connection = connection
    try {
      await connection.connect(host, port)
      const { apiKeys } = await apiVersionsV3.api.async(connection, clientId, '1')
      // A broker closes what was idle for long: whoever asks next gets a new connection.
      connection.on('close', () => {
        if (this.#connection === connection) this.drop()
      })
      const versions = new Map(apiKeys.map(each => [each.apiKey, each.maxVersion]))
      return {
        connection,
        versions,
        renewAt,
        requests: 0,
        get trouble() {
          return trouble
        },
      }
    } catch (error) {
      this.#countFailure()
      discard(connection)
      if (this.#options.signal.aborted) throw closedError()
      const failure = connectionError(trouble ?? error, key, options.tls?.ca !== undefined)
      this.#options.onFailure(failure)
      throw failure
    }
  }

  #notAsked(): FramelogError {
    return new FramelogError('LOG_UNREACHABLE', `the broker ${this.address.key} is not asked any more`)
  }

  async #waitUntil(time: number): Promise<void> {
    const pause = time - performance.now()
    if (pause <= 0) return
    await delay(pause, undefined, { signal: this.#options.signal }).catch(() => {
      throw closedError()
    })
  }

  #countFailure(): void {
    this.#failures += 1
    const longest = Math.min(firstPause * 2 ** this.#failures, longestPause)
    this.#notBefore = performance.now() + longest * (0.5 + Math.random() / 2)
  }
}

function highest<Args extends unknown[], Answer>(
  api: Api<Args, Answer>,
  known: ReadonlyMap<number, number>,
  { key }: Address,
): Versioned<Args, Answer> {
  const version = api.versions.findLast(each => each.version <= (known.get(each.key) ?? -1))
  if (version) return version
  throw new FramelogError(
    'LOG_FAILED',
    `the broker ${key} has no ${api.name} request that this gateway speaks: Kafka 3.5 or newer is needed`,
  )
}

/** Ends the socket itself too: the library's close() leaves it open after some errors. */
function discard(connection: Connection): void {
  const ended = connection.close()
  if (ended instanceof Promise) ended.catch(() => {})
  const { socket } = connection
  // Each request that was under way gives it up.
  if (socket !== undefined && !socket.destroyed) socket.on('error', () => {}).destroy()
}
