import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import type { Cluster } from '../../src/log/kafka/cluster.ts'
import { durability } from '../../src/log/kafka/durability.ts'
import type { Questions } from '../../src/log/kafka/read.ts'
import { Topics } from '../../src/log/kafka/topics.ts'

describe('what is said of the copies', () => {
  it('claims none that there is no broker for', () => {
    assert.match(durability(3, 2, 3), /^3 copies, acknowledged .*, never fewer than 2$/)
    assert.match(durability(3, 2, 1), /^3 copies wanted of new topics, the cluster has 1 broker now; ackn/)
    assert.match(
      durability(3, 1, 2),
      /^3 copies wanted of new topics, the cluster has 2 brokers now; .*single/,
    )
    assert.match(durability(1, 1, 1), /^one copy/)
    assert.match(durability(undefined, undefined, 1), /^as many copies as the cluster is set to, ackn/)
  })
})

describe('more copies than there are brokers now', () => {
  /** @param registered as far as the cluster tells */
  const check = async (copies: number, present: number, registered: number | undefined) => {
    const brokers = new Map(Array.from({ length: present }, (_, i) => [i, {}]))
    const cluster = { brokers, registered: async () => registered } as unknown as Cluster
    const lines: string[] = []
    const settings = { replicationFactor: copies, minInsyncReplicas: undefined }
    await new Topics(cluster, {} as Questions, settings, line => lines.push(line)).checkBrokers()
    return lines
  }

  it('are a warning where the cluster does not tell how many it has', async () => {
    const [line = '', ...more] = await check(3, 1, undefined)
    assert.match(line, /^REPLICATION_FACTOR=3 is more than the 1 broker that the cluster shows now/)
    assert.deepEqual(more, [])
    assert.deepEqual(await check(3, 3, undefined), [])
  })

  it('are refused where it has no more, and nothing is said where some are down', async () => {
    await assert.rejects(check(3, 1, 2), { code: 'TOPIC_REFUSED', message: /more than the 2 brokers/ })
    assert.deepEqual(await check(3, 2, 3), [])
  })
})
