/**
 * DescribeCluster requests of version 2 (KIP-1073, brokers from 4.0 on), which the library has not: alone they tell also of
 * brokers that are down. Metadata names those that are up, and copies may lie on the others.
 */
import { createAPI, type Reader, Writer } from '@platformatic/kafka'

export interface ClusterAnswer {
  /** Milliseconds for which the broker holds this client back. */
  readonly throttleTime: number
  readonly errorCode: number
  /** Ids of all brokers that are registered, whether they are up or not. */
  readonly brokers: readonly number[]
}

const ofBrokers = 1

const createRequest = (): Writer =>
  Writer.create().appendBoolean(false).appendInt8(ofBrokers).appendBoolean(true).appendTaggedFields()

function parseResponse(_correlation: number, _key: number, _version: number, reader: Reader): ClusterAnswer {
  const throttleTime = reader.readInt32()
  const errorCode = reader.readInt16()
  reader.readNullableString()
  reader.readInt8()
  reader.readString()
  reader.readInt32()
  const brokers: number[] = []
  reader.readArray(broker => {
    brokers.push(broker.readInt32())
    broker.readString()
    broker.readInt32()
    broker.readNullableString()
    broker.readBoolean()
  })
  return { throttleTime, errorCode, brokers }
}

const describeClusterKey = 60
export const describeClusterVersions = [
  createAPI<[], ClusterAnswer>(describeClusterKey, 2, createRequest, parseResponse),
] as const
