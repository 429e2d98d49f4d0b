/**
 * Tails: which broker serves each, and what happens when a topic moves, or goes.
 *
 * A topic's tails form a group. The group is with the broker that leads the topic (broker-tails.ts does the
 * fetching); when the broker says that it does not lead it any more, or metadata says so, the group is placed anew.
 */
import { FramelogError } from '../../errors.ts'
import type { Offset } from '../../units.ts'
import type { Chunk, Tail, TailSink, Topic } from '../log.ts'
import { BrokerTails } from './broker-tails.ts'
import { type Cluster, notFound } from './cluster.ts'
import type { Connections } from './connections.ts'
import { closedError } from './errors.ts'
import type { Pacer } from './pacer.ts'
import { outOfRange } from './read.ts'

export class KafkaTail implements Tail {
  next: Offset
  /** It has read up to the topic's end once: a poll with a session serves it from then on. */
  joined = false
  /** Turn of the fresh poll that asked for it last. */
  turn = 0
  readonly #group: TailGroup
  readonly #sink: TailSink
  #open = true

  constructor(group: TailGroup, from: Offset, sink: TailSink) {
    this.#group = group
    this.next = from
    this.#sink = sink
  }

  close(): void {
    if (!this.#open) return
    this.#open = false
    this.#group.remove(this)
  }

  deliver(chunk: Chunk): void {
    if (!this.#open) return
    this.next = chunk.next
    try {
      this.#sink.onChunk(chunk)
    } catch (cause) {
      this.end(new FramelogError('INTERNAL', 'the receiver of a tail threw an error', { cause }))
    }
  }

  end(error: FramelogError): void {
    if (!this.#open) return
    this.close()
    this.#sink.onEnd(error)
  }
}

/** The tails of one topic. */
export class TailGroup {
  readonly topic: Topic
  readonly tails = new Set<KafkaTail>()
  /** When a record came last; milliseconds of performance.now(). */
  recordAt = 0
  /** Failures in a row. */
  failures = 0
  /** Since when the user may not read it; milliseconds of performance.now(). */
  refusedSince: number | undefined
  readonly #onEmpty: () => void

  constructor(topic: Topic, onEmpty: () => void) {
    this.topic = topic
    this.#onEmpty = onEmpty
  }

  remove(tail: KafkaTail): void {
    this.tails.delete(tail)
    if (this.tails.size === 0) this.#onEmpty()
  }

  /** Where a poll with a session reads: the furthest of those that it serves. */
  get front(): Offset | undefined {
    let front: Offset | undefined
    for (const { joined, next } of this.tails) if (joined && next >= (front ?? 0)) front = next
    return front
  }

  /**
   * Hands on what was fetched from `from` on, to every tail that stands inside of it: two polls may have fetched
   * the same records, and each tail takes what is next for it.
   */
  deliver(from: number, chunk: Chunk): void {
    for (const tail of [...this.tails]) {
      if (tail.next < from || tail.next >= chunk.next) continue
      tail.deliver(tail.next === from ? chunk : behind(chunk, tail.next))
    }
  }

  /** Ends the tails that stand at an offset which is not there. */
  endAt(at: number): void {
    for (const tail of [...this.tails]) if (tail.next === at) tail.end(outOfRange(this.topic, at))
  }

  end(error: FramelogError): void {
    for (const tail of [...this.tails]) tail.end(error)
  }
}

/** What of a chunk lies at or after an offset. */
function behind(chunk: Chunk, at: Offset): Chunk {
  const { records, damaged = [], next, end } = chunk
  const left = damaged.filter(each => each.next > at).map(each => ({ ...each, from: max(each.from, at) }))
  const rest: Chunk = { records: records.filter(({ offset }) => offset >= at), next, end }
  return left.length > 0 ? { ...rest, damaged: left } : rest
}

const max = (a: Offset, b: Offset): Offset => (a > b ? a : b)

export class Tails {
  readonly #cluster: Cluster
  readonly #connections: Connections
  readonly #groups = new Map<string, TailGroup>()
  readonly #brokers = new Map<string, BrokerTails>()
  /** Address of the broker that a group is with, by topic id. */
  readonly #placed = new Map<string, string>()
  readonly #locating = new Set<TailGroup>()
  readonly #pacer: Pacer
  #closed = false

  constructor(cluster: Cluster, connections: Connections, pacer: Pacer) {
    this.#cluster = cluster
    this.#connections = connections
    this.#pacer = pacer
  }

  tail(topic: Topic, from: Offset, sink: TailSink): Tail {
    const group = this.#groups.get(topic.id) ?? this.#addGroup(topic)
    const tail = new KafkaTail(group, from, sink)
    group.tails.add(tail)
    // The sink's calls come outside of this one.
    queueMicrotask(() => {
      if (this.#closed) tail.end(closedError())
      else if (from < 0) tail.end(outOfRange(topic, from))
      else if (group.tails.size > 0) this.#place(group)
    })
    return tail
  }

  /** Leaders may have changed. */
  rearrange(): void {
    for (const group of this.#groups.values()) this.#place(group)
  }

  has(topic: Topic): boolean {
    return this.#groups.has(topic.id)
  }

  end(topic: Topic, error: FramelogError): void {
    this.#groups.get(topic.id)?.end(error)
  }

  close(): void {
    this.#closed = true
    for (const group of [...this.#groups.values()]) group.end(closedError())
    for (const broker of this.#brokers.values()) broker.close()
  }

  #addGroup(topic: Topic): TailGroup {
    const group = new TailGroup(topic, () => {
      if (this.#groups.get(topic.id) === group) this.#groups.delete(topic.id)
      this.#unplace(group)
    })
    this.#groups.set(topic.id, group)
    return group
  }

  #unplace(group: TailGroup): void {
    const key = this.#placed.get(group.topic.id)
    this.#placed.delete(group.topic.id)
    if (key !== undefined) this.#brokers.get(key)?.remove(group)
  }

  #place(group: TailGroup): void {
    if (this.#closed || this.#locating.has(group)) return
    const leader = this.#cluster.isGone(group.topic) ? undefined : this.#cluster.leader(group.topic)
    if (leader === undefined) {
      void this.#locate(group)
      return
    }
    if (this.#placed.get(group.topic.id) !== leader.key) this.#unplace(group)
    this.#placed.set(group.topic.id, leader.key)
    let broker = this.#brokers.get(leader.key)
    if (broker === undefined) {
      broker = new BrokerTails({
        address: leader,
        cluster: this.#cluster,
        connections: this.#connections,
        pacer: this.#pacer,
        onMisplaced: misplaced => {
          this.#unplace(misplaced)
          void this.#locate(misplaced)
        },
      })
      this.#brokers.set(leader.key, broker)
    }
    broker.add(group)
  }

  /** Waits for the leader, for as long as the topic exists. */
  async #locate(group: TailGroup): Promise<void> {
    if (this.#locating.has(group)) return
    this.#locating.add(group)
    this.#unplace(group)
    try {
      if (group.failures > 0) {
        await this.#cluster.pause(Math.min(20 * 2 ** Math.min(group.failures, 6), 1000))
        await this.#cluster.refresh([group.topic])
      }
      await this.#cluster.findLeader(group.topic, Number.POSITIVE_INFINITY)
    } catch {
      if (this.#cluster.isGone(group.topic)) group.end(notFound(group.topic))
      else if (!this.#closed) await this.#cluster.pause(500).catch(() => {})
    }
    this.#locating.delete(group)
    if (this.#groups.get(group.topic.id) === group) this.#place(group)
  }
}
