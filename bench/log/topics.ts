/** The topics of a case: made as a gateway makes them, removed at its end. */
import { openKafkaLog } from '../../src/log/kafka/kafka-log.ts'
import type { Topic } from '../../src/log/log.ts'
import { millis } from '../../src/units.ts'

/** What waits for one another's answers: one broker makes topics in order. */
const atOnce = 8
const retention = millis(3_600_000)

export interface CaseTopics extends AsyncDisposable {
  readonly names: readonly string[]
}

export async function makeTopics(
  bootstrapServers: string,
  prefix: string,
  count: number,
): Promise<CaseTopics> {
  await using log = await openKafkaLog({ bootstrapServers })
  const names = Array.from({ length: count }, (_, i) => `${prefix}-${i}`)
  const topics: Topic[] = []
  await each(names, async name => void topics.push(await log.create(name, { retention })))
  return {
    names,
    async [Symbol.asyncDispose]() {
      await using again = await openKafkaLog({ bootstrapServers })
      await each(topics, topic => again.delete(topic))
    },
  }
}

/** Some at a time. */
export async function each<Item>(items: readonly Item[], work: (item: Item) => Promise<void>): Promise<void> {
  const left = items.values()
  await Promise.all(
    Array.from({ length: atOnce }, async () => {
      for (const item of left) await work(item)
    }),
  )
}
