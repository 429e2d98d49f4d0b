/** Our log contract, as the relay uses it: appends of one record, a tail for each topic. */
import { openKafkaLog } from '../../src/log/kafka/kafka-log.ts'
import type { LogRecord, Topic } from '../../src/log/log.ts'
import type { Subject, SubjectOptions } from './subject.ts'

export async function openOurs({
  bootstrapServers,
  topics,
  onRecord,
  onFailure,
}: SubjectOptions): Promise<Subject> {
  const log = await openKafkaLog({ bootstrapServers })
  const found = new Map((await log.topics('')).map(topic => [topic.name, topic]))
  const mine = topics.map(name => {
    const topic = found.get(name)
    if (topic === undefined) throw new Error(`topic ${name} is not there`)
    return topic
  })
  await Promise.all(
    mine.map(async (topic, place) => {
      const { next } = await log.bounds(topic)
      log.tail(topic, next, {
        onChunk: ({ records }) => {
          for (const record of records) onRecord(place, header(record, 's'), Number(header(record, 'n')))
        },
        onEnd: onFailure,
      })
    }),
  )
  return {
    append: (place, record) => log.append(mine[place] as Topic, [record]),
    [Symbol.asyncDispose]: () => log[Symbol.asyncDispose](),
  }
}

const header = ({ headers }: LogRecord, wanted: string): string =>
  headers.find(([name]) => name === wanted)?.[1] ?? ''
