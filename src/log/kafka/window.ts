/**
 * The retention window as it is kept: Kafka removes closed segments only, now and then, so brokers still give out what is
 * past it. Here nothing older than a topic's own `retention.ms` is served, and it is removed by DeleteRecords where the
 * user may do that.
 */
import { setTimeout as delay } from 'node:timers/promises'
import { ConfigResourceTypes } from '@platformatic/kafka'
import type { Millis, Offset } from '../../units.ts'
import type { Topic } from '../log.ts'
import { deleteRecordsApi, describeConfigsApi } from './apis.ts'
import type { Cluster } from './cluster.ts'
import type { Connections } from './connections.ts'
import { errorName } from './errors.ts'

/** Milliseconds for which a topic's settings are believed, and what is forbidden is not tried again. */
const settingsAge = 60_000
const forbiddenFor = 600_000
/** Milliseconds until an unanswered question is asked again, and for which whoever needs the answer waits. */
const askAgain = 5000
const askPatience = 2000
/** Milliseconds between two removals in one topic. */
const trimEvery = 10_000
/** Milliseconds that the leader waits for its followers. */
const deleteTimeout = 5000
const rememberedTopics = 10_000

interface Known {
  /** Milliseconds; undefined where nothing goes by age, or the user may not see it. */
  window: number | undefined
  /** When the cluster told it; milliseconds of performance.now(). */
  toldAt: number
  asking: Promise<void> | undefined
  askAfter: number
  trimAfter: number
}

export class Windows {
  readonly #cluster: Cluster
  readonly #connections: Connections
  readonly #onWarning: (line: string) => void
  /** By topic id, the longest unused first. */
  readonly #known = new Map<string, Known>()
  readonly #warned = new Set<string>()

  constructor(cluster: Cluster, connections: Connections, onWarning: (line: string) => void) {
    this.#cluster = cluster
    this.#connections = connections
    this.#onWarning = onWarning
  }

  /** The time before which records are not served; undefined where all are. */
  async begin(topic: Topic): Promise<Millis | undefined> {
    const known = this.#know(topic)
    if (known.asking === undefined && performance.now() > known.askAfter) {
      known.askAfter = performance.now() + askAgain
      known.asking = this.#ask(topic, known).finally(() => {
        known.asking = undefined
      })
    }
    // What was known before hides enough; nothing is removed by it.
    if (known.toldAt === 0 && known.asking !== undefined) {
      await Promise.race([known.asking, delay(askPatience, undefined, { ref: false })])
    }
    return this.knownBegin(topic)
  }

  /** The same as far as it is known. */
  knownBegin(topic: Topic): Millis | undefined {
    const window = this.#known.get(topic.id)?.window
    return window === undefined ? undefined : ((Date.now() - window) as Millis)
  }

  /** Removes what lies before an offset, in the background: only by what the cluster has told of late. */
  trim(topic: Topic, before: Offset): void {
    const known = this.#know(topic)
    const leader = this.#cluster.leader(topic)
    const now = performance.now()
    if (leader === undefined || now < known.trimAfter || now - known.toldAt > settingsAge) return
    known.trimAfter = now + trimEvery
    const partitions = [{ partitionIndex: 0, offset: BigInt(before) }]
    this.#connections
      .link(leader, 'trim')
      .request(deleteRecordsApi, [{ name: topic.name, partitions }], deleteTimeout)
      .then(({ topics }) => {
        const code = topics[0]?.partitions[0]?.errorCode ?? 0
        if (errorName(code) !== 'TOPIC_AUTHORIZATION_FAILED') return
        known.trimAfter = performance.now() + forbiddenFor
        this.#warn(
          'no right to Delete on topics: what is past RETENTION is not served, and stays on the disks until its segment goes',
        )
      })
      // It is tried again when somebody asks for the topic's bounds.
      .catch(() => {})
  }

  #know(topic: Topic): Known {
    const fresh: Known = { window: undefined, toldAt: 0, asking: undefined, askAfter: 0, trimAfter: 0 }
    const known = this.#known.get(topic.id) ?? fresh
    this.#known.delete(topic.id)
    this.#known.set(topic.id, known)
    for (const id of this.#known.keys()) {
      if (this.#known.size <= rememberedTopics) break
      this.#known.delete(id)
    }
    return known
  }

  /** Where there is no answer, what is known stays, and the next question asks again. */
  async #ask(topic: Topic, known: Known): Promise<void> {
    const resource = {
      resourceType: ConfigResourceTypes.TOPIC,
      resourceName: topic.name,
      configurationKeys: ['cleanup.policy', 'retention.ms'],
    }
    const answer = await this.#cluster
      .lookup(describeConfigsApi, [resource], false, false)
      .catch(() => undefined)
    const result = answer?.results[0]
    if (result === undefined) return
    if (errorName(result.errorCode) === 'TOPIC_AUTHORIZATION_FAILED') {
      known.askAfter = performance.now() + forbiddenFor
      this.#warn(
        'no right to DescribeConfigs on topics: what is past their retention is served until brokers remove it',
      )
    }
    if (result.errorCode !== 0) return
    const configs = new Map(result.configs.map(({ name, value }) => [name, value]))
    const retention = Number(configs.get('retention.ms') ?? -1)
    const goes = String(configs.get('cleanup.policy') ?? '').includes('delete')
    // Some write the largest number for "for ever": a time before any clock.
    const isWindow = goes && retention > 0 && retention < Date.now()
    known.window = isWindow ? retention : undefined
    known.toldAt = performance.now()
    known.askAfter = known.toldAt + settingsAge
  }

  #warn(line: string): void {
    if (this.#warned.has(line)) return
    this.#warned.add(line)
    this.#onWarning(line)
  }
}
