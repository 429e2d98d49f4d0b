/**
 * Produce requests. Ours rather than the library's for the topic id that version 13 names instead of the name (KIP-516): a
 * topic that was deleted and made again under the same name is another one, and takes nothing that was meant for it.
 */
import { createAPI, type Reader, Writer } from '@platformatic/kafka'
import type { NewRecord, Topic } from '../log.ts'
import { encodeBatch } from './batch-writer.ts'

export interface Batch {
  readonly topic: Topic
  readonly records: readonly NewRecord[]
}

export interface ProduceAnswer {
  /** Milliseconds for which the broker holds this client back. */
  readonly throttleTime: number
  readonly results: readonly ProduceResult[]
}

export interface ProduceResult {
  /** Name or id of the topic, as the request named it. */
  readonly topic: string
  readonly errorCode: number
  readonly baseOffset: number
  readonly errorMessage: string | null
}

/** From this version on topics are named by their ids. */
const withTopicIds = 13
const allReplicas = -1

export const namesTopic = ({ topic }: ProduceResult, { id, name }: Topic): boolean =>
  topic === id || topic === name

const createRequest =
  (version: number) =>
  (timeout: number, batches: readonly Batch[]): Writer =>
    Writer.create()
      .appendString(null)
      .appendInt16(allReplicas)
      .appendInt32(timeout)
      .appendArray([...batches], (writer, { topic, records }) => {
        if (version >= withTopicIds) writer.appendUUID(topic.id)
        else writer.appendString(topic.name)
        writer.appendArray([records], (w, each) => {
          w.appendInt32(0).appendBytes(encodeBatch(each))
        })
      })
      .appendTaggedFields()

const parseResponse =
  (version: number) =>
  (_correlation: number, _key: number, _version: number, reader: Reader): ProduceAnswer => {
    const results: ProduceResult[] = []
    reader.readArray(
      topicReader => {
        const topic = version >= withTopicIds ? topicReader.readUUID() : topicReader.readString()
        topicReader.readArray(
          r => {
            r.readInt32()
            const errorCode = r.readInt16()
            const baseOffset = Number(r.readInt64())
            r.readInt64()
            r.readInt64()
            r.readArray(
              error => {
                error.readInt32()
                error.readNullableString()
                error.readTaggedFields()
              },
              true,
              false,
            )
            const errorMessage = r.readNullableString()
            r.readTaggedFields()
            results.push({ topic, errorCode, baseOffset, errorMessage })
          },
          true,
          false,
        )
        topicReader.readTaggedFields()
      },
      true,
      false,
    )
    const throttleTime = reader.readInt32()
    reader.readTaggedFields()
    return { throttleTime, results }
  }

const produceKey = 0
const version = (number: number) =>
  createAPI<[timeout: number, batches: readonly Batch[]], ProduceAnswer>(
    produceKey,
    number,
    createRequest(number),
    parseResponse(number),
  )

/** All flexible versions whose records are of the format v2. */
export const produceVersions = [version(9), version(10), version(11), version(13)] as const
