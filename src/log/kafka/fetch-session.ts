/**
 * An incremental fetch session (KIP-227): the broker keeps the list of partitions and offsets, and a request
 * names only those that are new, moved on, or are to be forgotten.
 */
import type { FetchTopic } from './fetch.ts'
import { fetchPartition, partitionMaxBytes } from './read.ts'

const largestEpoch = 0x7fffffff

export interface SessionRequest {
  readonly id: number
  readonly epoch: number
  readonly topics: FetchTopic[]
  readonly forgotten: { topicId: string; partitions: number[] }[]
}

export class FetchSession {
  /** 0 asks for a new session with a full list. */
  #id = 0
  #epoch = 0
  /** What the broker remembers: offsets by topic id. */
  #known: ReadonlyMap<string, number> = new Map()

  /** @param wanted offsets by topic id */
  request(wanted: ReadonlyMap<string, number>): SessionRequest {
    const topics: FetchTopic[] = []
    for (const [topicId, from] of wanted) {
      if (this.#known.get(topicId) === from) continue
      topics.push({ topicId, partitions: [fetchPartition(from, partitionMaxBytes)] })
    }
    const forgotten = [...this.#known.keys()]
      .filter(topicId => !wanted.has(topicId))
      .map(topicId => ({ topicId, partitions: [0] }))
    return { id: this.#id, epoch: this.#epoch, topics, forgotten }
  }

  /** @param id 0 where the broker keeps no session: the next request is a full one again */
  answered(id: number, wanted: ReadonlyMap<string, number>): void {
    if (id === 0) {
      this.reset()
      return
    }
    this.#id = id
    this.#epoch = this.#epoch === largestEpoch ? 1 : this.#epoch + 1
    this.#known = wanted
  }

  reset(): void {
    this.#id = 0
    this.#epoch = 0
    this.#known = new Map()
  }
}
