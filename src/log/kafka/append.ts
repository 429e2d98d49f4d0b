/**
 * Appends. No lingering: what has come up to the moment in which a broker's produce connection is free goes in
 * one request, one batch a topic; while that is under way, the next one gathers.
 *
 * Order: a topic has at most one batch under way, and a batch that failed in passing goes again before anything
 * newer of its topic. It may then be in the log twice.
 */
import { FramelogError, toFramelogError } from '../../errors.ts'
import type { Offset } from '../../units.ts'
import type { NewRecord, Topic } from '../log.ts'
import { produceApi } from './apis.ts'
import { type Cluster, notFound } from './cluster.ts'
import type { Connections } from './connections.ts'
import { answeredError, closedError, errorName, isOfConnection, isPassing } from './errors.ts'
import { type Call, Lane } from './lane.ts'
import type { Address } from './options.ts'
import type { Pacer } from './pacer.ts'
import { namesTopic, type ProduceResult } from './produce.ts'

/** Bytes of values in a request over all its batches. */
const requestBytes = 8 * 1024 * 1024
/** Milliseconds after which an append fails: longer than a cluster takes to notice a lost broker and choose another. */
const deliveryTimeout = 120_000
/** Milliseconds that the leader waits for its followers; what is not replicated by then is sent again. */
const brokerTimeout = 4000
/** Milliseconds without an answer after which the cluster is asked whether the broker is still there. */
const doubtAfter = 1000
/** What a record costs beside its value, about. */
const recordOverhead = 128

export interface AppendLimits {
  readonly perTopic: number
  readonly overall: number
}

export class Appender {
  readonly #cluster: Cluster
  readonly #connections: Connections
  readonly #pacer: Pacer
  readonly #limits: AppendLimits
  readonly #lanes = new Map<string, Lane>()
  /** When the request that is under way to a broker was sent, by address. */
  readonly #busy = new Map<string, number>()
  /** Topics in which an append has just failed, until whoever made it has been told. */
  readonly #refusing = new Map<string, FramelogError>()
  readonly #timer: NodeJS.Timeout
  #waitingBytes = 0
  #scheduled = false
  #closed = false

  constructor(cluster: Cluster, connections: Connections, pacer: Pacer, limits: AppendLimits) {
    this.#cluster = cluster
    this.#connections = connections
    this.#pacer = pacer
    this.#limits = limits
    this.#timer = setInterval(() => this.#watch(), 500)
    this.#timer.unref()
  }

  append(topic: Topic, records: readonly NewRecord[]): Promise<Offset> {
    if (this.#closed) return Promise.reject(closedError())
    if (this.#cluster.isGone(topic)) return Promise.reject(notFound(topic))
    const refused = this.#refusing.get(topic.id)
    if (refused !== undefined) return Promise.reject(refused)
    if (!records.every(({ timestamp }) => Number.isSafeInteger(Math.round(timestamp))))
      return Promise.reject(new FramelogError('LOG_FAILED', 'a record whose timestamp is none'))
    const bytes = records.reduce((sum, { value }) => sum + value.byteLength + recordOverhead, 0)
    const { promise, resolve, reject } = Promise.withResolvers<Offset>()
    const lane = this.#lanes.get(topic.id) ?? this.#addLane(topic)
    const call: Call = { records, bytes, since: performance.now(), resolve, reject }
    const fits =
      lane.bytes + bytes <= this.#limits.perTopic && this.#waitingBytes + bytes <= this.#limits.overall
    if (!fits || !lane.push(call)) {
      const message = `${lane.bytes} bytes of topic ${topic.name} wait for the cluster, ${this.#waitingBytes} over all topics`
      const error = new FramelogError('LOG_OVERLOADED', message, { cause: lane.failure })
      this.#refuse(topic.id, error)
      return Promise.reject(error)
    }
    this.#waitingBytes += bytes
    this.#pacer.count(records.length)
    this.pump()
    return promise
  }

  /** Sends what can be sent, at the end of the current turn: appends of the same turn share a request. */
  pump(): void {
    if (this.#scheduled || this.#closed) return
    this.#scheduled = true
    queueMicrotask(() => {
      this.#scheduled = false
      if (!this.#closed) this.#send()
    })
  }

  /** Fails what waits in a topic. */
  fail(topicId: string, error: FramelogError): void {
    this.#refuse(topicId, error)
    const lane = this.#lanes.get(topicId)
    if (lane === undefined) return
    this.#lanes.delete(topicId)
    this.#waitingBytes -= lane.fail(error)
  }

  close(): void {
    this.#closed = true
    clearInterval(this.#timer)
    for (const id of [...this.#lanes.keys()]) this.fail(id, closedError())
  }

  /** What comes before anybody can know of a failure fails like it: nothing lands behind a hole that nobody knows of. */
  #refuse(topicId: string, error: FramelogError): void {
    if (this.#refusing.has(topicId)) return
    this.#refusing.set(topicId, error)
    // Once the promises of this turn have told whoever waits.
    queueMicrotask(() => process.nextTick(() => this.#refusing.delete(topicId)))
  }

  #addLane(topic: Topic): Lane {
    const lane = new Lane(topic)
    this.#lanes.set(topic.id, lane)
    return lane
  }

  #send(): void {
    const byLeader = new Map<Address, Lane[]>()
    for (const lane of this.#lanes.values()) {
      if (lane.state !== 'idle') continue
      if (lane.bytes === 0) {
        this.#lanes.delete(lane.topic.id)
        continue
      }
      const leader = this.#cluster.leader(lane.topic)
      if (leader === undefined) {
        void this.#locate(lane)
        continue
      }
      if (this.#busy.has(leader.key)) continue
      const lanes = byLeader.get(leader)
      if (lanes) lanes.push(lane)
      else byLeader.set(leader, [lane])
    }
    for (const [leader, lanes] of byLeader) {
      const sent: Lane[] = []
      let bytes = 0
      for (const lane of lanes) {
        const size = lane.fill()
        if (sent.length > 0 && bytes + size > requestBytes) continue
        bytes += size
        sent.push(lane)
        // To the back: whoever found no room in this request is first in the next.
        this.#lanes.delete(lane.topic.id)
        this.#lanes.set(lane.topic.id, lane)
      }
      void this.#produce(leader, sent)
    }
  }

  async #produce(leader: Address, lanes: readonly Lane[]): Promise<void> {
    this.#busy.set(leader.key, performance.now())
    const sentAt = performance.now()
    for (const lane of lanes) lane.state = 'sent'
    try {
      const batches = lanes.map(({ topic, batch }) => ({
        topic,
        records: batch.flatMap(({ records }) => records),
      }))
      const link = this.#connections.link(leader, 'produce')
      const { results } = await link.request(produceApi, brokerTimeout, batches)
      for (const lane of lanes) this.#settle(lane, results)
    } catch (error) {
      const failure = toFramelogError(error, 'LOG_FAILED')
      for (const lane of lanes) this.#retryOrFail(lane, failure, isOfConnection(failure))
    } finally {
      await this.#pacer.keepDistance(sentAt)
      this.#busy.delete(leader.key)
      this.pump()
    }
  }

  #settle(lane: Lane, answer: readonly ProduceResult[]): void {
    const { topic } = lane
    const partition = answer.find(each => namesTopic(each, topic))
    if (partition?.errorCode === 0) {
      this.#waitingBytes -= lane.accept(partition.baseOffset)
      return
    }
    const code = partition?.errorCode ?? -1
    const name = errorName(code)
    const tooLarge = name === 'MESSAGE_TOO_LARGE' || name === 'RECORD_LIST_TOO_LARGE'
    if (tooLarge && lane.split()) return
    const doing = `to append to topic ${topic.name}`
    this.#retryOrFail(lane, answeredError(code, doing, partition?.errorMessage), isPassing(code))
  }

  #retryOrFail(lane: Lane, failure: FramelogError, passing: boolean): void {
    lane.failure = failure
    if (this.#lanes.get(lane.topic.id) !== lane) return
    if (passing) {
      lane.failures += 1
      void this.#locate(lane)
      return
    }
    this.fail(lane.topic.id, failure)
  }

  /** Finds the leader again, after a pause where there was a failure; then the lane goes on. */
  async #locate(lane: Lane): Promise<void> {
    lane.state = 'pausing'
    try {
      if (lane.failures > 0) {
        await this.#cluster.refresh([lane.topic]).catch(() => {})
        await this.#cluster.pause(Math.min(20 * 2 ** Math.min(lane.failures, 6), 500))
      }
      await this.#cluster.findLeader(lane.topic, performance.now() + deliveryTimeout)
    } catch (error) {
      const failure = toFramelogError(error, 'LOG_FAILED')
      lane.failure = failure
      if (!isOfConnection(failure) && this.#lanes.get(lane.topic.id) === lane)
        this.fail(lane.topic.id, failure)
    }
    lane.state = 'idle'
    this.pump()
  }

  /** Fails topics whose appends waited too long, and doubts brokers that do not answer. */
  #watch(): void {
    const now = performance.now()
    for (const lane of this.#lanes.values()) {
      const { oldest } = lane
      if (oldest === undefined || now - oldest.since <= deliveryTimeout) continue
      const reason = lane.failure ? `: ${lane.failure.message}` : ''
      const message = `topic ${lane.topic.name} took no append for ${deliveryTimeout / 1000} s${reason}`
      this.fail(lane.topic.id, new FramelogError('LOG_UNREACHABLE', message, { cause: lane.failure }))
    }
    if ([...this.#busy.values()].some(since => now - since > doubtAfter)) {
      // A broker that is gone is dropped, and what waits for it goes to its successor.
      this.#cluster.refresh([...this.#lanes.values()].map(({ topic }) => topic)).catch(() => {})
    }
  }
}
