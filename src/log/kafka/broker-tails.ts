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
import { FramelogError } from '../../errors.ts'
import type { Offset } from '../../units.ts'
import { type FetchAnswer, fetchApi, type PartitionAnswer } from './apis.ts'
import type { Cluster } from './cluster.ts'
import type { Connections } from './connections.ts'
import { decodeBatches } from './decode.ts'
import { errorName } from './errors.ts'
import { FetchSession } from './fetch-session.ts'
import type { Address } from './options.ts'
import { fetchPartition, partitionMaxBytes } from './read.ts'
import type { KafkaTail, TailGroup } from './tail.ts'

/** Milliseconds that the broker waits for records. */
const livePoll = 500
/** How long a tail that comes while the fresh poll is under way may have to wait. */
const freshPoll = 20
const liveBytes = 16 * 1024 * 1024
/** One turn of catching up; small, so that several tails take turns quickly. */
const freshBytes = 2 * 1024 * 1024

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
  #live = false
  #fresh = false
  #turn = 0
  /** After an answer that cannot be read: one topic a request, to find which. */
  #apart = false
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
      } catch (error) {
        this.#session.reset()
        // Over to the fresh poll, which tells the topics apart, and asks the cluster where they are.
        for (const group of this.#groups.values()) for (const tail of group.tails) tail.joined = false
        if (isUnreadable(error)) this.#apart = true
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
      const chosen = this.#apart ? turns.slice(0, 1) : turns
      this.#turn += 1
      const asked = new Map<string, number>()
      for (const [{ topic }, tail] of chosen) {
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
      } catch (error) {
        if (isUnreadable(error) && chosen.length > 1) this.#apart = true
        else if (isUnreadable(error)) for (const [group] of chosen) group.end(error)
        // The link waits before it connects again, and this loop with it.
        else await this.#cluster.refresh([...this.#groups.values()].map(({ topic }) => topic)).catch(() => {})
      }
      this.#wake()
    }
    this.#apart = false
    this.#fresh = false
  }

  #take(answer: FetchAnswer, asked: ReadonlyMap<string, number>): void {
    for (const { topicId, partitions } of answer.responses) {
      const group = this.#groups.get(topicId)
      const from = asked.get(topicId)
      const [partition] = partitions
      if (group === undefined || from === undefined || partition === undefined) continue
      if (partition.errorCode === 0) this.#deliver(group, from, partition)
      else if (errorName(partition.errorCode) === 'OFFSET_OUT_OF_RANGE') group.endAt(from)
      else this.#misplaced(group)
    }
  }

  #deliver(group: TailGroup, from: number, partition: PartitionAnswer): void {
    this.#failures.delete(group.topic.id)
    const { records, next } = decodeBatches(partition.records, from as Offset)
    const end = Math.max(Number(partition.highWatermark), next) as Offset
    if (next > from) group.deliver(from, records, next, end)
    for (const tail of group.tails) if (tail.next === next && next === end) tail.joined = true
  }

  #misplaced(group: TailGroup): void {
    const failures = (this.#failures.get(group.topic.id) ?? 0) + 1
    this.#failures.set(group.topic.id, failures)
    for (const tail of group.tails) tail.joined = false
    this.#onMisplaced(group, failures)
  }
}

const isUnreadable = (error: unknown): error is FramelogError =>
  error instanceof FramelogError && error.code === 'LOG_CORRUPT'
