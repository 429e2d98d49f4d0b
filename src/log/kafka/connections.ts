/**
 * Connections to brokers, one for each address and role: a broker answers the requests of a connection in order,
 * so a long poll would hold up whatever stands behind it.
 *
 * A link connects when it is first asked to, and again after a failure, no sooner than a growing, jittered pause.
 * A connection with a request that ran out of time is not usable any more and is replaced.
 */
import { isIP } from 'node:net'
import { setTimeout as delay } from 'node:timers/promises'
import { apiVersionsV3, Connection } from '@platformatic/kafka'
import { FramelogError } from '../../errors.ts'
import type { Api, Versioned } from './apis.ts'
import { answerIn, connectionError, isUnreadable } from './errors.ts'
import type { Address, NewConnectionOptions } from './options.ts'

/** Milliseconds that a request of the role may take, waiting in the broker included. */
const requestTimeouts = { produce: 8000, live: 5000, fresh: 5000, replay: 10_000, lookup: 5000 } as const
export type Role = keyof typeof requestTimeouts

/** Share of a log-in's life after which a new connection takes over: a long poll must still end on the old one. */
const sessionShare = 0.7
const firstPause = 25
const longestPause = 1000
const warnEvery = 30_000

export class Connections {
  readonly #options: NewConnectionOptions
  readonly #clientId: string
  readonly #links = new Map<string, Link>()
  readonly #closing = new AbortController()
  readonly #onWarning: (line: string) => void
  /** When a broker's trouble may be told again, by its address; milliseconds of Date.now(). */
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
      link = new Link(address, role, this.#options, this.#clientId, this.#closing.signal, error =>
        this.#warn(address, error),
      )
      this.#links.set(key, link)
    }
    return link
  }

  /** Cuts what is open to an address: what waits for an answer from there fails at once. */
  drop(address: Address): void {
    for (const [key, link] of this.#links) {
      if (link.address.key !== address.key) continue
      link.drop()
      this.#links.delete(key)
    }
  }

  #warn({ key }: Address, error: FramelogError): void {
    const now = Date.now()
    if (now < (this.#quietUntil.get(key) ?? 0) || this.signal.aborted) return
    this.#quietUntil.set(key, now + warnEvery)
    this.#onWarning(`${error.toLine()} Trying again until it works.`)
  }

  close(): void {
    this.#closing.abort()
    for (const link of this.#links.values()) link.drop()
    this.#links.clear()
  }
}

interface Open {
  readonly connection: Connection
  /** Highest version that the broker knows, by API key. */
  readonly versions: ReadonlyMap<number, number>
  /** When to move on to another connection: the log-in ends soon after. Milliseconds of Date.now(). */
  readonly renewAt: number
  /** Requests under way. */
  requests: number
  /** What the socket said before it closed, which tells more than that it did. */
  readonly trouble: unknown
}

export class Link {
  readonly address: Address
  readonly #role: Role
  readonly #options: NewConnectionOptions
  readonly #clientId: string
  readonly #signal: AbortSignal
  readonly #onFailure: (error: FramelogError) => void
  #opening: Promise<Open> | undefined
  #connection: Connection | undefined
  #failures = 0
  #notBefore = 0

  constructor(
    address: Address,
    role: Role,
    options: NewConnectionOptions,
    clientId: string,
    signal: AbortSignal,
    onFailure: (error: FramelogError) => void,
  ) {
    this.address = address
    this.#onFailure = onFailure
    this.#role = role
    this.#options = options
    this.#clientId = clientId
    this.#signal = signal
  }

  /**
   * @returns the answer, also where it has error codes inside
   * @throws FramelogError where no answer came; LOG_CORRUPT where one came that cannot be read
   */
  async request<Args extends unknown[], Answer>(api: Api<Args, Answer>, ...args: Args): Promise<Answer> {
    const open = await this.#open()
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
      if (this.#connection === open.connection) this.drop()
      else discard(open.connection)
      if (this.#signal.aborted) throw closedError()
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

  /** @throws FramelogError where the broker cannot be reached, or refuses */
  async connect(): Promise<void> {
    await this.#open()
  }

  drop(): void {
    const connection = this.#connection
    this.#connection = undefined
    this.#opening = undefined
    if (connection) discard(connection)
  }

  async #open(): Promise<Open> {
    if (this.#signal.aborted) throw closedError()
    const opening = this.#opening ?? this.#begin()
    const open = await opening
    if (Date.now() < open.renewAt || this.#opening !== opening) return open
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
    const pause = this.#notBefore - Date.now()
    if (pause > 0) {
      await delay(pause, undefined, { signal: this.#signal }).catch(() => {
        throw closedError()
      })
    }
    const { host, port, key } = this.address
    let renewAt = Number.POSITIVE_INFINITY
    const connection = new Connection(this.#clientId, {
      ...this.#options(lifetime => {
        renewAt = Date.now() + lifetime * sessionShare
      }),
      requestTimeout: requestTimeouts[this.#role],
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
      const { apiKeys } = await apiVersionsV3.api.async(connection, this.#clientId, '1')
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
      if (this.#signal.aborted) throw closedError()
      const failure = connectionError(trouble ?? error, key)
      this.#onFailure(failure)
      throw failure
    }
  }

  #countFailure(): void {
    this.#failures += 1
    const longest = Math.min(firstPause * 2 ** this.#failures, longestPause)
    this.#notBefore = Date.now() + longest * (0.5 + Math.random() / 2)
  }
}

export const closedError = (): FramelogError => new FramelogError('LOG_CLOSED', 'the log was closed')

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
  connection.socket?.on('error', () => {}).destroy()
}
