/** Three brokers, three copies, of which two must have a record before it counts. */
import assert from 'node:assert/strict'
import { randomUUID } from 'node:crypto'
import { after, before, describe, it } from 'node:test'
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

describe('three copies while a broker is down', { timeout: 60_000 }, () => {
  it('are not refused, and not claimed; more than the brokers that there are is refused', async () => {
    const { bootstrapServers, brokers } = cluster
    const open = (replicationFactor: number) => openKafkaLog({ bootstrapServers, replicationFactor })
    {
      await using log = await open(3)
      assert.match((await log.describe()).durability, /^3 copies, acknowledged/)
    }
    await brokers[2]?.stop()
    await assert.rejects(open(4), {
      code: 'TOPIC_REFUSED',
      message: 'REPLICATION_FACTOR=4 is more than the 3 brokers of the cluster can hold',
    })
    await using log = await open(3)
    const { durability } = await log.describe()
    assert.match(durability, /^3 copies wanted of new topics, the cluster has 2 brokers now; acknowledged/)
    await log.delete(await log.create(`down-${randomUUID()}`, {}))
  })
})
