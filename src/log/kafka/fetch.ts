/**
 * Fetch requests, by topic ids (version 13 on), so that an answer is never another topic's. The library builds requests; reading
 * answers is ours: records stay bytes until their checksums are known, and an error of one partition is that partition's.
 */
import { createAPI, fetchV13, fetchV14, fetchV15, fetchV16, fetchV17, type Reader } from '@platformatic/kafka'

export interface FetchAnswer {
  /** Milliseconds for which the broker holds this client back. */
  readonly throttleTime: number
  readonly errorCode: number
  /** 0 where the broker keeps no session. */
  readonly sessionId: number
  readonly partitions: readonly PartitionAnswer[]
}

export interface PartitionAnswer {
  readonly topicId: string
  readonly errorCode: number
  /** The topic's end: what every copy in sync has. */
  readonly highWatermark: number
  /** Record batches; borrowed from the answer. */
  readonly records: Buffer
}

export type FetchTopic = fetchV17.FetchRequestTopic

const nothing = Buffer.alloc(0)

function parseResponse(_correlation: number, _key: number, _version: number, reader: Reader): FetchAnswer {
  const throttleTime = reader.readInt32()
  const errorCode = reader.readInt16()
  const sessionId = reader.readInt32()
  const partitions: PartitionAnswer[] = []
  reader.readArray(topic => {
    const topicId = topic.readUUID()
    topic.readArray(
      r => {
        partitions.push(readPartition(r, topicId))
      },
      true,
      false,
    )
  })
  return { throttleTime, errorCode, sessionId, partitions }
}

function readPartition(reader: Reader, topicId: string): PartitionAnswer {
  reader.readInt32()
  const errorCode = reader.readInt16()
  const highWatermark = Number(reader.readInt64())
  reader.readInt64()
  reader.readInt64()
  reader.readNullableArray(aborted => {
    aborted.readInt64()
    aborted.readInt64()
  })
  reader.readInt32()
  const size = Math.max(reader.readUnsignedVarInt() - 1, 0)
  const records = size === 0 ? nothing : reader.buffer.slice(reader.position, reader.position + size)
  reader.skip(size)
  reader.readTaggedFields()
  return { topicId, errorCode, highWatermark, records }
}

const fetchKey = 1
const version = ({ api, createRequest }: Pick<typeof fetchV17, 'api' | 'createRequest'>) =>
  createAPI<fetchV17.FetchRequest, FetchAnswer>(fetchKey, api.version, createRequest, parseResponse)

export const fetchVersions = [
  version(fetchV13),
  version(fetchV14),
  version(fetchV15),
  version(fetchV16),
  version(fetchV17),
] as const
