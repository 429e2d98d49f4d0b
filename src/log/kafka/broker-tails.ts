/**
 * Fetches for all tails whose topics one broker leads, by two polls on connections of their own.
 *
 * The live poll is a long one with an incremental fetch session (KIP-227): the broker remembers the partitions,
 * a request names only what changed. It serves tails that have once reached the end of their topic.
 *
 * A request under way cannot be added to. The fresh poll is a short one without a session; it serves every tail
 * that the live poll's request lacks: new ones, at once, until they are at the end and the live poll takes them
 * in with its next request, and all while the live poll has a failure. What both fetch is told apart by offsets.
 */
import type { Offset } from '../../units.ts'
import { fetchApi } from './apis.ts'
import type { Cluster } from './cluster.ts'
import type { Connections } from './connections.ts'
import { answeredError, errorName } from './errors.ts'
import type { FetchAnswer, PartitionAnswer } from './fetch.ts'
import { FetchSession } from './fetch-session.ts'
import type { Address } from './options.ts'
import { fetchPartition, partitionMaxBytes } from './read.ts'
import { chunkOf, decodeBatches } from './record-batches.ts'
import type { KafkaTail, TailGroup } from './tail.ts'

/** Milliseconds that the broker waits for records. */
const livePoll = 500
/** How long a tail that comes while the fresh poll is under way may have to wait. */
const freshPoll = 20
const liveBytes = 16 * 1024 * 1024
/** One turn of catching up; small, so that several tails take turns quickly. */
const freshBytes = 2 * 1024 * 1024
/** Milliseconds for which reading a topic must be refused before its tails end: rights may be given back. */
const refusalGrace = 5000

/** The group cannot be read from this broker. */
type OnMisplaced = (group: TailGroup, failures: number) => void

export class BrokerTails {
  readonly #address: Address
  readonly #cluster: Cluster
  readonly #connections: Connections
  readonly #onMisplaced: OnMisplaced
  readonly #groups = new Map<string, TailGroup>()
  readonly #session = new FetchSession()
  /** What the live request under way asks for: offsets by topic id. */
  #underWay: ReadonlyMap<string, number> = new Map()
  /** Failures in a row, by topic id. */
  readonly #failures = new Map<string, number>()
  /** Since when the user may not read it, by topic id; milliseconds of Date.now(). */
  readonly #refused = new Map<string, number>()
  #live = false
  #fresh = false
  #turn = 0
  #closed = false

  constructor(address: Address, cluster: Cluster, connections: Connections, onMisplaced: OnMisplaced) {
    this.#address = address
    this.#cluster = cluster
    this.#connections = connections
    this.#onMisplaced = onMisplaced
  }

  add(group: TailGroup): void {
    this.#groups.set(group.topic.id, group)
    this.#wake()
  }

  remove(group: TailGroup): void {
    this.#groups.delete(group.topic.id)
    if (group.tails.size > 0) return
    this.#failures.delete(group.topic.id)
    this.#refused.delete(group.topic.id)
  }

  close(): void {
    this.#closed = true
    this.#groups.clear()
  }

  /** Starts whichever poll has something to do; each ends by itself when it has not, and this starts it again. */
  #wake(): void {
    if (this.#closed) return
    if (!this.#live && this.#fronts().size > 0) {
      this.#live = true
      void this.#pollLive()
    }
    if (!this.#fresh && this.#waiting().size > 0) {
      this.#fresh = true
      void this.#pollFresh()
    }
  }

  #fronts(): Map<string, number> {
    const fronts = new Map<string, number>()
    for (const [id, group] of this.#groups) {
      const { front } = group
      if (front !== undefined) fronts.set(id, front)
    }
    return fronts
  }

  /** For each topic the tail whose turn is next, of those that the live request does not serve. */
  #waiting(): Map<TailGroup, KafkaTail> {
    const waiting = new Map<TailGroup, KafkaTail>()
    for (const [id, group] of this.#groups) {
      const served = this.#underWay.get(id)
      for (const tail of group.tails) {
        if (tail.next === served) continue
        const other = waiting.get(group)
        if (other === undefined || tail.turn < other.turn) waiting.set(group, tail)
      }
    }
    return waiting
  }

  async #pollLive(): Promise<void> {
    const link = this.#connections.link(this.#address, 'live')
    for (let wanted = this.#fronts(); wanted.size > 0; wanted = this.#fronts()) {
      const { id, epoch, topics, forgotten } = this.#session.request(wanted)
      this.#underWay = wanted
      try {
        const request = link.request(fetchApi, livePoll, 1, liveBytes, 0, id, epoch, topics, forgotten, '')
        this.#wake()
        const answer = await request
        if (answer.errorCode === 0) {
          this.#session.answered(answer.sessionId, wanted)
          this.#take(answer, wanted)
        } else {
          this.#session.reset()
          if (!errorName(answer.errorCode).includes('FETCH_SESSION')) await this.#cluster.pause(100)
        }
      } catch {
        this.#session.reset()
        // Over to the fresh poll, which asks the cluster where the topics are.
        for (const group of this.#groups.values()) for (const tail of group.tails) tail.joined = false
      }
    }
    this.#underWay = new Map()
    this.#live = false
    this.#wake()
  }

  async #pollFresh(): Promise<void> {
    const link = this.#connections.link(this.#address, 'fresh')
    for (let waiting = this.#waiting(); waiting.size > 0; waiting = this.#waiting()) {
      const turns = [...waiting].sort(([, a], [, b]) => a.turn - b.turn)
      this.#turn += 1
      const asked = new Map<string, number>()
      for (const [{ topic }, tail] of turns) {
        tail.turn = this.#turn
        asked.set(topic.id, tail.next)
      }
      const topics = [...asked].map(([topicId, from]) => ({
        topicId,
        partitions: [fetchPartition(from, partitionMaxBytes)],
      }))
      try {
        const answer = await link.request(fetchApi, freshPoll, 1, freshBytes, 0, 0, -1, topics, [], '')
        if (answer.errorCode !== 0) await this.#cluster.pause(100)
        this.#take(answer, asked)
      } catch {
        // The link waits before it connects again, and this loop with it.
        await this.#cluster.refresh([...this.#groups.values()].map(({ topic }) => topic)).catch(() => {})
      }
      this.#wake()
    }
    this.#fresh = false
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
    this.#failures.delete(group.topic.id)
    this.#refused.delete(group.topic.id)
    const chunk = chunkOf(decodeBatches(records, from), highWatermark)
    if (chunk.next > from) group.deliver(from, chunk)
    for (const tail of group.tails)
      if (tail.next === chunk.next && chunk.next === chunk.end) tail.joined = true
  }

  #refuse(group: TailGroup, code: number): void {
    const { id, name } = group.topic
    const since = this.#refused.get(id) ?? Date.now()
    this.#refused.set(id, since)
    if (Date.now() - since < refusalGrace) {
      this.#misplaced(group)
      return
    }
    this.#refused.delete(id)
    group.end(answeredError(code, `to read topic ${name}`))
  }

  #misplaced(group: TailGroup): void {
    const failures = (this.#failures.get(group.topic.id) ?? 0) + 1
    this.#failures.set(group.topic.id, failures)
    for (const tail of group.tails) tail.joined = false
    this.#onMisplaced(group, failures)
  }
}
