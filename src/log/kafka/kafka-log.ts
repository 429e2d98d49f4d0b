/** The log on a Kafka cluster: put together from its parts, each of which does one thing. */
import { setTimeout as delay } from 'node:timers/promises'
import { ConfigResourceTypes } from '@platformatic/kafka'
import { FramelogError } from '../../errors.ts'
import type { Millis, Offset } from '../../units.ts'
import type {
  Bounds,
  Chunk,
  Log,
  LogDescription,
  NewRecord,
  Tail,
  TailSink,
  Topic,
  TopicOptions,
} from '../log.ts'
import { describeConfigsApi } from './apis.ts'
import { Appender } from './append.ts'
import { Cluster, notFound } from './cluster.ts'
import { Connections } from './connections.ts'
import { durability } from './durability.ts'
import { closedError } from './errors.ts'
import { bootstrapAddresses, connectionOptions, type KafkaLogOptions } from './options.ts'
import { Pacer } from './pacer.ts'
import { Questions } from './read.ts'
import { Tails } from './tail.ts'
import { segmentLimits, Topics } from './topics.ts'
import { Windows } from './window.ts'

export type { KafkaLogOptions, SaslMechanism, SecurityProtocol } from './options.ts'

/** Milliseconds after which opening fails. */
const openTimeout = 6000
const mebibyte = 1024 * 1024

/**
 * Connects to whichever bootstrap server answers first.
 * @throws FramelogError LOG_UNREACHABLE, LOG_AUTHENTICATION, LOG_CERTIFICATE, LOG_TLS, BAD_CONFIG; TOPIC_REFUSED where
 *   the cluster can never hold the copies asked for
 */
export async function openKafkaLog(options: KafkaLogOptions): Promise<Log> {
  const addresses = bootstrapAddresses(options.bootstrapServers)
  let isOpen = false
  // While it opens, what is wrong is thrown.
  const onTrouble = (line: string): void => {
    if (isOpen) options.onWarning?.(line)
  }
  const connections = new Connections(connectionOptions(options), options.clientId ?? 'framelog', onTrouble)
  const log = new KafkaLog(options, connections, addresses)
  const timeout = new AbortController()
  try {
    const late = delay(openTimeout, undefined, { signal: timeout.signal }).then(() => {
      const all = addresses.map(({ key }) => key).join(', ')
      throw new FramelogError('LOG_UNREACHABLE', `no answer from ${all} within ${openTimeout / 1000} s`)
    })
    late.catch(() => {})
    await Promise.race([log.connect(), late])
    isOpen = true
    return log
  } catch (error) {
    await log[Symbol.asyncDispose]()
    throw error
  } finally {
    timeout.abort()
  }
}

class KafkaLog implements Log {
  readonly #options: KafkaLogOptions
  readonly #connections: Connections
  readonly #cluster: Cluster
  readonly #questions: Questions
  readonly #topics: Topics
  readonly #appender: Appender
  readonly #tails: Tails
  #closed = false

  constructor(
    options: KafkaLogOptions,
    connections: Connections,
    addresses: ReturnType<typeof bootstrapAddresses>,
  ) {
    this.#options = options
    this.#connections = connections
    const onChange = (): void => {
      this.#tails.rearrange()
      this.#appender.pump()
    }
    this.#cluster = new Cluster(connections, addresses, onChange, topic => this.#tails.has(topic))
    const onWarning = options.onWarning ?? (() => {})
    const windows = new Windows(this.#cluster, connections, onWarning)
    this.#questions = new Questions(this.#cluster, connections, windows)
    const { replicationFactor, minInsyncReplicas } = options
    const copies = { replicationFactor, minInsyncReplicas }
    this.#topics = new Topics(this.#cluster, this.#questions, copies, onWarning)
    const pacer = new Pacer(() => this.#cluster.brokers.size)
    this.#appender = new Appender(this.#cluster, connections, pacer, {
      perTopic: options.maxWaitingBytes ?? 64 * mebibyte,
      overall: options.maxWaitingBytesOverall ?? 512 * mebibyte,
    })
    this.#tails = new Tails(this.#cluster, connections, pacer)
  }

  async connect(): Promise<void> {
    await this.#cluster.connect()
    await this.#topics.checkBrokers()
  }

  async describe(topics: TopicOptions = {}): Promise<LogDescription> {
    this.#checkOpen()
    const settings = await this.#brokerSettings()
    const copies = this.#options.replicationFactor ?? settings.get('default.replication.factor')
    const least = this.#options.minInsyncReplicas ?? settings.get('min.insync.replicas')
    return {
      backend: 'kafka',
      durability: durability(copies, least, this.#cluster.brokers.size),
      beyond: beyond(topics, settings),
    }
  }

  async create(name: string, options: TopicOptions): Promise<Topic> {
    this.#checkOpen()
    return this.#topics.create(name, options)
  }

  async find(name: string): Promise<Topic | undefined> {
    this.#checkOpen()
    return this.#cluster.find(name)
  }

  async topics(prefix: string): Promise<readonly Topic[]> {
    this.#checkOpen()
    return this.#cluster.list(prefix)
  }

  async append(topic: Topic, records: readonly NewRecord[]): Promise<Offset> {
    this.#checkOpen()
    if (records.length === 0) return (await this.#questions.bounds(topic)).next
    return this.#appender.append(topic, records)
  }

  async bounds(topic: Topic): Promise<Bounds> {
    this.#checkOpen()
    return this.#questions.bounds(topic)
  }

  async offsetAt(topic: Topic, time: Millis): Promise<Offset> {
    this.#checkOpen()
    return this.#questions.offsetAt(topic, time)
  }

  async read(topic: Topic, from: Offset, maxBytes: number): Promise<Chunk> {
    this.#checkOpen()
    return this.#questions.read(topic, from, maxBytes)
  }

  tail(topic: Topic, from: Offset, sink: TailSink): Tail {
    return this.#tails.tail(topic, from, sink)
  }

  async delete(topic: Topic): Promise<void> {
    this.#checkOpen()
    await this.#topics.delete(topic)
    const gone = notFound(topic)
    this.#appender.fail(topic.id, gone)
    this.#tails.end(topic, gone)
  }

  async [Symbol.asyncDispose](): Promise<void> {
    if (this.#closed) return
    this.#closed = true
    this.#tails.close()
    this.#appender.close()
    this.#cluster.close()
    this.#connections.close()
  }

  #checkOpen(): void {
    if (this.#closed) throw closedError()
  }

  /** Numbers among a broker's settings; none where this user may not see them. */
  async #brokerSettings(): Promise<Map<string, number>> {
    const found = new Map<string, number>()
    const [id, address] = [...this.#cluster.brokers][0] ?? []
    if (id === undefined || address === undefined) return found
    const link = this.#connections.link(address, 'lookup')
    const { results } = await link.request(
      describeConfigsApi,
      [
        {
          resourceType: ConfigResourceTypes.BROKER,
          resourceName: String(id),
          configurationKeys: describedSettings,
        },
      ],
      false,
      false,
    )
    for (const { name, value } of results[0]?.configs ?? []) found.set(name, Number(value))
    return found
  }
}

const describedSettings = [
  'default.replication.factor',
  'min.insync.replicas',
  'log.retention.check.interval.ms',
  'log.segment.delete.delay.ms',
]

/** A segment goes when its newest record is past the window, at the brokers' next look, after a delay of theirs. */
function beyond(topics: TopicOptions, settings: ReadonlyMap<string, number>): string {
  const { segmentMs, segmentBytes } = segmentLimits(topics)
  const look = settings.get('log.retention.check.interval.ms')
  const delay = settings.get('log.segment.delete.delay.ms')
  const held: string[] = []
  if (segmentMs !== undefined && look !== undefined && delay !== undefined)
    held.push(`${Math.ceil((segmentMs + look + delay) / 60_000)} min of each broadcast past RETENTION`)
  if (segmentBytes !== undefined)
    held.push(`${Math.ceil(segmentBytes / 1024 ** 2)} MiB of each past RETENTION_BYTES`)
  return held.length === 0 ? '' : `disks may hold up to ${held.join(', and ')}`
}
