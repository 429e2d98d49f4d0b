/** Three brokers, three copies: whichever broker goes, the log goes on. Takes about 2 GB of memory. */
import assert from 'node:assert/strict'
import { randomUUID } from 'node:crypto'
import { after, before, describe, it } from 'node:test'
import { openKafkaLog } from '../../src/log/kafka/kafka-log.ts'
import { millis, offset } from '../../src/units.ts'
import { TailReader } from '../log/tail-reader.ts'
import { type KafkaCluster, startBrokers } from '../support/kafka.ts'

describe('the Kafka log on three brokers', { timeout: 240_000 }, () => {
  let cluster: KafkaCluster
  before(async () => {
    cluster = await startBrokers({ brokers: 3 })
  })
  after(async () => {
    await cluster?.[Symbol.asyncDispose]()
  })

  it('loses nothing acknowledged and repeats nothing to a tail while each broker ends and comes back', async () => {
    await using log = await openKafkaLog({ bootstrapServers: cluster.bootstrapServers })
    assert.match((await log.describe()).durability, /3 copies.*never fewer than 2/)
    const topics = await Promise.all(
      Array.from({ length: 6 }, () => log.create(`failover-${randomUUID()}`, {})),
    )
    const tails = topics.map(topic => new TailReader(log, topic, offset(0)))
    const acknowledged = topics.map(() => new Map<string, number>())
    const appends: Promise<unknown>[] = []
    let count = 0
    const writer = setInterval(() => {
      count += 1
      const value = String(count)
      for (const [i, topic] of topics.entries()) {
        const one = { key: 'video', value: Buffer.from(value), headers: [], timestamp: millis(Date.now()) }
        appends.push(log.append(topic, [one]).then(at => acknowledged[i]?.set(value, at)))
      }
    }, 10)
    const seen = (more: number): Promise<unknown> =>
      Promise.all(tails.map(tail => tail.until(tail.records.length + more)))
    try {
      for (const broker of cluster.brokers) {
        await seen(50)
        await broker.kill()
        await seen(50)
        await broker.start()
      }
      await seen(50)
    } finally {
      clearInterval(writer)
    }
    await Promise.all(appends)
    for (const [i, topic] of topics.entries()) {
      const tail = tails[i] ?? assert.fail('no tail')
      await tail.until((await log.bounds(topic)).next)
      const values = tail.values
      assert.equal(acknowledged[i]?.size, count)
      for (const [value, at] of acknowledged[i] ?? []) assert.equal(values[at], value)
      assert.deepEqual(
        tail.offsets,
        values.map((_, at) => at),
      )
      tail.close()
      await log.delete(topic)
    }
  })
})
