/**
 * A gateway under one load: it in a process of its own, its publishers and viewers in this one. Takes its task as an argument
 * and tells its parent when the measurement begins and ends, and what it was.
 */
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { openKafkaLog } from '../../src/log/kafka/kafka-log.ts'
import { encodeMessage } from '../../src/wire/message.ts'
import { TestPublisher, testFrame } from '../../test/support/clients.ts'
import { metricOf, type RunningGateway, startGateway } from '../../test/support/gateway.ts'
import { film, type Plan } from '../log/camera.ts'
import { Ledger } from '../log/ledger.ts'
import { countsBetween } from '../log/requests.ts'
import { connectionsByPort } from '../log/sockets.ts'
import { answer, patience, type Result, rate, type Task, tell, usualBytes } from '../log/task.ts'
import { each } from '../log/topics.ts'
import { ask, type Look } from './ask.ts'
import { watch } from './viewer.ts'

const task = JSON.parse(process.argv[2] ?? '') as Task
const bytes = task.bytes ?? usualBytes
const data = new Uint8Array(bytes).map(() => Math.random() * 256)
const prefix = `bench-gateway-${process.pid}-`

await answer(run)

async function run(): Promise<Result> {
  const gateway = await startGateway({
    // Without brokers it has a folder of its own.
    ...(task.embedded ? {} : { BOOTSTRAP_SERVERS: task.bootstrapServers }),
    TOPIC_PREFIX: prefix,
    LOG_LEVEL: 'warn',
    NODE_OPTIONS: [
      `--import=${join(import.meta.dirname, 'look.ts')}`,
      ...(task.profile === undefined ? [] : ['--cpu-prof', `--cpu-prof-dir=${task.profile}`]),
    ].join(' '),
  })
  try {
    return await measure(gateway)
  } finally {
    // In order: a profile is written at the end.
    await Promise.race([gateway.kill('SIGTERM'), sleep(10_000)])
    await gateway[Symbol.asyncDispose]()
    if (!task.embedded) await removeTopics()
  }
}

async function measure(gateway: RunningGateway): Promise<Result> {
  const { live, viewers = 1, warmUp, seconds } = task
  const within = new Ledger(live)
  const outside = new Ledger(live)
  const publishers = await Promise.all(
    Array.from({ length: live }, async (_, broadcast) => {
      const id = `broadcast-${broadcast}`
      const publisher = await TestPublisher.connect(gateway.ws, id)
      publisher.publish(1, { bytes, keyframe: true })
      await publisher.acknowledged(publisher.sequence - 1)
      const first = publisher.sequence
      await Promise.all(
        Array.from({ length: viewers }, (_, viewer) =>
          watch(`${gateway.ws}/api/v1/broadcasts/${id}/watch`, (message, at) => {
            // All see the same bytes: what is told inside them is one viewer's, and so is the account.
            if (viewer > 0) return
            const { frame } = message()
            const sequence = frame.sequence - first
            if (sequence < 0) return
            const { received = Number.NaN, relayed = Number.NaN } = frame.hops ?? {}
            outside.deliver(broadcast, sequence, at)
            within.deliver(
              broadcast,
              sequence,
              (sentAt[broadcast]?.[sequence] ?? 0) + (relayed - received) / 1000,
            )
            if (Number.isNaN(relayed - received)) within.fault(`frame ${sequence} tells no way`)
          }),
        ),
      )
      let acknowledged = 0
      publisher.on('change', () => {
        const at = performance.now()
        for (const message of publisher.messages) {
          if (message.type !== 'ack') continue
          for (; acknowledged <= message.sequence - first; acknowledged++)
            for (const ledger of [within, outside]) ledger.acknowledge(broadcast, acknowledged, at)
        }
        publisher.forget()
      })
      return publisher
    }),
  )
  const sentAt: number[][] = publishers.map(() => [])
  const idle = Array.from({ length: task.idle ?? 0 }, (_, i) => `idle-${i}`)
  await each(idle, id => beginIdle(gateway, id))
  const open = await metricOf(gateway, 'framelog_broadcasts')
  if (open < live + idle.length)
    throw new Error(`the gateway reads ${open} of ${live + idle.length} broadcasts`)

  const plan: Plan = { live, rate, seconds: warmUp + seconds }
  let begin: { readonly at: number; readonly look: Promise<Look>; readonly cpu: number } | undefined
  let last = 0
  await film(plan, ({ broadcast, at }, due) => {
    if (begin === undefined && at >= warmUp * 1000) {
      begin = { at: due, look: ask(gateway), cpu: ownCpu() }
      void tell({ kind: 'begins' })
    }
    last = due
    const publisher = publishers[broadcast] as TestPublisher
    const frame = { ...testFrame(publisher.sequence++, { bytes: 4 }), data }
    const message = encodeMessage({ type: 'frame', frame })
    // A Buffer is masked where it lies. What this process leaves to its garbage collector takes the machine from the gateway.
    const written = Buffer.from(message.buffer, message.byteOffset, message.byteLength)
    const sent = performance.now()
    for (const ledger of [within, outside]) ledger.send(broadcast, due, sent)
    sentAt[broadcast]?.push(sent)
    publisher.socket.send(written)
  })
  const clients = ownCpu() - (begin?.cpu ?? 0)
  const after = await ask(gateway)
  await tell({ kind: 'ends' })
  if (begin === undefined) throw new Error('no frame was due in the measurement')
  const before = await begin.look
  const connections = connectionsByPort(gateway.pid)
  const give = performance.now() + patience * 1000
  while (!outside.isComplete && performance.now() < give) await sleep(20)
  // What has been delivered is acknowledged a moment later, or not at all.
  await sleep(500)
  const ports = task.bootstrapServers.split(',').map(each => Number(each.split(':').at(-1)))
  const span = { from: begin.at, to: last + 1 }
  const refreshes = after.refreshes.map(at => at - performance.timeOrigin)
  return {
    ...within.account(span, refreshes),
    outside: outside.account(span, []).delivered,
    faults: [...new Set([...within.faults(), ...outside.faults()])],
    cpu: (after.cpu - before.cpu) / 1e6,
    clients,
    requests: countsBetween(before.counts, after.counts),
    connections: connections && ports.map(port => connections.get(port) ?? 0),
  }
}

/** A broadcast that has begun, is over, and is watched: the gateway follows its topic as it does that of one on air. */
async function beginIdle(gateway: RunningGateway, id: string): Promise<void> {
  const publisher = await TestPublisher.connect(gateway.ws, id)
  publisher.publish(1, { bytes, keyframe: true })
  await publisher.acknowledged(publisher.sequence - 1)
  await watch(`${gateway.ws}/api/v1/broadcasts/${id}/watch`, () => {})
  await publisher.end()
}

/** Seconds of this process. */
function ownCpu(): number {
  const { user, system } = process.cpuUsage()
  return (user + system) / 1e6
}

async function removeTopics(): Promise<void> {
  await using log = await openKafkaLog({ bootstrapServers: task.bootstrapServers })
  await each(await log.topics(prefix), topic => log.delete(topic))
}
