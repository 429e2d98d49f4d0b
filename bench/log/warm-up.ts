import { type KafkaCluster, startBrokers, startKafka } from '../../test/support/kafka.ts'
import { measure } from './measure.ts'
import type { SubjectName } from './subject.ts'
import { makeTopics } from './topics.ts'

const passes = 10

/** Brokers as fast as they get. @param subjects whose load warms them */
export async function startWarmBrokers(
  brokers: 1 | 3,
  subjects: readonly SubjectName[],
): Promise<KafkaCluster> {
  const kafka = brokers === 1 ? await startKafka({ full: true }) : await startBrokers({ brokers, full: true })
  try {
    await warm(subjects, kafka.bootstrapServers)
    return kafka
  } catch (error) {
    await kafka[Symbol.asyncDispose]()
    throw error
  }
}

/**
 * A broker compiles what it runs often, and is slow until then: three of them on two cores for some minutes. Whoever is
 * measured first would pay for that, so a load of 10 broadcasts goes on until it gets no quicker.
 */
async function warm(subjects: readonly SubjectName[], bootstrapServers: string): Promise<void> {
  await using topics = await makeTopics(bootstrapServers, `bench-log-${process.pid}-warm`, 10)
  let best = Number.POSITIVE_INFINITY
  for (let pass = 0; pass < passes; pass++) {
    const medians: number[] = []
    for (const subject of subjects) {
      const task = { subject, bootstrapServers, topics: topics.names, live: 10, warmUp: 0, seconds: 8 }
      const outcome = await measure(task, 1)
      if (outcome.kind === 'measured') medians.push(outcome.figures.delivered.p50)
    }
    const median = Math.max(...medians)
    if (median > best * 0.8) return
    best = median
  }
}
