/** The requests that this backend makes, each in the versions that the library and brokers from 3.5 on share. */
import {
  type Connection,
  createTopicsV7,
  deleteRecordsV2,
  deleteTopicsV6,
  describeConfigsV4,
  type fetchV17,
  listOffsetsV7,
  listOffsetsV8,
  listOffsetsV9,
  metadataV12,
} from '@platformatic/kafka'
import { type ClusterAnswer, describeClusterVersions } from './describe-cluster.ts'
import { type FetchAnswer, fetchVersions } from './fetch.ts'
import { type Batch, type ProduceAnswer, produceVersions } from './produce.ts'

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

export const fetchApi: Api<fetchV17.FetchRequest, FetchAnswer> = { name: 'Fetch', versions: fetchVersions }

export const produceApi: Api<[timeout: number, batches: readonly Batch[]], ProduceAnswer> = {
  name: 'Produce',
  versions: produceVersions,
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

export const deleteRecordsApi: Api<
  deleteRecordsV2.DeleteRecordsRequest,
  deleteRecordsV2.DeleteRecordsResponse
> = { name: 'DeleteRecords', versions: [deleteRecordsV2.api] }

export const describeConfigsApi: Api<
  describeConfigsV4.DescribeConfigsRequest,
  describeConfigsV4.DescribeConfigsResponse
> = { name: 'DescribeConfigs', versions: [describeConfigsV4.api] }

export const describeClusterApi: Api<[], ClusterAnswer> = {
  name: 'DescribeCluster',
  versions: describeClusterVersions,
}

export type MetadataAnswer = metadataV12.MetadataResponse
