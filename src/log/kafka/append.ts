/**
 * Appends. No lingering: what has come up to the moment in which a broker's produce connection is free goes in
 * one request, one batch a topic; while that is under way, the next one gathers.
 *
 * Order: a topic has at most one batch under way, and a batch that failed in passing goes again before anything
 * newer of its topic. It may then be in the log twice.
 */
import { setTimeout as delay } from 'node:timers/promises'
import type { MessageRecord } from '@platformatic/kafka'
import { BoundedQueue } from '../../core/queue.ts'
import { FramelogError, toFramelogError } from '../../errors.ts'
import type { Offset } from '../../units.ts'
import type { NewRecord, Topic } from '../log.ts'
import { produceApi } from './apis.ts'
import { type Cluster, notFound } from './cluster.ts'
import type { Connections } from './connections.ts'
import { answeredError, closedError, errorName, isOfConnection, isPassing } from './errors.ts'
import type { Address } from './options.ts'
import type { Pacer } from './pacer.ts'
import { encodeMessage, namesTopic, type ProduceResult } from './produce.ts'

/** Bytes of values in a batch; a single larger append goes alone. */
const batchBytes = 512 * 1024
/** Bytes of values in a request over all its batches. */
const requestBytes = 8 * 1024 * 1024
const maxWaitingCalls = 100_000
/** Milliseconds after which an append fails: longer than a cluster takes to notice a lost broker and choose another. */
const deliveryTimeout = 120_000
/** Milliseconds that the leader waits for its followers; what is not replicated by then is sent again. */
const brokerTimeout = 4000
/** Milliseconds without an answer after which the cluster is asked whether the broker is still there. */
const doubtAfter = 1000
/** What a record costs beside its value, about. */
const recordOverhead = 128

interface Call {
  readonly messages: readonly MessageRecord[]
  readonly bytes: number
  readonly since: number
  readonly resolve: (offset: Offset) => void
  readonly reject: (error: FramelogError) => void
  /** Rejected while its batch is under way; it still counts when the batch's offset comes. */
  settled: boolean
}

/** The waiting appends of one topic. */
interface Lane {
  readonly topic: Topic
  readonly waiting: BoundedQueue<Call>
  /** Sent, or to be sent again before anything else. */
  batch: readonly Call[]
  /** A batch that was too large in one piece: goes one by one before anything that waits. */
  apart: Call[]
  /** Of all that is not settled yet. */
  bytes: number
  state: 'idle' | 'sent' | 'pausing'
  /** Why the last attempt failed. */
  failure: FramelogError | undefined
  failures: number
}

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
    let messages: MessageRecord[]
    try {
      messages = records.map(encodeMessage)
    } catch (error) {
      return Promise.reject(toFramelogError(error, 'LOG_FAILED'))
    }
    const bytes = records.reduce((sum, { value }) => sum + value.byteLength + recordOverhead, 0)
    const { promise, resolve, reject } = Promise.withResolvers<Offset>()
    const lane = this.#lanes.get(topic.id) ?? this.#addLane(topic)
    const call: Call = { messages, bytes, since: Date.now(), resolve, reject, settled: false }
    const fits =
      lane.bytes + bytes <= this.#limits.perTopic && this.#waitingBytes + bytes <= this.#limits.overall
    if (!fits || !lane.waiting.push(call)) {
      const message = `${lane.bytes} bytes of topic ${topic.name} wait for the cluster, ${this.#waitingBytes} over all topics`
      const error = new FramelogError('LOG_OVERLOADED', message, { cause: lane.failure })
      this.#refuse(topic.id, error)
      return Promise.reject(error)
    }
    lane.bytes += bytes
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
    this.#reject(lane, [...lane.batch, ...lane.apart, ...lane.waiting], error)
    lane.batch = []
    lane.apart = []
    lane.waiting.clear()
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
    const limits = { items: maxWaitingCalls, bytes: Number.MAX_SAFE_INTEGER }
    const waiting = new BoundedQueue<Call>(limits, ({ bytes }) => bytes)
    const lane: Lane = {
      topic,
      waiting,
      batch: [],
      apart: [],
      bytes: 0,
      state: 'idle',
      failure: undefined,
      failures: 0,
    }
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
        fillBatch(lane)
        const size = sizeOf(lane.batch)
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
    this.#busy.set(leader.key, Date.now())
    const sentAt = performance.now()
    for (const lane of lanes) lane.state = 'sent'
    try {
      const batches = lanes.map(({ topic, batch }) => ({
        topic,
        messages: batch.flatMap(({ messages }) => messages),
      }))
      const link = this.#connections.link(leader, 'produce')
      const { results } = await link.request(produceApi, brokerTimeout, batches)
      for (const lane of lanes) this.#settle(lane, results)
    } catch (error) {
      const failure = toFramelogError(error, 'LOG_FAILED')
      for (const lane of lanes) this.#retryOrFail(lane, failure, isOfConnection(failure))
    } finally {
      const wait = this.#pacer.waitAfter(sentAt)
      if (wait > 0 && !this.#closed) await delay(wait)
      this.#busy.delete(leader.key)
      this.pump()
    }
  }

  #settle(lane: Lane, answer: readonly ProduceResult[]): void {
    const { topic } = lane
    const partition = answer.find(each => namesTopic(each, topic))
    if (partition?.errorCode === 0) {
      let at = partition.baseOffset
      const batch = lane.batch
      lane.batch = []
      lane.state = 'idle'
      lane.failures = 0
      lane.failure = undefined
      for (const call of batch) {
        if (!call.settled) {
          this.#release(lane, call)
          call.resolve(at as Offset)
        }
        at += call.messages.length
      }
      return
    }
    const code = partition?.errorCode ?? -1
    const name = errorName(code)
    const tooLarge = name === 'MESSAGE_TOO_LARGE' || name === 'RECORD_LIST_TOO_LARGE'
    if (tooLarge && lane.batch.length > 1) {
      lane.apart = [...lane.batch]
      lane.batch = []
      lane.state = 'idle'
      return
    }
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
      await this.#cluster.findLeader(lane.topic, Date.now() + deliveryTimeout)
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
    const now = Date.now()
    for (const lane of this.#lanes.values()) {
      const oldest = lane.batch[0] ?? lane.apart[0] ?? lane.waiting.peek()
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

  #reject(lane: Lane, calls: readonly Call[], error: FramelogError): void {
    for (const call of calls) {
      if (call.settled) continue
      this.#release(lane, call)
      call.reject(error)
    }
  }

  #release(lane: Lane, call: Call): void {
    call.settled = true
    lane.bytes -= call.bytes
    this.#waitingBytes -= call.bytes
  }
}

const sizeOf = (calls: readonly Call[]): number => calls.reduce((sum, { bytes }) => sum + bytes, 0)

function fillBatch(lane: Lane): void {
  lane.batch = lane.batch.filter(({ settled }) => !settled)
  if (lane.batch.length > 0) return
  const [alone, ...others] = lane.apart.filter(({ settled }) => !settled)
  lane.apart = []
  if (alone) {
    lane.batch = [alone]
    lane.apart = others
    return
  }
  const batch: Call[] = []
  let bytes = 0
  for (let call = lane.waiting.peek(); call !== undefined; call = lane.waiting.peek()) {
    if (batch.length > 0 && bytes + call.bytes > batchBytes) break
    bytes += call.bytes
    batch.push(call)
    lane.waiting.shift()
  }
  lane.batch = batch
}
