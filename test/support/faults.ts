/**
 * Faults of a cluster under ten live broadcasts, through a gateway as it is run: whatever breaks, every acknowledged frame is
 * in the log once and in order, viewers see each once and in order, and all go on by themselves.
 */
import assert from 'node:assert/strict'
import { after, before, describe, it, type TestContext } from 'node:test'
import { setTimeout as delay } from 'node:timers/promises'
import { metadataV12 } from '@platformatic/kafka'
import { openKafkaLog } from '../../src/log/kafka/kafka-log.ts'
import { heldLimits } from '../../src/relay/held-frames.ts'
import { RecordStream } from '../../src/relay/stream.ts'
import { type RunningGateway, startGateway } from './gateway.ts'
import { connectTo, type KafkaCluster, startBrokers } from './kafka.ts'
import type { KafkaProcess } from './kafka-process.ts'
import { joined, type Missing, SteadyPublisher, SteadyViewer } from './steady.ts'
import { TcpProxy } from './tcp-proxy.ts'

export interface FaultOptions {
  readonly rounds: number
  /** Settings of the brokers that decide how long a cluster takes to notice; printed beside what was measured. */
  readonly brokerSettings: Readonly<Record<string, number>>
}

const broadcasts = 10
const framesPerSecond = 30

export function faultSuite({ rounds, brokerSettings }: FaultOptions): void {
  describe('three brokers, ten live broadcasts', { timeout: rounds * 400_000 }, () => {
    let cluster: KafkaCluster
    let gateway: RunningGateway
    const proxies: TcpProxy[] = []
    const publishers: SteadyPublisher[] = []
    const viewers: SteadyViewer[] = []
    let camera: NodeJS.Timeout | undefined

    before(async () => {
      cluster = await startBrokers({ brokers: 3, proxied: true, properties: brokerSettings })
      for (const { listener, advertised } of cluster.proxied)
        proxies.push(await TcpProxy.listen(advertised, listener))
      const BOOTSTRAP_SERVERS = proxies.map(({ address }) => address).join(',')
      gateway = await startGateway({ BOOTSTRAP_SERVERS, PUBLISHER_GRACE: '10m' })
      for (let i = 0; i < broadcasts; i++) {
        publishers.push(new SteadyPublisher(gateway.ws, `fault-${i}`))
        viewers.push(new SteadyViewer(gateway.ws, `fault-${i}`))
      }
      for (const publisher of publishers) publisher.start()
      let turn = 0
      camera = setInterval(
        () => publishers[turn++ % broadcasts]?.frame(),
        1000 / (framesPerSecond * broadcasts),
      )
      await Promise.all(publishers.map(each => each.until(() => each.acknowledged >= 0)))
      for (const viewer of viewers) viewer.start()
      await flows()
    })

    after(async () => {
      clearInterval(camera)
      for (const client of [...publishers, ...viewers]) client.stop()
      await gateway?.[Symbol.asyncDispose]()
      for (const proxy of proxies) await proxy[Symbol.asyncDispose]()
      await cluster?.[Symbol.asyncDispose]()
    })

    /** Every viewer gets a frame, and every publisher an acknowledgement, of what is sent from now on. */
    const flows = async (): Promise<void> => {
      await Promise.all(
        publishers.map(async (publisher, i) => {
          const from = publisher.next
          const viewer = viewers[i] as SteadyViewer
          await Promise.all([
            publisher.until(() => publisher.acknowledged >= from),
            viewer.until(() => viewer.latest >= from),
          ])
        }),
      )
    }

    /** @param disturb tells who was met, where that may tell how long it takes */
    const fault = (name: string, disturb: (round: number) => Promise<string | undefined>): void => {
      it(name, async t => {
        const silences = new Map<string | undefined, number[]>()
        for (let round = 0; round < rounds; round++) {
          await inSync(cluster)
          await flows()
          for (const viewer of viewers) viewer.mark()
          const met = await disturb(round)
          await flows()
          const before = silences.get(met) ?? []
          silences.set(met, [...before, ...viewers.map(({ longestSilence }) => longestSilence)])
        }
        report(t, silences, brokerSettings)
        const given = publishers
          .flatMap(({ dropped }) => dropped)
          .reduce((sum, { from, to }) => sum + to - from + 1, 0)
        if (given > 0)
          t.diagnostic(`so far ${given} frames were given up, held for over ${heldLimits.span / 1000} s`)
        check()
      })
    }

    /**
     * What viewers saw: each frame once, in order, none missing. What a cluster that stalled for longer than frames are held has
     * cost is known to the publisher, and told to its viewers as it is: no frame of it was ever acknowledged.
     */
    const check = (): void => {
      for (const [i, { sequences, closes, gaps }] of viewers.entries()) {
        const { dropped, longestWait } = publishers[i] as SteadyPublisher
        assert.deepEqual(closes, [], `viewer ${i} was cut`)
        assert.deepEqual(joined(gaps), joined(dropped), `viewer ${i} was told that frames are missing`)
        if (dropped.length > 0)
          assert.ok(longestWait >= heldLimits.span, `${longestWait} ms without an acknowledgement`)
        const [first = 0] = sequences
        let expected = first
        const wrong = sequences.findIndex(sequence => {
          expected = passOver(dropped, expected)
          return sequence !== expected++
        })
        assert.equal(
          wrong,
          -1,
          `viewer ${i}: ${sequences.slice(Math.max(0, wrong - 3), wrong + 3).join(' ')}`,
        )
      }
    }

    const broker = (round: number): KafkaProcess => cluster.brokers[round % 3] as KafkaProcess
    const sessionEnds = (brokerSettings['broker.session.timeout.ms'] as number) + 1000

    fault('a broker is killed, and comes back', async round => {
      await broker(round).kill()
      await flows()
      await broker(round).start()
      return undefined
    })

    fault('a broker stops for longer than its session, and goes on', async round => {
      const leads = await broker(round).leadsControllers()
      broker(round).pause()
      await delay(sessionEnds)
      await flows()
      broker(round).resume()
      return leads ? 'one that led the controllers' : 'one that did not lead the controllers'
    })

    fault('links break, hang, and are slow', async round => {
      for (let i = 0; i < 5; i++) {
        for (const proxy of proxies) proxy.cut()
        await delay(100)
      }
      await flows()
      proxies[round % 3]?.stall()
      await flows()
      for (const proxy of proxies) proxy.latency = 150
      await flows()
      await flows()
      for (const proxy of proxies) proxy.latency = 0
      return undefined
    })

    fault('all three restart, one after the other', async () => {
      for (const each of cluster.brokers) {
        await each.stop()
        await flows()
        await each.start()
      }
      return undefined
    })

    fault('all three are killed at once, and come back', async () => {
      await Promise.all(cluster.brokers.map(each => each.kill()))
      await Promise.all(cluster.brokers.map(each => each.start()))
      return undefined
    })

    it('has every acknowledged frame in the log, once and in order', async () => {
      clearInterval(camera)
      await Promise.all(publishers.map(each => each.until(() => each.acknowledged >= each.next - 1)))
      await using log = await openKafkaLog({ bootstrapServers: cluster.bootstrapServers })
      for (const publisher of publishers) {
        const topic = (await log.find(`video-${publisher.id}`)) ?? assert.fail('the topic is gone')
        const stream = new RecordStream()
        let expected = 0
        for (let at = (await log.bounds(topic)).first; ; ) {
          const chunk = await log.read(topic, at, 4 * 1024 * 1024)
          for (const record of chunk.records) {
            const entry = stream.take(record)?.entry
            if (entry?.kind !== 'frame') continue
            expected = passOver(publisher.dropped, expected)
            assert.equal(entry.sequence, expected, `in the log of ${publisher.id}`)
            assert.equal(Buffer.from(entry.frame.data).readUInt32BE(), expected, 'the frame is its own')
            expected += 1
          }
          if (chunk.next >= chunk.end) break
          at = chunk.next
        }
        assert.equal(expected, publisher.acknowledged + 1)
      }
    })
  })
}

/** @returns the number itself, or the first behind those that were dropped */
function passOver(dropped: readonly Missing[], sequence: number): number {
  const missing = joined(dropped).find(({ from }) => from === sequence)
  return missing === undefined ? sequence : missing.to + 1
}

/** Waits until every copy is in sync again: a fault is one at a time. */
async function inSync({ bootstrapServers, brokers }: KafkaCluster): Promise<void> {
  const connection = await connectTo(bootstrapServers)
  try {
    for (;;) {
      const { topics } = await metadataV12.api.async(connection, null, false, false)
      const partitions = topics.flatMap(topic => topic.partitions)
      if (partitions.every(({ isrNodes }) => isrNodes.length === brokers.length)) return
      await delay(100)
    }
  } finally {
    await connection.close()
  }
}

/** How long pictures stood still. @param silences milliseconds, by who was met */
function report(
  t: TestContext,
  silences: ReadonlyMap<string | undefined, readonly number[]>,
  settings: FaultOptions['brokerSettings'],
): void {
  const beside = Object.entries(settings).map(([name, value]) => `${name}=${value}`)
  t.diagnostic(`pictures stood still for ${shares([...silences.values()].flat())} (${beside.join(' ')})`)
  for (const [met, times] of silences)
    if (met !== undefined) t.diagnostic(`  ${met}: ${shares(times)}, ${times.length / broadcasts} times`)
}

function shares(times: readonly number[]): string {
  const sorted = times.toSorted((a, b) => a - b)
  const at = (share: number): string =>
    ((sorted[Math.ceil(share * sorted.length) - 1] ?? 0) / 1000).toFixed(2)
  return `p50 ${at(0.5)} p99 ${at(0.99)} s`
}
