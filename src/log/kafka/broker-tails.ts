/**
 * Fetches for all tails whose topics one broker leads, by three polls on connections of their own.
 *
 * Two are long ones with a fetch session each: the hot one for topics that had records of late, the idle one for all that
 * are merely open. A broker walks a whole session for every answer: with 50 live topics among 1,000 in one
 * session, delivery took four times as long as with the 950 in another.
 *
 * A request under way cannot be added to. The fresh poll is a short one without a session; it serves every tail
 * that the requests of the others lack: new ones, at once, until they are at the end and a session takes them
 * in, and all while a session has a failure. What two polls fetch is told apart by offsets.
 */
import type { Offset } from '../../units.ts'
import { fetchApi } from './apis.ts'
import type { Cluster } from './cluster.ts'
import type { Connections, Role } from './connections.ts'
import { answeredError, errorName } from './errors.ts'
import type { FetchAnswer, PartitionAnswer } from './fetch.ts'
import type { Address } from './options.ts'
import type { Pacer } from './pacer.ts'
import { fetchPartition, partitionMaxBytes } from './read.ts'
import { chunkOf, decodeBatches } from './record-batches.ts'
import { SessionPoll } from './session-poll.ts'
import type { KafkaTail, TailGroup } from './tail.ts'

/** How long a tail that comes while the fresh poll is under way may have to wait, milliseconds. */
const freshPoll = 20
/** One turn of catching up; small, so that several tails take turns quickly. */
const freshBytes = 2 * 1024 * 1024
/** Milliseconds without a record after which a topic counts as idle. */
const coolAfter = 5000
/** Milliseconds between two looks for topics that have become idle. */
const lookEvery = 1000
/** Milliseconds for which reading a topic must be refused before its tails end: rights may be given back. */
const refusalGrace = 5000

/** The group cannot be read from this broker. */
type OnMisplaced = (group: TailGroup) => void

export interface BrokerTailsOptions {
  readonly address: Address
  readonly cluster: Cluster
  readonly connections: Connections
  readonly pacer: Pacer
  readonly onMisplaced: OnMisplaced
}

export class BrokerTails {
  readonly #options: BrokerTailsOptions
  readonly #groups = new Map<string, TailGroup>()
  readonly #hot: SessionPoll
  readonly #idle: SessionPoll
  /** Groups with a tail that no session's request serves. */
  readonly #unserved = new Set<TailGroup>()
  #fresh = false
  #turn = 0
  #lookedAt = 0
  #closed = false

  constructor(options: BrokerTailsOptions) {
    this.#options = options
    this.#hot = this.#newSession('live')
    this.#idle = this.#newSession('idle')
  }

  add(group: TailGroup): void {
    this.#groups.set(group.topic.id, group)
    this.#check(group)
  }

  remove(group: TailGroup): void {
    const { id } = group.topic
    this.#groups.delete(id)
    this.#unserved.delete(group)
    this.#hot.delete(group)
    this.#idle.delete(group)
  }

  close(): void {
    this.#closed = true
    this.#groups.clear()
    this.#unserved.clear()
    this.#hot.close()
    this.#idle.close()
  }

  #newSession(role: Role): SessionPoll {
    const { address, cluster, connections, pacer } = this.#options
    return new SessionPoll({
      cluster,
      pacer,
      link: () => connections.link(address, role),
      beforeTurn: poll => {
        if (poll === this.#idle || !this.#idle.isRunning) this.#cool()
      },
      onServed: id => {
        const group = this.#groups.get(id)
        if (group) this.#check(group)
      },
      onAnswer: (answer, asked) => this.#take(answer, asked),
      onFailure: groups => {
        // Over to the fresh poll, which asks the cluster where the topics are.
        for (const group of groups) {
          for (const tail of group.tails) tail.joined = false
          this.#check(group)
        }
      },
    })
  }

  /** Topics without records move to the idle session, at a moment at which that takes them in. */
  #cool(): void {
    const now = performance.now()
    if (now - this.#lookedAt < lookEvery) return
    this.#lookedAt = now
    for (const group of this.#hot.groups) {
      if (now - group.recordAt < coolAfter || group.front === undefined) continue
      this.#hot.delete(group)
      this.#idle.add(group)
    }
  }

  /** Something about a group or about what serves it has changed. */
  #check(group: TailGroup): void {
    const { id } = group.topic
    if (this.#closed || this.#groups.get(id) !== group) return
    const served = this.#hot.serves(id) ?? this.#idle.serves(id)
    let isServed = true
    for (const { next } of group.tails) if (next !== served) isServed = false
    if (isServed) {
      this.#unserved.delete(group)
      return
    }
    this.#unserved.add(group)
    if (this.#fresh) return
    this.#fresh = true
    // In a turn of its own: a session that is about to ask may serve it.
    queueMicrotask(() => void this.#pollFresh())
  }

  async #pollFresh(): Promise<void> {
    const { address, cluster, connections } = this.#options
    while (this.#unserved.size > 0 && !this.#closed) {
      const asked = this.#nextTurn()
      if (asked.size === 0) break
      const topics = [...asked].map(([topicId, from]) => ({
        topicId,
        partitions: [fetchPartition(from, partitionMaxBytes)],
      }))
      try {
        const link = connections.link(address, 'fresh')
        const answer = await link.request(fetchApi, freshPoll, 1, freshBytes, 0, 0, -1, topics, [], '')
        if (answer.errorCode !== 0) await cluster.pause(100)
        this.#take(answer, asked)
      } catch {
        // The link waits before it connects again, and this loop with it.
        await cluster.refresh([...this.#groups.values()].map(({ topic }) => topic)).catch(() => {})
        for (const group of [...this.#groups.values()])
          if (cluster.isGone(group.topic)) this.#misplaced(group)
      }
    }
    this.#fresh = false
  }

  /** For each topic the tail whose turn is next, of those that no session serves; the longest waiting first. */
  #nextTurn(): Map<string, number> {
    const chosen: [TailGroup, KafkaTail][] = []
    for (const group of this.#unserved) {
      const { id } = group.topic
      const served = this.#hot.serves(id) ?? this.#idle.serves(id)
      let next: KafkaTail | undefined
      for (const tail of group.tails) {
        if (tail.next !== served && (next === undefined || tail.turn < next.turn)) next = tail
      }
      if (next !== undefined) chosen.push([group, next])
      else this.#unserved.delete(group)
    }
    const asked = new Map<string, number>()
    for (const [group, tail] of chosen.sort(([, a], [, b]) => a.turn - b.turn))
      asked.set(group.topic.id, tail.next)
    return asked
  }

  #take(answer: FetchAnswer, asked: ReadonlyMap<string, number>): void {
    for (const partition of answer.partitions) {
      const group = this.#groups.get(partition.topicId)
      const from = asked.get(partition.topicId)
      if (group === undefined || from === undefined) continue
      const error = errorName(partition.errorCode)
      if (partition.errorCode === 0) this.#deliver(group, from as Offset, partition)
      else if (error === 'OFFSET_OUT_OF_RANGE') group.endAt(from)
      else if (error === 'TOPIC_AUTHORIZATION_FAILED') this.#refuse(group, partition.errorCode)
      else this.#misplaced(group)
    }
  }

  #deliver(group: TailGroup, from: Offset, { records, highWatermark }: PartitionAnswer): void {
    group.failures = 0
    group.refusedSince = undefined
    const chunk = chunkOf(decodeBatches(records, from, highWatermark), highWatermark)
    if (chunk.records.length > 0) {
      group.recordAt = performance.now()
      this.#options.pacer.count(chunk.records.length)
    }
    if (chunk.next > from) {
      // Who got something stands behind who did not: a broker fills an answer from the front.
      this.#turn += 1
      for (const tail of group.tails) if (tail.next === from) tail.turn = this.#turn
      group.deliver(from, chunk)
    }
    for (const tail of group.tails)
      if (tail.next === chunk.next && chunk.next === chunk.end) tail.joined = true
    this.#settle(group)
    this.#check(group)
  }

  /** Puts a group whose tails have come to the end where it belongs. */
  #settle(group: TailGroup): void {
    if (this.#groups.get(group.topic.id) !== group || group.front === undefined) return
    if (performance.now() - group.recordAt < coolAfter) {
      this.#idle.delete(group)
      this.#hot.add(group)
    } else if (!this.#hot.groups.has(group)) this.#idle.add(group)
  }

  #refuse(group: TailGroup, code: number): void {
    group.refusedSince ??= performance.now()
    if (performance.now() - group.refusedSince < refusalGrace) this.#misplaced(group)
    else group.end(answeredError(code, `to read topic ${group.topic.name}`))
  }

  #misplaced(group: TailGroup): void {
    group.failures += 1
    for (const tail of group.tails) tail.joined = false
    this.#options.onMisplaced(group)
  }
}
