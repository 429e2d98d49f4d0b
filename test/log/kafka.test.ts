/** The Kafka log on real brokers: the contract, and what only a cluster can do to it. */
import assert from 'node:assert/strict'
import { randomUUID } from 'node:crypto'
import { readFileSync, writeFileSync } from 'node:fs'
import { createServer, type Socket } from 'node:net'
import { join } from 'node:path'
import { after, before, describe, it, mock } from 'node:test'
import { setTimeout as delay, setImmediate as turn } from 'node:timers/promises'
import { alterClientQuotasV1, createTopicsV7, listGroupsV5, listOffsetsV7 } from '@platformatic/kafka'
import { FramelogError } from '../../src/errors.ts'
import { Connections } from '../../src/log/kafka/connections.ts'
import { type KafkaLogOptions, openKafkaLog } from '../../src/log/kafka/kafka-log.ts'
import { bootstrapAddresses, connectionOptions } from '../../src/log/kafka/options.ts'
import type { Log, Topic } from '../../src/log/log.ts'
import { millis, offset } from '../../src/units.ts'
import { connectTo, type KafkaCluster, startKafka } from '../support/kafka.ts'
import { freePort } from '../support/kafka-process.ts'
import { TcpProxy } from '../support/tcp-proxy.ts'
import { logContract } from './contract.ts'
import { TailReader } from './tail-reader.ts'

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
    const make = async (): Promise<void> => {
      // Brokers before 4.0 do not tell how many there are, and the first topic finds out.
      await using log = await open({ replicationFactor: 99 })
      await log.create(name(), {})
    }
    await assert.rejects(make(), { code: 'TOPIC_REFUSED' })
    await using log = await open()
    await assert.rejects(log.create('no spaces please', {}), { code: 'TOPIC_REFUSED' })
  })

  it('says FRAME_TOO_LARGE for what the topic does not take, and lets nothing land behind it unknown', {
    timeout: 30_000,
  }, async () => {
    await using log = await open()
    const topic = await log.create(name(), {})
    const large = { ...record(''), value: Buffer.alloc(9 * 1024 * 1024) }
    const results = await Promise.allSettled([
      log.append(topic, [record('before')]),
      log.append(topic, [large]),
      log.append(topic, [record('behind')]),
    ])
    const codes = results.map(each => (each.status === 'rejected' ? each.reason.code : each.value))
    assert.deepEqual(codes, [0, 'FRAME_TOO_LARGE', 'FRAME_TOO_LARGE'])
    await turn()
    assert.equal(await log.append(topic, [record('after')]), 1)
    await log.delete(topic)
  })

  it('lets nothing land behind what was refused for want of room', { timeout: 30_000 }, async () => {
    await using log = await open({ maxWaitingBytes: 10_000 })
    const topic = await log.create(name(), {})
    const sized = (bytes: number) => ({ ...record(''), value: Buffer.alloc(bytes) })
    const results = await Promise.allSettled(
      [5000, 9000, 100].map(bytes => log.append(topic, [sized(bytes)])),
    )
    const codes = results.map(each => (each.status === 'rejected' ? each.reason.code : each.value))
    assert.deepEqual(codes, [0, 'LOG_OVERLOADED', 'LOG_OVERLOADED'])
    await turn()
    assert.equal(await log.append(topic, [sized(100)]), 1)
    await log.delete(topic)
  })

  it('waits where the cluster holds it back, and sends nothing twice', {
    skip,
    timeout: 60_000,
  }, async () => {
    const clientId = 'held-back'
    await using log = await open({ clientId })
    const connection = await connectTo(cluster.bootstrapServers)
    await alterClientQuotasV1.api.async(
      connection,
      [
        {
          entities: [{ entityType: 'client-id', entityName: clientId }],
          ops: [
            { key: 'producer_byte_rate', value: 100_000, remove: false },
            { key: 'consumer_byte_rate', value: 100_000, remove: false },
          ],
        },
      ],
      false,
    )
    const topic = await log.create(name(), {})
    using tail = new TailReader(log, topic, offset(0))
    const count = 30
    for (let i = 0; i < count; i++)
      assert.equal(await log.append(topic, [{ ...record(''), value: Buffer.alloc(20_000) }]), i)
    await tail.until(count)
    for (let at = offset(0); at < count; ) at = (await log.read(topic, at, 100_000)).next
    await connection.close()
    await log.delete(topic)
  })

  it('reads and tails without a consumer group', { timeout: 30_000 }, async () => {
    await using log = await open()
    const topic = await log.create(name(), {})
    await log.append(topic, [record('a')])
    using tail = new TailReader(log, topic, offset(0))
    await tail.until(1)
    const connection = await connectTo(cluster.bootstrapServers)
    const { groups } = await listGroupsV5.api.async(connection, [], [])
    await connection.close()
    assert.deepEqual(groups, [])
    await log.delete(topic)
  })
})

describe('a tail that takes the place of another', { timeout: 30_000 }, () => {
  it('is served also after the request that was under way', async () => {
    await using log = await open()
    const topic = await log.create(name(), {})
    const first = new TailReader(log, topic, offset(0))
    await log.append(topic, [record('0')])
    await first.until(1)
    first.close()
    using second = new TailReader(log, topic, offset(1))
    // Longer than a poll waits for records: its answer is empty.
    await delay(1200)
    await log.append(topic, [record('1')])
    await second.until(1)
    // Longer than a topic counts as hot without records.
    await delay(6500)
    await log.append(topic, [record('2')])
    await second.until(2)
    await log.delete(topic)
  })
})

describe('what is past the retention of a topic', { timeout: 60_000 }, () => {
  const old = Date.now() - 120_000

  const written = async (log: Log): Promise<Topic> => {
    const topic = await log.create(name(), { retention: millis(60_000) })
    for (const value of ['0', '1', '2']) await log.append(topic, [record(value, old)])
    await log.append(topic, [record('3'), record('4')])
    return topic
  }

  it('is not served, and goes from the brokers', async () => {
    await using log = await open()
    const topic = await written(log)
    assert.deepEqual(await log.bounds(topic), { first: 3, next: 5 })
    assert.equal(await log.offsetAt(topic, millis(old)), 3)
    await assert.rejects(log.read(topic, offset(0), 1), { code: 'OFFSET_OUT_OF_RANGE' })
    using tail = new TailReader(log, topic, offset(3))
    await tail.until(2)
    // Another program sees what the brokers have.
    const connection = await connectTo(cluster.bootstrapServers)
    const earliest = [{ partitionIndex: 0, currentLeaderEpoch: -1, timestamp: -2n }]
    const asked = [{ name: topic.name, partitions: earliest }]
    for (let first = 0; first < 3; )
      first = Number(
        (await listOffsetsV7.api.async(connection, -1, 0, asked)).topics[0]?.partitions[0]?.offset,
      )
    await connection.close()
    await log.delete(topic)
  })

  it('is all of a topic where nothing came since', async () => {
    await using log = await open()
    const topic = await log.create(name(), { retention: millis(60_000) })
    await log.append(topic, [record('0', old)])
    assert.deepEqual(await log.bounds(topic), { first: 1, next: 1 })
    assert.equal(await log.append(topic, [record('1')]), 1)
    assert.deepEqual(await log.bounds(topic), { first: 1, next: 2 })
    await log.delete(topic)
  })

  it('is what the topic says, also one that an operator made', async () => {
    await using log = await open()
    await using other = await open()
    const topic = await written(other)
    assert.deepEqual(await log.create(topic.name, {}), topic)
    assert.deepEqual(await log.bounds(topic), { first: 3, next: 5 })
    await log.delete(topic)
  })

  it('is none where an operator wrote the largest number for "for ever"', async () => {
    const connection = await connectTo(cluster.bootstrapServers)
    const topicName = name()
    const configs = [{ name: 'retention.ms', value: '9223372036854775807' }]
    const made = { name: topicName, numPartitions: 1, replicationFactor: 1, assignments: [], configs }
    await createTopicsV7.api.async(connection, [made], 5000, false)
    await connection.close()
    await using log = await open()
    const topic = await log.create(topicName, { retention: millis(60_000) })
    await log.append(topic, [record('0', old)])
    assert.deepEqual(await log.bounds(topic), { first: 0, next: 1 })
    await log.delete(topic)
  })

  it('is not what another writer stamped late', async () => {
    await using log = await open()
    const topic = await log.create(name(), { retention: millis(60_000) })
    await log.append(topic, [record('young')])
    await log.append(topic, [record('old', old)])
    await log.append(topic, [record('young')])
    assert.deepEqual(await log.bounds(topic), { first: 0, next: 3 })
    const { records } = await log.read(topic, offset(1), 1)
    assert.equal(records[0]?.timestamp, old)
    await log.delete(topic)
  })

  it('is told in time and size at start', async () => {
    await using log = await open()
    const { beyond } = await log.describe({ retention: millis(3_600_000), retentionBytes: 1024 ** 3 })
    assert.match(beyond, /^disks may hold up to 12 min of each broadcast past RETENTION, and 103 MiB of each/)
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
  const inOrder = appends.map((_, i) => acknowledged.get(String(i)) ?? -1)
  assert.deepEqual(
    inOrder,
    inOrder.toSorted((a, b) => a - b),
    'appends land in the order of their calls',
  )
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

describe("this machine's clock", () => {
  it('holds nothing up where it is set back', { timeout: 30_000 }, async () => {
    await using log = await open()
    const topic = await log.create(name(), {})
    using tail = new TailReader(log, topic, offset(0))
    await log.append(topic, [record('a')])
    await tail.until(1)
    const { now } = Date
    const set = mock.method(Date, 'now', () => now() - 3_600_000)
    try {
      await log.append(topic, [record('b', now())])
      await tail.until(2)
      assert.equal((await log.bounds(topic)).next, 2)
      const other = await log.create(name(), {})
      await log.append(other, [record('c', now())])
    } finally {
      set.mock.restore()
    }
  })

  it('is named where a broker finds its time impossible', async () => {
    await using log = await open()
    const topic = await log.create(name(), {})
    const late = record('a', Date.now() + 7_200_000)
    await assert.rejects(log.append(topic, [late]), { code: 'LOG_FAILED', message: /this machine's clock/ })
  })
})

describe('connections', () => {
  it('to an address that no broker has any more are not made again', async () => {
    const { bootstrapServers } = cluster
    const [where] = bootstrapAddresses(bootstrapServers)
    assert.ok(where)
    const connections = new Connections(connectionOptions({ bootstrapServers }), 'test', () => {})
    const link = connections.link(where, 'lookup')
    await link.connect()
    connections.drop(where)
    // What waited to be asked would make one that nobody knows of, and nobody ends.
    await assert.rejects(link.connect(), { code: 'LOG_UNREACHABLE' })
    await connections.link(where, 'lookup').connect()
    connections.close()
    await assert.rejects(link.connect(), { code: 'LOG_CLOSED' })
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

describe('records that were damaged on a broker', { timeout: 60_000 }, () => {
  it('are passed over, and their offsets are told', { skip }, async () => {
    const [broker] = cluster.brokers
    assert.ok(broker)
    await using log = await open()
    const topic = await log.create(name(), {})
    for (const value of ['sound 0', 'sound 1', 'damaged 2', 'sound 3', 'damaged 4', 'sound 5'])
      await log.append(topic, [record(value)])
    await broker.stop()
    const file = join(broker.dataDir, `${topic.name}-0`, '00000000000000000000.log')
    const bytes = readFileSync(file)
    for (const what of ['damaged 2', 'damaged 4']) bytes.write('D', bytes.indexOf(what))
    writeFileSync(file, bytes)
    await broker.start()

    const damaged = [
      { from: 2, next: 3 },
      { from: 4, next: 5 },
    ]
    const chunk = await log.read(topic, offset(0), 1024)
    assert.deepEqual(
      chunk.records.map(each => each.offset),
      [0, 1, 3, 5],
    )
    assert.deepEqual(chunk.damaged, damaged)
    assert.deepEqual(await log.read(topic, offset(4), 1024), {
      ...(await log.read(topic, offset(5), 1024)),
      damaged: [{ from: 4, next: 5 }],
    })
    using tail = new TailReader(log, topic, offset(0))
    await tail.until(4)
    await log.append(topic, [record('sound 6')])
    await tail.until(5)
    assert.deepEqual(tail.offsets, [0, 1, 3, 5, 6])
    assert.deepEqual(tail.damaged, damaged)
    await log.delete(topic)
  })
})
