/** Three brokers, three copies, of which two must have a record before it counts. */
import { after, before } from 'node:test'
import { openKafkaLog } from '../../src/log/kafka/kafka-log.ts'
import { type KafkaCluster, startBrokers } from '../support/kafka.ts'
import { logContract } from './contract.ts'

let cluster: KafkaCluster
before(async () => {
  cluster = await startBrokers({ brokers: 3 })
})
after(async () => {
  await cluster?.[Symbol.asyncDispose]()
})

logContract('the Kafka log on three brokers', options =>
  openKafkaLog({
    bootstrapServers: cluster.bootstrapServers,
    replicationFactor: 3,
    minInsyncReplicas: 2,
    ...options,
  }),
)
