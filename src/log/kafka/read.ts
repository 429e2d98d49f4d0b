/** Questions about one topic, each answered by its leader: reads, bounds, offsets by time. */
import { ListOffsetTimestamps } from '@platformatic/kafka'
import { FramelogError } from '../../errors.ts'
import type { Millis, Offset } from '../../units.ts'
import type { Bounds, Chunk, LogRecord, Topic } from '../log.ts'
import { fetchApi, listOffsetsApi } from './apis.ts'
import { type Cluster, notFound } from './cluster.ts'
import type { Connections } from './connections.ts'
import { answeredError, errorName, isOfConnection, isPassing } from './errors.ts'
import type { PartitionAnswer } from './fetch.ts'
import type { Link } from './link.ts'
import { chunkOf, decodeBatches } from './record-batches.ts'
import type { Windows } from './window.ts'

/** Milliseconds after which a question fails, through any number of retries. */
const patience = 15_000
/** Milliseconds for which a new leader may not know yet what its predecessor had acknowledged. */
const endLagPatience = 1500
/** Milliseconds by which a record may be past its retention and still be read: time passes between two questions. */
const clockGrace = 2000
/** What a broker is asked for at least: smaller pieces cost a round trip each. */
const leastBytes = 64 * 1024
/** Larger than the largest batch, which comes whole anyway. */
export const partitionMaxBytes = 9 * 1024 * 1024

type Ask<Answer> = (link: Link) => Promise<{ answer: Answer } | { code: number }>

export class Questions {
  readonly #cluster: Cluster
  readonly #connections: Connections
  readonly #windows: Windows

  constructor(cluster: Cluster, connections: Connections, windows: Windows) {
    this.#cluster = cluster
    this.#connections = connections
    this.#windows = windows
  }

  async read(topic: Topic, from: Offset, maxBytes: number): Promise<Chunk> {
    if (from < 0) throw outOfRange(topic, from)
    const since = performance.now()
    for (let at = from; ; ) {
      const partition = await this.#fetch(topic, at, maxBytes)
      const end = partition.highWatermark as Offset
      const decoded = decodeBatches(partition.records, at, end, maxBytes)
      const { records, damaged, next } = decoded
      if (records.length > 0 || damaged.length > 0) {
        await this.#refuseOld(topic, records)
        return chunkOf(decoded, end)
      }
      if (at === end) return { records, next: at, end }
      if (next === at) {
        // Past the end, or something is there that the broker does not find.
        if (performance.now() - since > endLagPatience) {
          if (at > end) throw outOfRange(topic, at)
          return chunkOf(
            { records, damaged: [{ from: at, next: (at + 1) as Offset }], next: (at + 1) as Offset },
            end,
          )
        }
        await this.#cluster.pause(50)
      }
      at = next
    }
  }

  /** @throws OFFSET_OUT_OF_RANGE where all of it is past the topic's retention */
  async #refuseOld(topic: Topic, records: readonly LogRecord[]): Promise<void> {
    const newest = records.at(-1)
    const begin = this.#windows.knownBegin(topic)
    if (newest === undefined || begin === undefined || newest.timestamp >= begin - clockGrace) return
    // Other writers' stamps may fall: the log knows whether anything young comes before it.
    const young = await this.#offset(topic, BigInt(begin - clockGrace))
    if (young < 0 || newest.offset < young) throw outOfRange(topic, newest.offset)
  }

  async #fetch(topic: Topic, from: Offset, maxBytes: number): Promise<PartitionAnswer> {
    const bytes = Math.max(maxBytes, leastBytes)
    return this.#ask(topic, `to read topic ${topic.name}`, async link => {
      const partition = fetchPartition(from, partitionMaxBytes)
      const topics = [{ topicId: topic.id, partitions: [partition] }]
      const { errorCode, partitions, throttleTime } = await link.request(
        fetchApi,
        0,
        1,
        bytes,
        0,
        0,
        -1,
        topics,
        [],
        '',
      )
      const answer = partitions.find(({ topicId }) => topicId === topic.id)
      const code = errorCode || answer?.errorCode
      if (code !== undefined && errorName(code) === 'OFFSET_OUT_OF_RANGE') throw outOfRange(topic, from)
      if (answer !== undefined && !code) return { answer }
      // A broker that holds a client back answers with nothing.
      return { code: code || (throttleTime > 0 ? throttled : unknownTopic) }
    })
  }

  async bounds(topic: Topic): Promise<Bounds> {
    const begin = this.#windows.begin(topic)
    const [first, next] = await Promise.all([
      this.#offset(topic, ListOffsetTimestamps.EARLIEST),
      this.#offset(topic, ListOffsetTimestamps.LATEST),
      this.#confirm(topic),
    ])
    const time = await begin
    if (time === undefined || first >= next) return { first, next: Math.max(first, next) as Offset }
    // After the end was known: what is appended meanwhile is never taken for old.
    const young = await this.#offset(topic, BigInt(time))
    if (young > first) this.#windows.trim(topic, young)
    return { first: young < 0 ? next : (Math.max(first, Math.min(young, next)) as Offset), next }
  }

  async offsetAt(topic: Topic, time: Millis): Promise<Offset> {
    const begin = (await this.#windows.begin(topic)) ?? 0
    const [found, end] = await Promise.all([
      this.#offset(topic, BigInt(Math.max(0, Math.ceil(time), begin))),
      this.#offset(topic, ListOffsetTimestamps.LATEST),
      this.#confirm(topic),
    ])
    return found < 0 ? end : found
  }

  /** Waits until the leader answers for a topic that was just made. */
  async awaitReadable(topic: Topic): Promise<void> {
    await this.#offset(topic, ListOffsetTimestamps.LATEST)
  }

  #offset(topic: Topic, timestamp: bigint): Promise<Offset> {
    return this.#ask(topic, `to tell an offset of topic ${topic.name}`, async link => {
      const partitions = [{ partitionIndex: 0, currentLeaderEpoch: -1, timestamp }]
      const { topics } = await link.request(listOffsetsApi, -1, 0, [{ name: topic.name, partitions }])
      const answer = topics[0]?.partitions[0]
      if (answer === undefined || answer.errorCode !== 0) return { code: answer?.errorCode || unknownTopic }
      return { answer: Number(answer.offset) as Offset }
    })
  }

  /** ListOffsets asks by name; this makes sure that the name is still this topic's. */
  async #confirm(topic: Topic): Promise<void> {
    await this.#cluster.refresh([topic])
    if (!this.#cluster.leader(topic)) await this.#cluster.findLeader(topic, performance.now() + patience)
  }

  /** Asks the leader, wherever it moves to meanwhile. */
  async #ask<Answer>(topic: Topic, doing: string, ask: Ask<Answer>): Promise<Answer> {
    const until = performance.now() + patience
    for (let pause = 20; ; pause = Math.min(pause * 2, 500)) {
      const leader = await this.#cluster.findLeader(topic, until)
      const result = await ask(this.#connections.link(leader, 'replay')).catch((error: unknown) => {
        if (error instanceof FramelogError && isOfConnection(error)) return { error }
        throw error
      })
      if ('answer' in result) return result.answer
      if ('code' in result && !isPassing(result.code)) throw answeredError(result.code, doing)
      await this.#cluster.refresh([topic]).catch(() => {})
      if (this.#cluster.isGone(topic)) throw notFound(topic)
      if (performance.now() > until) throw 'code' in result ? answeredError(result.code, doing) : result.error
      await this.#cluster.pause(pause)
    }
  }
}

/** An answer that leaves out what was asked for. */
const unknownTopic = 3
/** THROTTLING_QUOTA_EXCEEDED. */
const throttled = 89

export const fetchPartition = (from: number, maxBytes: number) => ({
  partition: 0,
  currentLeaderEpoch: -1,
  fetchOffset: BigInt(from),
  lastFetchedEpoch: -1,
  partitionMaxBytes: maxBytes,
})

export const outOfRange = (topic: Topic, from: number): FramelogError =>
  new FramelogError('OFFSET_OUT_OF_RANGE', `offset ${from} is not in topic ${topic.name}`)
