/** The Kafka log on real brokers: the contract, and what only a cluster can do to it. */
import assert from 'node:assert/strict'
import { randomUUID } from 'node:crypto'
import { createServer, type Socket } from 'node:net'
import { after, before, describe, it } from 'node:test'
import { Connection, listGroupsV5 } from '@platformatic/kafka'
import { FramelogError } from '../../src/errors.ts'
import { type KafkaLogOptions, openKafkaLog } from '../../src/log/kafka/kafka-log.ts'
import type { Log } from '../../src/log/log.ts'
import { millis, offset } from '../../src/units.ts'
import { type KafkaCluster, startKafka } from '../support/kafka.ts'
import { freePort } from '../support/kafka-process.ts'
import { logContract } from './contract.ts'
import { TailReader } from './tail-reader.ts'
import { TcpProxy } from './tcp-proxy.ts'

let cluster: KafkaCluster

before(async () => {
  cluster = await startKafka({ proxied: true })
})
after(async () => {
  await cluster?.[Symbol.asyncDispose]()
})

const skip = process.env.TEST_BOOTSTRAP_SERVERS ? 'the cluster of TEST_BOOTSTRAP_SERVERS is not ours' : false

const open = (options: Partial<KafkaLogOptions> = {}): Promise<Log> =>
  openKafkaLog({ bootstrapServers: cluster.bootstrapServers, ...options })

const record = (value: string, time = Date.now()) => ({
  key: 'video',
  value: Buffer.from(value),
  headers: [],
  timestamp: millis(time),
})

const name = (): string => `kafka-test-${randomUUID()}`

logContract('the Kafka log', options => open(options))

describe('opening a Kafka log', () => {
  const refuses = async (opened: Promise<Log>, code: string): Promise<void> => {
    const begin = performance.now()
    await assert.rejects(opened, (error: unknown) => {
      assert.ok(error instanceof FramelogError, String(error))
      assert.equal(error.code, code, error.message)
      assert.doesNotMatch(error.message, /\n/)
      return true
    })
    assert.ok(performance.now() - begin < 7000, 'it says so within seconds')
  }
  it('says LOG_UNREACHABLE where nobody listens', async () => {
    await refuses(open({ bootstrapServers: `127.0.0.1:${await freePort()}` }), 'LOG_UNREACHABLE')
  })

  it('says LOG_UNREACHABLE where a server never answers', { timeout: 20_000 }, async () => {
    const sockets = new Set<Socket>()
    const silent = createServer(socket => sockets.add(socket))
    const port = await freePort()
    await new Promise<void>(done => silent.listen(port, '127.0.0.1', done))
    try {
      await refuses(open({ bootstrapServers: `127.0.0.1:${port}` }), 'LOG_UNREACHABLE')
    } finally {
      for (const socket of sockets) socket.destroy()
      silent.close()
    }
  })

  it('says LOG_TLS where TLS is asked of a plain listener', async () => {
    await refuses(open({ securityProtocol: 'SSL' }), 'LOG_TLS')
  })

  it('says BAD_CONFIG where an address is none', async () => {
    await refuses(open({ bootstrapServers: 'kafka:9092,what is this' }), 'BAD_CONFIG')
    await refuses(open({ securityProtocol: 'SASL_SSL' }), 'BAD_CONFIG')
  })

  it('goes on with the servers that answer', async () => {
    const nobody = `127.0.0.1:${await freePort()}`
    await using log = await open({ bootstrapServers: `${nobody},${cluster.bootstrapServers}` })
    assert.equal(await log.find(name()), undefined)
  })
})

describe('the Kafka log', () => {
  it('says what one copy means', async () => {
    await using log = await open({ replicationFactor: 1 })
    assert.match((await log.describe()).durability, /one copy/)
  })

  it('says TOPIC_REFUSED where the cluster has too few brokers', { timeout: 30_000 }, async () => {
    await using log = await open({ replicationFactor: 99 })
    await assert.rejects(log.create(name(), {}), { code: 'TOPIC_REFUSED' })
    await assert.rejects(log.create('no spaces please', {}), { code: 'TOPIC_REFUSED' })
  })

  it('says FRAME_TOO_LARGE for what the topic does not take, and goes on', { timeout: 30_000 }, async () => {
    await using log = await open()
    const topic = await log.create(name(), {})
    const large = { ...record(''), value: Buffer.alloc(9 * 1024 * 1024) }
    const [refused, taken] = await Promise.allSettled([
      log.append(topic, [large]),
      log.append(topic, [record('a')]),
    ])
    assert.ok(refused.status === 'rejected')
    assert.equal(refused.reason.code, 'FRAME_TOO_LARGE')
    assert.ok(taken.status === 'fulfilled')
    await log.delete(topic)
  })

  it('reads and tails without a consumer group', { timeout: 30_000 }, async () => {
    await using log = await open()
    const topic = await log.create(name(), {})
    await log.append(topic, [record('a')])
    using tail = new TailReader(log, topic, offset(0))
    await tail.until(1)
    const [host = '', port] = (cluster.bootstrapServers.split(',')[0] ?? '').split(':')
    const connection = new Connection('test')
    await connection.connect(host, Number(port))
    const { groups } = await listGroupsV5.api.async(connection, [], [])
    await connection.close()
    assert.deepEqual(groups, [])
    await log.delete(topic)
  })
})

/** Appends and tails while something happens to the cluster, then judges what arrived. */
async function survives(log: Log, disturb: (seen: (more: number) => Promise<unknown>) => Promise<void>) {
  const topic = await log.create(name(), {})
  using tail = new TailReader(log, topic, offset(0))
  const acknowledged = new Map<string, number>()
  const appends: Promise<unknown>[] = []
  const writer = setInterval(() => {
    const value = String(appends.length)
    appends.push(log.append(topic, [record(value)]).then(at => acknowledged.set(value, at)))
  }, 5)
  try {
    await disturb(more => tail.until(tail.records.length + more))
  } finally {
    clearInterval(writer)
  }
  await Promise.all(appends)
  await tail.until((await log.bounds(topic)).next)
  const values = tail.values
  assert.equal(acknowledged.size, appends.length)
  for (const [value, at] of acknowledged) assert.equal(values[at], value, `append ${value} at its offset`)
  assert.deepEqual(
    tail.offsets,
    values.map((_, i) => i),
  )
  await log.delete(topic)
}

describe('a fault loses nothing acknowledged and repeats nothing to a tail', { timeout: 180_000 }, () => {
  for (const way of ['stop', 'kill'] as const) {
    it(`where the broker ends by ${way} and comes back`, { skip }, async () => {
      await using log = await open()
      await survives(log, async seen => {
        await seen(50)
        await cluster.brokers[0]?.[way]()
        await cluster.brokers[0]?.start()
        await seen(100)
      })
    })
  }

  const throughProxy = async (disturb: Parameters<typeof survives>[1], proxy: TcpProxy): Promise<void> => {
    await using log = await open({ bootstrapServers: proxy.address })
    await survives(log, disturb)
  }
  const proxied = () => cluster.proxied[0] ?? assert.fail('the cluster has no such listener')

  it('where connections break', { skip }, async () => {
    await using proxy = await TcpProxy.listen(proxied().advertised, proxied().listener)
    await throughProxy(async seen => {
      for (let i = 0; i < 20; i++) {
        await seen(20)
        proxy.cut()
      }
      await seen(20)
    }, proxy)
  })

  it('where connections stay open and answer no more', { skip }, async () => {
    await using proxy = await TcpProxy.listen(proxied().advertised, proxied().listener)
    await throughProxy(async seen => {
      await seen(50)
      proxy.stall()
      await seen(100)
    }, proxy)
  })
})

describe('a tail of a topic that another gateway deletes', () => {
  it('ends with TOPIC_NOT_FOUND', { timeout: 30_000 }, async () => {
    await using log = await open()
    await using other = await open()
    const topic = await log.create(name(), {})
    await log.append(topic, [record('a')])
    using tail = new TailReader(log, topic, offset(0))
    await tail.until(1)
    await other.delete(topic)
    assert.equal((await tail.ended).code, 'TOPIC_NOT_FOUND')
    await assert.rejects(log.append(topic, [record('b')]), { code: 'TOPIC_NOT_FOUND' })
  })
})
