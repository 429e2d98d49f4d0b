/** Makes and deletes topics. */
import { FramelogError } from '../../errors.ts'
import type { Topic, TopicOptions } from '../log.ts'
import { createTopicsApi, deleteTopicsApi } from './apis.ts'
import type { Cluster } from './cluster.ts'
import { inWords } from './durability.ts'
import { answeredError, errorName, isPassing } from './errors.ts'
import type { Questions } from './read.ts'

/** Milliseconds after which making or deleting a topic fails. */
const patience = 15_000
/** Room for one large keyframe; the cluster's own default is 1 MiB. */
const maxMessageBytes = 8 * 1024 * 1024
const minutes = 60_000

type Configs = Readonly<Record<string, string>>

export interface TopicSettings {
  /** Copies. Default: the cluster's. */
  readonly replicationFactor: number | undefined
  readonly minInsyncReplicas: number | undefined
}

export class Topics {
  readonly #cluster: Cluster
  readonly #questions: Questions
  readonly #settings: TopicSettings
  readonly #onWarning: (line: string) => void

  constructor(
    cluster: Cluster,
    questions: Questions,
    settings: TopicSettings,
    onWarning: (line: string) => void,
  ) {
    this.#cluster = cluster
    this.#questions = questions
    this.#settings = settings
    this.#onWarning = onWarning
  }

  /**
   * Whether the copies that are asked for can ever be: where the gateway's own topics are there already, the first
   * broadcast would be the one to find out.
   * @throws FramelogError TOPIC_REFUSED
   */
  async checkBrokers(): Promise<void> {
    const { replicationFactor, minInsyncReplicas } = this.#settings
    const copies = replicationFactor ?? minInsyncReplicas
    const present = this.#cluster.brokers.size
    if (copies === undefined || copies <= present) return
    const name = replicationFactor === undefined ? 'MIN_INSYNC_REPLICAS' : 'REPLICATION_FACTOR'
    const asked = `${name}=${copies}`
    const registered = await this.#cluster.registered()
    if (registered === undefined) {
      // Others may be down: what is there can be watched, and a new topic is for the cluster to refuse.
      const line = `${asked} is more than the ${inWords(present)} that the cluster shows now: it may refuse new broadcasts`
      this.#onWarning(line)
    } else if (copies > registered) throw tooManyCopies(asked, registered)
  }

  /** A topic that is there is used as it is: whoever made it had reasons, and this user may have no right to make any. */
  async create(name: string, options: TopicOptions): Promise<Topic> {
    const topic =
      (await this.#cluster.find(name)) ??
      (await this.#make(name, options)) ??
      (await this.#awaitVisible(name))
    // The broker that leads a new topic takes a moment to know it.
    await this.#cluster.findLeader(topic, performance.now() + patience)
    await this.#questions.awaitReadable(topic)
    return topic
  }

  /** @returns undefined where the topic is there already */
  async #make(name: string, options: TopicOptions): Promise<Topic | undefined> {
    const { replicationFactor = -1, minInsyncReplicas } = this.#settings
    const attempts = configAttempts(options, minInsyncReplicas)
    const until = performance.now() + patience
    for (let i = 0, pause = 50; ; ) {
      const configs = Object.entries(attempts[i] ?? {}).map(([key, value]) => ({ name: key, value }))
      const { topics } = await this.#cluster.lookup(
        createTopicsApi,
        [{ name, numPartitions: 1, replicationFactor, assignments: [], configs }],
        patience,
        false,
      )
      const { errorCode = -1, errorMessage = null, topicId = '', replicationFactor: copies } = topics[0] ?? {}
      const error = errorName(errorCode)
      if (errorCode === 0) {
        await this.#checkCopies({ name, id: topicId }, copies)
        return { name, id: topicId }
      }
      if (error === 'TOPIC_ALREADY_EXISTS') return undefined
      const refused = answeredError(errorCode, `to make topic ${name}`, errorMessage)
      if ((error === 'INVALID_CONFIG' || error === 'POLICY_VIOLATION') && i + 1 < attempts.length) {
        const left = Object.keys(attempts[i + 1] ?? {}).join(', ') || 'no settings'
        this.#onWarning(`${refused.message}; trying again with ${left}`)
        i += 1
        continue
      }
      if (error === 'INVALID_REPLICATION_FACTOR') {
        const asked =
          this.#settings.replicationFactor === undefined
            ? "the cluster's own default.replication.factor"
            : `REPLICATION_FACTOR=${replicationFactor}`
        throw tooManyCopies(asked, this.#cluster.brokers.size, refused)
      }
      if (!isPassing(errorCode) || performance.now() > until) throw refused
      await this.#cluster.pause(pause)
      pause = Math.min(pause * 2, 1000)
    }
  }

  /** Brokers take a topic to which nothing can ever be written: fewer copies than must have a record. */
  async #checkCopies(topic: Topic, copies: number | undefined): Promise<void> {
    const { minInsyncReplicas } = this.#settings
    if (minInsyncReplicas === undefined || copies === undefined || copies < 1 || copies >= minInsyncReplicas)
      return
    await this.delete(topic)
    const message = `MIN_INSYNC_REPLICAS=${minInsyncReplicas} is more than the ${copies} of topic ${topic.name}: nothing could be written`
    throw new FramelogError('TOPIC_REFUSED', message)
  }

  /** Somebody else made it: the broker that is asked may learn of it later than the controller. */
  async #awaitVisible(name: string): Promise<Topic> {
    for (const until = performance.now() + patience; ; ) {
      const topic = await this.#cluster.find(name)
      if (topic) return topic
      if (performance.now() > until) {
        throw new FramelogError('LOG_UNREACHABLE', `topic ${name} exists, but no broker shows it`)
      }
      await this.#cluster.pause(30)
    }
  }

  async delete(topic: Topic): Promise<void> {
    const until = performance.now() + patience
    for (let pause = 50; ; pause = Math.min(pause * 2, 1000)) {
      const request = [{ name: null, topicId: topic.id }]
      const { responses } = await this.#cluster.lookup(deleteTopicsApi, request, patience)
      const { errorCode = -1, errorMessage = null } = responses[0] ?? {}
      const error = errorName(errorCode)
      if (errorCode === 0 || error === 'UNKNOWN_TOPIC_ID' || error === 'UNKNOWN_TOPIC_OR_PARTITION') {
        this.#cluster.forget(topic)
        return
      }
      if (!isPassing(errorCode) || performance.now() > until) {
        throw answeredError(errorCode, `to delete topic ${topic.name}`, errorMessage)
      }
      await this.#cluster.pause(pause)
    }
  }
}

function tooManyCopies(asked: string, brokers: number, cause?: FramelogError): FramelogError {
  const message = `${asked} is more than the ${inWords(brokers)} of the cluster can hold`
  return new FramelogError('TOPIC_REFUSED', message, cause === undefined ? {} : { cause })
}

/** What to ask for, and what to leave out step by step where the cluster refuses settings. */
function configAttempts(options: TopicOptions, minInsyncReplicas: number | undefined): readonly Configs[] {
  const copies: Configs =
    minInsyncReplicas === undefined ? {} : { 'min.insync.replicas': String(minInsyncReplicas) }
  const nice: Configs = { 'max.message.bytes': String(maxMessageBytes) }
  if (options.compact) {
    const needed: Configs = { 'cleanup.policy': 'compact', ...copies }
    // Only closed segments are compacted.
    const often: Configs = { 'segment.ms': String(10 * minutes), 'min.cleanable.dirty.ratio': '0.1' }
    return [{ ...needed, ...often, ...nice }, needed]
  }
  const { retention, retentionBytes } = options
  const needed: Configs = {
    'cleanup.policy': 'delete',
    ...copies,
    'retention.ms': String(retention === undefined ? -1 : Math.ceil(retention)),
    'retention.bytes': String(retentionBytes === undefined ? -1 : Math.ceil(retentionBytes)),
  }
  return [{ ...needed, ...segmentConfigs(options), ...nice }, { ...needed, ...nice }, needed, {}]
}

/** Only closed segments are deleted, so they close often enough; each is a few open files in the broker. */
export function segmentLimits({ retention, retentionBytes }: TopicOptions): {
  readonly segmentMs: number | undefined
  readonly segmentBytes: number | undefined
} {
  const clamp = (least: number, value: number, most: number): number =>
    Math.round(Math.min(Math.max(value, least), most))
  return {
    segmentMs: retention === undefined ? undefined : clamp(minutes / 2, retention / 10, 60 * minutes),
    segmentBytes:
      retentionBytes === undefined ? undefined : clamp(2 * maxMessageBytes, retentionBytes / 10, 1024 ** 3),
  }
}

function segmentConfigs(options: TopicOptions): Configs {
  const { segmentMs, segmentBytes } = segmentLimits(options)
  return {
    ...(segmentMs === undefined ? {} : { 'segment.ms': String(segmentMs) }),
    ...(segmentBytes === undefined ? {} : { 'segment.bytes': String(segmentBytes) }),
  }
}
