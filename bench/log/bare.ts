/**
 * The reference: the library's own Producer and Consumer, set up for little delay by somebody who knows them.
 *
 * Producer: acks all; one `send` a frame, or its stream without lingering. Consumer: one stream over all topics from
 * their ends, no autocommit, answers at the first byte and after 500 ms at the latest, headers as text and values as
 * bytes like ours. Everything else is as it comes, metadata that is asked for anew every 5 s included.
 *
 * A Consumer's time for one fetch grows with the square of its topics, and at a thousand it does not keep up: past
 * `topicsEach` there are several, each with a group of its own.
 */
import { randomUUID } from 'node:crypto'
import {
  Consumer,
  MessagesStreamModes,
  type MessageToProduce,
  ProduceAcks,
  Producer,
  stringDeserializer,
  stringSerializer,
} from '@platformatic/kafka'
import type { NewRecord } from '../../src/log/log.ts'
import type { Subject, SubjectOptions } from './subject.ts'

const topicsEach = 100

type Message = MessageToProduce<string, Buffer, string, string>
type BareProducer = Producer<string, Buffer, string, string>

export const openBare = (options: SubjectOptions): Promise<Subject> => open(options, sendEach)
export const openBatched = (options: SubjectOptions): Promise<Subject> => open(options, sendGathered)

type Send = (message: Message) => Promise<unknown>

async function open(
  { bootstrapServers, topics, onRecord, onFailure }: SubjectOptions,
  sending: (producer: BareProducer) => Send,
): Promise<Subject> {
  const common = { clientId: 'bench', bootstrapBrokers: bootstrapServers.split(',') }
  const producer: BareProducer = new Producer({
    ...common,
    serializers: { key: stringSerializer, headerKey: stringSerializer, headerValue: stringSerializer },
  })
  const places = new Map(topics.map((name, place) => [name, place]))
  const shares = Array.from({ length: Math.ceil(topics.length / topicsEach) }, (_, i) =>
    topics.slice(i * topicsEach, (i + 1) * topicsEach),
  )
  const followed = await Promise.all(
    shares.map(async share => {
      const consumer = new Consumer<string, Buffer, string, string>({
        ...common,
        groupId: `bench-${randomUUID()}`,
        autocommit: false,
        minBytes: 1,
        maxWaitTime: 500,
        deserializers: { key: text, headerKey: text, headerValue: text },
      })
      const stream = await consumer.consume({ topics: share, mode: MessagesStreamModes.LATEST })
      stream.on('error', onFailure)
      stream.on('data', ({ topic, headers }) => {
        const place = places.get(topic)
        if (place !== undefined) onRecord(place, headers.get('s') ?? '', Number(headers.get('n')))
      })
      return { consumer, stream }
    }),
  )
  const send = sending(producer)
  return {
    append: (place, record) => send(message(topics[place] as string, record)),
    async [Symbol.asyncDispose]() {
      await Promise.all(
        followed.map(async ({ consumer, stream }) => {
          await stream.close()
          await consumer.close(true)
        }),
      )
      await producer.close(true)
    },
  }
}

/** The library's own gives undefined for nothing, where its types want text. */
const text = (bytes?: string | Buffer): string => stringDeserializer(bytes) ?? ''

const message = (topic: string, { key, value, headers, timestamp }: NewRecord): Message => ({
  topic,
  partition: 0,
  key,
  value: Buffer.from(value.buffer, value.byteOffset, value.byteLength),
  headers: new Map(headers),
  timestamp: BigInt(Math.round(timestamp)),
})

const sendEach = (producer: BareProducer): Send => {
  return one => producer.send({ messages: [one], acks: ProduceAcks.ALL })
}

function sendGathered(producer: BareProducer): Send {
  const stream = producer.asStream({ acks: ProduceAcks.ALL, batchSize: 1000, batchTime: 0 })
  const waiting: { resolve: () => void; reject: (error: Error) => void }[] = []
  stream.on('flush', ({ count }) => {
    for (const { resolve } of waiting.splice(0, count)) resolve()
  })
  stream.on('error', error => {
    for (const { reject } of waiting.splice(0)) reject(error)
  })
  return one => {
    const { promise, resolve, reject } = Promise.withResolvers<void>()
    waiting.push({ resolve, reject })
    stream.write(one)
    return promise
  }
}
