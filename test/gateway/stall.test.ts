/** A log that does not answer for a while: what the publisher, the viewers and the log are told. */
import assert from 'node:assert/strict'
import { randomUUID } from 'node:crypto'
import { after, before, describe, it } from 'node:test'
import type { Clock } from '../../src/core/clock.ts'
import { type Gateway, startGateway } from '../../src/gateway/gateway.ts'
import { openKafkaLog } from '../../src/log/kafka/kafka-log.ts'
import type { Log } from '../../src/log/log.ts'
import { ReaderRule } from '../../src/log/reader-rule.ts'
import { decodeRecord, type FrameEntry, type GapEntry } from '../../src/log/record.ts'
import { createLogger } from '../../src/observe/logger.ts'
import { Metrics } from '../../src/observe/metrics.ts'
import { heldLimits } from '../../src/relay/held-frames.ts'
import { Relay } from '../../src/relay/relay.ts'
import { type Millis, offset } from '../../src/units.ts'
import type { MessageOf } from '../../src/wire/message.ts'
import { TestPublisher, TestViewer } from '../support/clients.ts'
import { type KafkaCluster, startBrokers } from '../support/kafka.ts'

const clock: Clock = {
  now: () => Date.now() as Millis,
  monotonic: () => performance.now(),
  after(span, call) {
    const timer = setTimeout(call, span)
    return () => clearTimeout(timer)
  },
}

/** All frames and gaps that count, read from the log. */
async function accepted(log: Log, topicName: string): Promise<(FrameEntry | GapEntry)[]> {
  const topic = (await log.find(topicName)) ?? assert.fail('no topic')
  const rule = new ReaderRule()
  const found: (FrameEntry | GapEntry)[] = []
  for (let at = offset(0); ; ) {
    const { records, next, end } = await log.read(topic, at, 1024 * 1024)
    for (const record of records) {
      const entry = decodeRecord(record)
      const counts = rule.judge(record.offset, entry) === 'accepted'
      if (counts && (entry.kind === 'frame' || entry.kind === 'gap')) found.push(entry)
    }
    if (next >= end) return found
    at = next
  }
}

describe('a Kafka broker that stands still', { timeout: 120_000 }, () => {
  let kafka: KafkaCluster
  let log: Log
  let gateway: Gateway
  let ws: string
  const prefix = `test-${randomUUID().slice(0, 8)}-`
  before(async () => {
    kafka = await startBrokers({})
    log = await openKafkaLog({ bootstrapServers: kafka.bootstrapServers })
    const relay = new Relay({
      log,
      clock,
      gateway: 'test',
      topicPrefix: prefix,
      topicOptions: {},
      publisherGrace: 30_000,
      held: { ...heldLimits, span: 2000 },
      random: length => randomUUID().replaceAll('-', '').slice(0, length),
      onEvent: () => {},
    })
    await relay.start()
    const version = { version: '', build_time: '' }
    const metrics = new Metrics(() => relay.counts)
    const options = { relay, clock, log: createLogger('error'), metrics, gateway: 'test', version }
    gateway = await startGateway({ ...options, gatherTime: 0, host: '127.0.0.1', port: 0, pages: '/nowhere' })
    ws = `ws://127.0.0.1:${gateway.port}`
  })
  after(async () => {
    kafka?.brokers[0]?.resume()
    await gateway?.[Symbol.asyncDispose]()
    await log?.[Symbol.asyncDispose]()
    await kafka?.[Symbol.asyncDispose]()
  })

  it('keeps the newest GOPs, records what it dropped, and tells everybody', async () => {
    const broker = kafka.brokers[0] ?? assert.fail('no broker')
    const publisher = await TestPublisher.connect(ws, 'cam')
    const send = (): void => publisher.publish(1, { keyframe: publisher.sequence % 15 === 0 })
    for (let i = 0; i < 20; i++) send()
    const viewer = await TestViewer.connect(ws, 'cam')
    await viewer.frame(19)
    await publisher.acknowledged(19)
    const sending = setInterval(send, 33)
    try {
      broker.pause()
      assert.equal((await publisher.next('stall')).stalled, true)
      const gap = await publisher.next('gap')
      assert.equal(gap.reason, 'the log stalled')
      // Nobody can begin meanwhile, and is told so.
      await assert.rejects(TestPublisher.connect(ws, 'other'), /LOG_UNREACHABLE/)
      broker.resume()
      assert.equal((await publisher.next('stall')).stalled, false)
    } finally {
      clearInterval(sending)
      broker.resume()
    }
    const last = publisher.sequence - 1
    await publisher.acknowledged(last)
    await viewer.frame(last)

    const dropped = publisher.messages.filter(
      (message): message is MessageOf<'gap'> => message.type === 'gap',
    )
    const from = dropped[0]?.from ?? -1
    const to = dropped.at(-1)?.to ?? -1
    assert.equal((to + 1) % 15, 0, 'what follows the gap is a keyframe')
    const entries = await accepted(log, `${prefix}cam`)
    const gaps = entries.filter(entry => entry.kind === 'gap')
    assert.deepEqual(
      gaps.map(entry => [entry.from, entry.to, entry.reason]),
      [[from, to, 'the log stalled']],
    )
    const stored = entries.flatMap(entry => (entry.kind === 'frame' ? [entry.sequence] : []))
    const expected = Array.from({ length: last + 1 }, (_, n) => n).filter(n => n < from || n > to)
    assert.deepEqual(stored, expected)
    const seen = viewer.messages.flatMap(message =>
      message.type === 'frame' ? [message.frame.sequence] : [],
    )
    assert.deepEqual(seen, expected.slice(expected.indexOf(seen[0] ?? 0)))
    const told = viewer.messages.findIndex(message => message.type === 'gap')
    const next = viewer.messages.slice(told).find(message => message.type === 'frame')
    assert.equal(next?.type === 'frame' && next.frame.sequence, to + 1)
    assert.equal(next?.type === 'frame' && next.frame.keyframe, true)
    await Promise.all([publisher.close(), viewer.close()])
  })
})
