/** The requests that this backend makes, each in the versions that the library and brokers from 3.5 on share. */
import {
  type Connection,
  createTopicsV7,
  deleteTopicsV6,
  describeConfigsV4,
  fetchV13,
  fetchV14,
  fetchV15,
  fetchV16,
  fetchV17,
  listOffsetsV7,
  listOffsetsV8,
  listOffsetsV9,
  metadataV12,
  produceV7,
  produceV8,
  produceV9,
  produceV10,
  produceV11,
} from '@platformatic/kafka'

export interface Versioned<Args extends unknown[], Answer> {
  readonly key: number
  readonly version: number
  async(connection: Connection, ...args: Args): Promise<Answer>
}

export interface Api<Args extends unknown[], Answer> {
  readonly name: string
  /** Ascending. */
  readonly versions: readonly Versioned<Args, Answer>[]
}

/** From version 13 on topics have ids in it, so an answer is never another topic's. */
export const fetchApi: Api<fetchV17.FetchRequest, fetchV17.FetchResponse> = {
  name: 'Fetch',
  versions: [fetchV13.api, fetchV14.api, fetchV15.api, fetchV16.api, fetchV17.api],
}

export const produceApi: Api<produceV11.ProduceRequest, produceV11.ProduceResponse | boolean> = {
  name: 'Produce',
  versions: [produceV7.api, produceV8.api, produceV9.api, produceV10.api, produceV11.api],
}

export const listOffsetsApi: Api<listOffsetsV9.ListOffsetsRequest, listOffsetsV9.ListOffsetsResponse> = {
  name: 'ListOffsets',
  versions: [listOffsetsV7.api, listOffsetsV8.api, listOffsetsV9.api],
}

export const metadataApi: Api<metadataV12.MetadataRequest, metadataV12.MetadataResponse> = {
  name: 'Metadata',
  versions: [metadataV12.api],
}

export const createTopicsApi: Api<createTopicsV7.CreateTopicsRequest, createTopicsV7.CreateTopicsResponse> = {
  name: 'CreateTopics',
  versions: [createTopicsV7.api],
}

export const deleteTopicsApi: Api<deleteTopicsV6.DeleteTopicsRequest, deleteTopicsV6.DeleteTopicsResponse> = {
  name: 'DeleteTopics',
  versions: [deleteTopicsV6.api],
}

export const describeConfigsApi: Api<
  describeConfigsV4.DescribeConfigsRequest,
  describeConfigsV4.DescribeConfigsResponse
> = { name: 'DescribeConfigs', versions: [describeConfigsV4.api] }

export type FetchAnswer = fetchV17.FetchResponse
export type FetchTopic = fetchV17.FetchRequestTopic
export type PartitionAnswer = fetchV17.FetchResponsePartition
export type MetadataAnswer = metadataV12.MetadataResponse
export type ProduceAnswer = produceV11.ProduceResponse
