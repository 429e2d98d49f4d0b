/**
 * What is known of the cluster: brokers, and which of them leads each topic. Refreshed when an answer shows that
 * it is stale, and slowly in the background; produce and fetch never wait for a refresh that they don't need.
 */
import { setTimeout as delay } from 'node:timers/promises'
import { FramelogError } from '../../errors.ts'
import type { Topic } from '../log.ts'
import { type Api, describeClusterApi, type MetadataAnswer, metadataApi } from './apis.ts'
import type { Connections } from './connections.ts'
import { answeredError, closedError, errorName } from './errors.ts'
import { type Address, address } from './options.ts'

/** Milliseconds for which a topic must be missing: brokers learn of a new topic at different moments. */
const missingGrace = 1000
/** Milliseconds after which an earlier miss says nothing any more. */
const missingForgotten = 10_000
const backgroundInterval = 10_000
/** Milliseconds after which a topic that nobody asks for is no longer refreshed. */
const idleAfter = 600_000
const deletedKept = 10_000

interface Known {
  readonly topic: Topic
  readonly leaderId: number
  readonly leaderEpoch: number
  usedAt: number
}

export class Cluster {
  readonly #connections: Connections
  readonly #bootstrap: readonly Address[]
  readonly #onChange: () => void
  readonly #isUsed: (topic: Topic) => boolean
  readonly #brokers = new Map<number, Address>()
  readonly #topics = new Map<string, Known>()
  /** Since when a topic, by id, is not found. */
  readonly #missing = new Map<string, number>()
  /** Ids of topics that were deleted here, whatever a broker that lags may say. */
  readonly #deleted = new Set<string>()
  /** Ids of topics that were missing for so long that they count as gone; seen again, they are not. */
  readonly #lost = new Set<string>()
  readonly #timer: NodeJS.Timeout
  #wanted = new Set<string>()
  #queued: Promise<MetadataAnswer> | undefined
  #running: Promise<void> = Promise.resolve()
  #preferred: Address | undefined

  /**
   * @param onChange is called after every change of leaders or brokers
   * @param isUsed whether somebody reads a topic, though nobody asks for its leader
   */
  constructor(
    connections: Connections,
    bootstrap: readonly Address[],
    onChange: () => void,
    isUsed: (topic: Topic) => boolean,
  ) {
    this.#connections = connections
    this.#bootstrap = bootstrap
    this.#onChange = onChange
    this.#isUsed = isUsed
    this.#timer = setInterval(() => this.#refreshUsed(), backgroundInterval)
    this.#timer.unref()
  }

  close(): void {
    clearInterval(this.#timer)
  }

  get brokers(): ReadonlyMap<number, Address> {
    return this.#brokers
  }

  /** How many brokers the cluster has, also those that are down; undefined where it cannot tell (before Kafka 4.0). */
  async registered(): Promise<number | undefined> {
    const [where] = this.#candidates()
    if (where === undefined) return undefined
    try {
      const { errorCode, brokers } = await this.#connections.link(where, 'lookup').request(describeClusterApi)
      return errorCode === 0 ? brokers.length : undefined
    } catch {
      return undefined
    }
  }

  /**
   * Asks all bootstrap addresses at once; the first that answers will do.
   * @throws FramelogError the most telling of what they said
   */
  async connect(): Promise<void> {
    const attempts = this.#bootstrap.map(async each => {
      this.#learn(await this.#firstAnswer(each))
      this.#preferred ??= each
    })
    try {
      await Promise.any(attempts)
    } catch (error) {
      const errors = error instanceof AggregateError ? error.errors : [error]
      const telling = errors.find(each => each instanceof FramelogError && each.code !== 'LOG_UNREACHABLE')
      throw telling ?? errors[0]
    }
  }

  async #firstAnswer(where: Address): Promise<MetadataAnswer> {
    const link = this.#connections.link(where, 'lookup')
    await link.connect()
    return link.request(metadataApi, [], false, false).catch(error => {
      if (!(error instanceof FramelogError) || error.code !== 'LOG_UNREACHABLE') throw error
      // A broker that wants a password answers the first question of anybody and hangs up at the second.
      const hungUp = error.cause instanceof Error && error.cause.message === 'Connection closed'
      if (!hungUp) throw error
      throw new FramelogError(
        'LOG_AUTHENTICATION',
        `the broker ${where.key} hung up: it wants a user name and password, or another SECURITY_PROTOCOL`,
        { cause: error },
      )
    })
  }

  /** Asks any broker; where one does not answer, the next, and each once more: its connection may just have ended. */
  async lookup<Args extends unknown[], Answer>(api: Api<Args, Answer>, ...args: Args): Promise<Answer> {
    let failure: unknown
    for (const each of [...this.#candidates(), ...this.#candidates()]) {
      try {
        const answer = await this.#connections.link(each, 'lookup').request(api, ...args)
        this.#preferred = each
        return answer
      } catch (error) {
        if (this.#connections.signal.aborted) throw closedError()
        failure = error
      }
    }
    throw failure
  }

  #candidates(): Address[] {
    const candidates = new Map<string, Address>()
    for (const each of [this.#preferred, ...this.#brokers.values(), ...this.#bootstrap]) {
      if (each) candidates.set(each.key, each)
    }
    return [...candidates.values()]
  }

  /** @returns undefined where no topic of that name is known to any broker that was asked */
  async find(name: string): Promise<Topic | undefined> {
    const { topics } = this.#learn(await this.lookup(metadataApi, [name], false, false))
    const found = topics[0]
    if (found === undefined || found.errorCode !== 0) {
      const what = errorName(found?.errorCode ?? 3)
      if (found && what !== 'UNKNOWN_TOPIC_OR_PARTITION' && what !== 'LEADER_NOT_AVAILABLE') {
        throw answeredError(found.errorCode, `to look up topic ${name}`)
      }
      return undefined
    }
    return this.#deleted.has(found.topicId) ? undefined : { name, id: found.topicId }
  }

  async list(prefix: string): Promise<readonly Topic[]> {
    const { topics } = await this.lookup(metadataApi, null, false, false)
    return topics.flatMap(({ name, topicId, errorCode, partitions }) => {
      const usable = errorCode === 0 || partitions.length > 0
      if (!usable || !name?.startsWith(prefix) || this.#deleted.has(topicId)) return []
      return [{ name, id: topicId }]
    })
  }

  /** The leader as far as known; undefined asks for a refresh. */
  leader(topic: Topic): Address | undefined {
    const known = this.#topics.get(topic.name)
    if (known?.topic.id !== topic.id) return undefined
    known.usedAt = performance.now()
    return this.#brokers.get(known.leaderId)
  }

  isGone(topic: Topic): boolean {
    return this.#deleted.has(topic.id) || this.#lost.has(topic.id)
  }

  /** The topic was deleted: its id will never come back. */
  forget(topic: Topic): void {
    remember(this.#deleted, topic.id)
    this.#missing.delete(topic.id)
    if (this.#topics.get(topic.name)?.topic.id === topic.id) this.#topics.delete(topic.name)
  }

  /**
   * Waits until the leader is known.
   * @throws TOPIC_NOT_FOUND, LOG_UNREACHABLE after `until` (milliseconds of performance.now()), LOG_CLOSED
   */
  async findLeader(topic: Topic, until: number): Promise<Address> {
    for (let pause = 20; ; pause = Math.min(pause * 2, 500)) {
      if (this.isGone(topic)) throw notFound(topic)
      const leader = this.leader(topic)
      if (leader) return leader
      const failure = await this.refresh([topic]).then(
        () => undefined,
        (error: unknown) => error,
      )
      if (this.isGone(topic) || this.leader(topic)) continue
      if (performance.now() + pause > until) {
        throw failure ?? new FramelogError('LOG_UNREACHABLE', `topic ${topic.name} has no leader now`)
      }
      await this.pause(pause)
    }
  }

  /** @throws FramelogError LOG_CLOSED where the log is closed meanwhile */
  async pause(span: number): Promise<void> {
    const { signal } = this.#connections
    await delay(span * (0.75 + Math.random() / 2), undefined, { signal }).catch(() => {
      throw closedError()
    })
  }

  /** Joins the next refresh, which begins when the one under way is done. */
  async refresh(topics: Iterable<Topic>): Promise<void> {
    const asked = [...topics]
    for (const { name } of asked) this.#wanted.add(name)
    this.#queued ??= this.#running.then(() => {
      this.#queued = undefined
      const names = [...this.#wanted]
      this.#wanted = new Set()
      const run = this.lookup(metadataApi, names, false, false).then(answer => this.#learn(answer))
      this.#running = run.then(
        () => {},
        () => {},
      )
      return run
    })
    const answer = await this.#queued
    for (const topic of asked) this.#judge(topic, answer)
  }

  /** Counts a topic as gone once it has been missing for long enough. */
  #judge(topic: Topic, answer: MetadataAnswer): void {
    const found = answer.topics.find(({ name }) => name === topic.name)
    if (found === undefined || this.isGone(topic)) return
    const isMissing =
      errorName(found.errorCode) === 'UNKNOWN_TOPIC_OR_PARTITION' ||
      (found.errorCode === 0 && found.topicId !== topic.id)
    if (!isMissing) {
      this.#missing.delete(topic.id)
      return
    }
    const now = performance.now()
    const since = this.#missing.get(topic.id)
    if (since === undefined || now - since > missingForgotten) this.#missing.set(topic.id, now)
    else if (now - since >= missingGrace) {
      this.#missing.delete(topic.id)
      remember(this.#lost, topic.id)
      if (this.#topics.get(topic.name)?.topic.id === topic.id) this.#topics.delete(topic.name)
    }
  }

  #learn(answer: MetadataAnswer): MetadataAnswer {
    let changed = false
    const present = new Set(answer.brokers.map(({ nodeId }) => nodeId))
    for (const { nodeId, host, port } of answer.brokers) {
      if (!host) continue
      const next = address(host, port)
      const before = this.#brokers.get(nodeId)
      if (before?.key === next.key) continue
      this.#brokers.set(nodeId, next)
      if (before) this.#connections.drop(before)
      changed = true
    }
    for (const [id, gone] of this.#brokers) {
      // An answer without brokers says more about who answers than about the cluster.
      if (present.size === 0 || present.has(id)) continue
      this.#brokers.delete(id)
      this.#connections.drop(gone)
      changed = true
    }
    for (const { name, topicId, errorCode, partitions } of answer.topics) {
      if (!name) continue
      const before = this.#topics.get(name)
      const [partition] = partitions
      if (errorCode !== 0 || partition === undefined || this.#deleted.has(topicId)) {
        if (errorName(errorCode) === 'UNKNOWN_TOPIC_OR_PARTITION') this.#topics.delete(name)
        continue
      }
      const { leaderId, leaderEpoch } = partition
      if (before?.topic.id === topicId && before.leaderEpoch > leaderEpoch) continue
      this.#missing.delete(topicId)
      this.#lost.delete(topicId)
      if (before?.topic.id !== topicId || before.leaderId !== leaderId) changed = true
      const usedAt = before?.usedAt ?? performance.now()
      this.#topics.set(name, { topic: { name, id: topicId }, leaderId, leaderEpoch, usedAt })
    }
    if (changed) this.#onChange()
    return answer
  }

  #refreshUsed(): void {
    const now = performance.now()
    for (const [name, known] of this.#topics) {
      if (now - known.usedAt > idleAfter && !this.#isUsed(known.topic)) this.#topics.delete(name)
    }
    for (const [id, since] of this.#missing) if (now - since > missingForgotten) this.#missing.delete(id)
    this.refresh([...this.#topics.values()].map(({ topic }) => topic)).catch(() => {
      // Whoever needs the cluster meets the same failure, and says so.
    })
  }
}

function remember(ids: Set<string>, id: string): void {
  ids.add(id)
  for (const oldest of ids) {
    if (ids.size <= deletedKept) break
    ids.delete(oldest)
  }
}

export const notFound = (topic: Topic): FramelogError =>
  new FramelogError('TOPIC_NOT_FOUND', `topic ${topic.name} (${topic.id}) is not there`)
