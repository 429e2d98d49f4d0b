/**
 * A long poll with an incremental fetch session (KIP-227): the broker remembers the partitions, a request names only what
 * changed. It serves groups whose tails have once reached the end of their topic.
 */
import { fetchApi } from './apis.ts'
import type { Cluster } from './cluster.ts'
import { errorName } from './errors.ts'
import type { FetchAnswer } from './fetch.ts'
import { FetchSession } from './fetch-session.ts'
import type { Link } from './link.ts'
import type { Pacer } from './pacer.ts'
import type { TailGroup } from './tail.ts'

/** Milliseconds that the broker waits for records. */
const pollTime = 500
const maxBytes = 16 * 1024 * 1024

export interface SessionPollHost {
  readonly cluster: Cluster
  readonly pacer: Pacer
  link(): Link
  /** A request is about to be made: groups may be given and taken. */
  beforeTurn(poll: SessionPoll): void
  /** What serves a topic may have changed. */
  onServed(topicId: string): void
  onAnswer(answer: FetchAnswer, asked: ReadonlyMap<string, number>): void
  /** The broker did not answer: its groups are not served any more. */
  onFailure(groups: readonly TailGroup[]): void
}

export class SessionPoll {
  readonly #host: SessionPollHost
  readonly #groups = new Set<TailGroup>()
  readonly #session = new FetchSession()
  /** What the request under way, or about to go out, asks for: offsets by topic id. */
  #serving: ReadonlyMap<string, number> = new Map()
  #running = false

  constructor(host: SessionPollHost) {
    this.#host = host
  }

  get groups(): ReadonlySet<TailGroup> {
    return this.#groups
  }

  get isRunning(): boolean {
    return this.#running
  }

  /** The offset from which a topic is being read, undefined where it is not. */
  serves(topicId: string): number | undefined {
    return this.#serving.get(topicId)
  }

  add(group: TailGroup): void {
    this.#groups.add(group)
    if (this.#running) return
    this.#running = true
    void this.#run()
  }

  delete(group: TailGroup): void {
    this.#groups.delete(group)
  }

  close(): void {
    this.#groups.clear()
  }

  async #run(): Promise<void> {
    const { cluster, pacer } = this.#host
    let last = 0
    while (this.#groups.size > 0) {
      this.#host.beforeTurn(this)
      this.#serve(this.#fronts())
      if (await pacer.keepDistance(last)) this.#serve(this.#fronts())
      last = performance.now()
      const asked = this.#serving
      const { id, epoch, topics, forgotten } = this.#session.request(asked)
      try {
        const answer = await this.#host
          .link()
          .request(fetchApi, pollTime, 1, maxBytes, 0, id, epoch, topics, forgotten, '')
        if (answer.errorCode === 0) {
          this.#session.answered(answer.sessionId, asked)
          this.#host.onAnswer(answer, asked)
        } else {
          this.#session.reset()
          if (!errorName(answer.errorCode).includes('FETCH_SESSION')) await cluster.pause(100)
        }
      } catch {
        this.#session.reset()
        const groups = [...this.#groups]
        this.#groups.clear()
        this.#serve(new Map())
        this.#host.onFailure(groups)
      }
    }
    this.#session.reset()
    this.#running = false
    this.#serve(new Map())
  }

  /** What the next request asks for; what it does not ask for any more has to be known too. */
  #serve(serving: ReadonlyMap<string, number>): void {
    const before = this.#serving
    this.#serving = serving
    for (const id of before.keys()) if (!serving.has(id)) this.#host.onServed(id)
    for (const id of serving.keys()) this.#host.onServed(id)
  }

  #fronts(): Map<string, number> {
    const fronts = new Map<string, number>()
    for (const group of this.#groups) {
      const { front } = group
      if (front === undefined) this.#groups.delete(group)
      else fronts.set(group.topic.id, front)
    }
    return fronts
  }
}
