/**
 * The retention window as it is kept: Kafka removes closed segments only, now and then, so brokers still give out what is
 * past it. Here nothing older than a topic's own `retention.ms` is served, and it is removed by DeleteRecords where the
 * user may do that.
 */
import { ConfigResourceTypes } from '@platformatic/kafka'
import { FramelogError } from '../../errors.ts'
import type { Millis, Offset } from '../../units.ts'
import type { Topic } from '../log.ts'
import { deleteRecordsApi, describeConfigsApi } from './apis.ts'
import type { Cluster } from './cluster.ts'
import type { Connections } from './connections.ts'
import { errorName } from './errors.ts'

/** Milliseconds for which a topic's settings are believed. */
const settingsAge = 60_000
/** Milliseconds between two removals in one topic. */
const trimEvery = 10_000
const deleteTimeout = 5000
const rememberedTopics = 10_000

interface Known {
  /** Milliseconds; undefined where nothing goes by age, or the user may not see it. */
  window: number | undefined
  /** When it was asked for; milliseconds of Date.now(). */
  askedAt: number
  asking: Promise<void> | undefined
  trimmedAt: number
}

export class Windows {
  readonly #cluster: Cluster
  readonly #connections: Connections
  readonly #onWarning: (line: string) => void
  /** By topic id, the longest unused first. */
  readonly #known = new Map<string, Known>()
  #mayDescribe = true
  #mayDelete = true

  constructor(cluster: Cluster, connections: Connections, onWarning: (line: string) => void) {
    this.#cluster = cluster
    this.#connections = connections
    this.#onWarning = onWarning
  }

  /** The time before which records are not served; undefined where all are. */
  async begin(topic: Topic): Promise<Millis | undefined> {
    const known = this.#know(topic)
    if (known.asking === undefined && Date.now() - known.askedAt > settingsAge && this.#mayDescribe) {
      const first = known.askedAt === 0
      known.askedAt = Date.now()
      known.asking = this.#ask(topic, known).finally(() => {
        known.asking = undefined
      })
      // What was known before serves meanwhile.
      if (first) await known.asking
    } else if (known.asking !== undefined && known.window === undefined) await known.asking
    return this.knownBegin(topic)
  }

  /** The same as far as it is known. */
  knownBegin(topic: Topic): Millis | undefined {
    const window = this.#known.get(topic.id)?.window
    return window === undefined ? undefined : ((Date.now() - window) as Millis)
  }

  /** Removes what lies before an offset, in the background. */
  trim(topic: Topic, before: Offset): void {
    const known = this.#know(topic)
    const leader = this.#cluster.leader(topic)
    if (!this.#mayDelete || leader === undefined || Date.now() - known.trimmedAt < trimEvery) return
    known.trimmedAt = Date.now()
    const partitions = [{ partitionIndex: 0, offset: BigInt(before) }]
    this.#connections
      .link(leader, 'lookup')
      .request(deleteRecordsApi, [{ name: topic.name, partitions }], deleteTimeout)
      .then(({ topics }) => {
        const code = topics[0]?.partitions[0]?.errorCode ?? 0
        if (errorName(code) !== 'TOPIC_AUTHORIZATION_FAILED') return
        this.#mayDelete = false
        this.#onWarning(
          'no right to Delete on topics: what is past RETENTION is not served, and stays on the disks until its segment goes',
        )
      })
      // It is tried again when somebody asks for the topic's bounds.
      .catch(() => {})
  }

  #know(topic: Topic): Known {
    const known = this.#known.get(topic.id) ?? {
      window: undefined,
      askedAt: 0,
      asking: undefined,
      trimmedAt: 0,
    }
    this.#known.delete(topic.id)
    this.#known.set(topic.id, known)
    for (const id of this.#known.keys()) {
      if (this.#known.size <= rememberedTopics) break
      this.#known.delete(id)
    }
    return known
  }

  async #ask(topic: Topic, known: Known): Promise<void> {
    const resource = {
      resourceType: ConfigResourceTypes.TOPIC,
      resourceName: topic.name,
      configurationKeys: ['cleanup.policy', 'retention.ms'],
    }
    try {
      const { results } = await this.#cluster.lookup(describeConfigsApi, [resource], false, false)
      const configs = new Map(results[0]?.configs.map(({ name, value }) => [name, value]))
      const retention = Number(configs.get('retention.ms') ?? -1)
      const goes = String(configs.get('cleanup.policy') ?? '').includes('delete')
      known.window = goes && retention > 0 ? retention : undefined
      if (errorName(results[0]?.errorCode ?? 0) === 'TOPIC_AUTHORIZATION_FAILED') this.#forbidden()
    } catch (error) {
      // Unanswered: what is known stays, and the next question asks again.
      known.askedAt = 0
      if (error instanceof FramelogError && error.code === 'LOG_AUTHORIZATION') this.#forbidden()
    }
  }

  #forbidden(): void {
    if (!this.#mayDescribe) return
    this.#mayDescribe = false
    this.#onWarning(
      'no right to DescribeConfigs on topics: what is past their retention is served until brokers remove it',
    )
  }
}
