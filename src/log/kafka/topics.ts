/** Makes and deletes topics. */
import { FramelogError } from '../../errors.ts'
import type { Topic, TopicOptions } from '../log.ts'
import { createTopicsApi, deleteTopicsApi } from './apis.ts'
import type { Cluster } from './cluster.ts'
import { answeredError, errorName, isPassing } from './errors.ts'
import type { Questions } from './read.ts'

/** Milliseconds after which making or deleting a topic fails. */
const patience = 15_000
/** Room for one large keyframe; the cluster's own default is 1 MiB. */
const maxMessageBytes = 8 * 1024 * 1024
const minutes = 60_000

type Configs = Readonly<Record<string, string>>

export class Topics {
  readonly #cluster: Cluster
  readonly #questions: Questions
  readonly #replicationFactor: number
  readonly #onWarning: (line: string) => void

  constructor(
    cluster: Cluster,
    questions: Questions,
    replicationFactor: number | undefined,
    onWarning: (line: string) => void,
  ) {
    this.#cluster = cluster
    this.#questions = questions
    this.#replicationFactor = replicationFactor ?? -1
    this.#onWarning = onWarning
  }

  async create(name: string, options: TopicOptions): Promise<Topic> {
    const topic = (await this.#make(name, options)) ?? (await this.#awaitVisible(name))
    // The broker that leads a new topic takes a moment to know it.
    await this.#cluster.findLeader(topic, Date.now() + patience)
    await this.#questions.awaitReadable(topic)
    return topic
  }

  /** @returns undefined where the topic is there already */
  async #make(name: string, options: TopicOptions): Promise<Topic | undefined> {
    const attempts = configAttempts(options)
    const until = Date.now() + patience
    for (let i = 0, pause = 50; ; ) {
      const configs = Object.entries(attempts[i] ?? {}).map(([key, value]) => ({ name: key, value }))
      const { topics } = await this.#cluster.lookup(
        createTopicsApi,
        [{ name, numPartitions: 1, replicationFactor: this.#replicationFactor, assignments: [], configs }],
        patience,
        false,
      )
      const { errorCode = -1, errorMessage = null, topicId = '' } = topics[0] ?? {}
      const error = errorName(errorCode)
      if (errorCode === 0) return { name, id: topicId }
      if (error === 'TOPIC_ALREADY_EXISTS') return undefined
      const refused = answeredError(errorCode, `to make topic ${name}`, errorMessage)
      if ((error === 'INVALID_CONFIG' || error === 'POLICY_VIOLATION') && i + 1 < attempts.length) {
        const left = Object.keys(attempts[i + 1] ?? {}).join(', ') || 'no settings'
        this.#onWarning(`${refused.message}; trying again with ${left}`)
        i += 1
        continue
      }
      if (!isPassing(errorCode) || Date.now() > until) throw refused
      await this.#cluster.pause(pause)
      pause = Math.min(pause * 2, 1000)
    }
  }

  /** Somebody else made it: the broker that is asked may learn of it later than the controller. */
  async #awaitVisible(name: string): Promise<Topic> {
    for (const until = Date.now() + patience; ; ) {
      const topic = await this.#cluster.find(name)
      if (topic) return topic
      if (Date.now() > until) {
        throw new FramelogError('LOG_UNREACHABLE', `topic ${name} exists, but no broker shows it`)
      }
      await this.#cluster.pause(30)
    }
  }

  async delete(topic: Topic): Promise<void> {
    const until = Date.now() + patience
    for (let pause = 50; ; pause = Math.min(pause * 2, 1000)) {
      const request = [{ name: null, topicId: topic.id }]
      const { responses } = await this.#cluster.lookup(deleteTopicsApi, request, patience)
      const { errorCode = -1, errorMessage = null } = responses[0] ?? {}
      const error = errorName(errorCode)
      if (errorCode === 0 || error === 'UNKNOWN_TOPIC_ID' || error === 'UNKNOWN_TOPIC_OR_PARTITION') {
        this.#cluster.forget(topic)
        return
      }
      if (!isPassing(errorCode) || Date.now() > until) {
        throw answeredError(errorCode, `to delete topic ${topic.name}`, errorMessage)
      }
      await this.#cluster.pause(pause)
    }
  }
}

/** What to ask for, and what to leave out step by step where the cluster refuses settings. */
function configAttempts(options: TopicOptions): readonly Configs[] {
  const nice: Configs = { 'max.message.bytes': String(maxMessageBytes) }
  if (options.compact) {
    const needed: Configs = { 'cleanup.policy': 'compact' }
    // Only closed segments are compacted.
    const often: Configs = { 'segment.ms': String(10 * minutes), 'min.cleanable.dirty.ratio': '0.1' }
    return [{ ...needed, ...often, ...nice }, needed]
  }
  const { retention, retentionBytes } = options
  const needed: Configs = {
    'cleanup.policy': 'delete',
    'retention.ms': String(retention === undefined ? -1 : Math.ceil(retention)),
    'retention.bytes': String(retentionBytes === undefined ? -1 : Math.ceil(retentionBytes)),
  }
  return [{ ...needed, ...segmentConfigs(options), ...nice }, { ...needed, ...nice }, needed, {}]
}

/** Only closed segments are deleted, so they close often enough; each is a few open files in the broker. */
function segmentConfigs({ retention, retentionBytes }: TopicOptions): Configs {
  const clamp = (least: number, value: number, most: number): string =>
    String(Math.round(Math.min(Math.max(value, least), most)))
  return {
    ...(retention === undefined ? {} : { 'segment.ms': clamp(minutes / 2, retention / 10, 60 * minutes) }),
    ...(retentionBytes === undefined
      ? {}
      : { 'segment.bytes': clamp(2 * maxMessageBytes, retentionBytes / 10, 1024 ** 3) }),
  }
}
