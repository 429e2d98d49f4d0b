/** Ours, as `framelog serve` runs; its publisher is in this process. */
import { randomBytes } from 'node:crypto'
import { setTimeout as pause } from 'node:timers/promises'
import { openKafkaLog } from '../../src/log/kafka/kafka-log.ts'
import { type Delivery, encodeMessage, protocolVersion, subprotocol, types } from '../../src/wire/message.ts'
import { startGateway } from '../../test/support/gateway.ts'
import { familyOf } from '../lag/processors.ts'
import { startCamera } from './camera.ts'
import type { Start, Subject } from './subjects.ts'

const id = 'crowd'
/** Milliseconds to stop in order. */
const patience = 10_000

/** On a log in a folder of its own. @param delivery that its viewers ask for */
export const framelog =
  (delivery: Delivery | undefined): Start =>
  async stream => {
    const gateway = await startGateway({ LOG_LEVEL: 'warn' })
    const camera = await startCamera(gateway.ws, id, stream)
    return {
      ...asks(gateway.port, delivery),
      pids: () => [gateway.pid],
      async [Symbol.asyncDispose]() {
        camera[Symbol.dispose]()
        await gateway[Symbol.asyncDispose]()
      },
    }
  }

/**
 * On the run's broker, whose own cost does not count. Of several workers one has the publisher, and viewers come to each in
 * turn; the process that hands them out counts too.
 */
export const framelogOnKafka =
  (workers: number): Start =>
  async (stream, { bootstrapServers }) => {
    const processes = workers === 1 ? 1 : workers + 1
    const prefix = `bench-fan-out-${randomBytes(3).toString('hex')}-`
    const gateway = await startGateway({
      LOG_LEVEL: 'warn',
      BOOTSTRAP_SERVERS: bootstrapServers,
      TOPIC_PREFIX: prefix,
      WORKERS: String(workers),
    })
    const camera = await startCamera(gateway.ws, id, stream)
    return {
      ...asks(gateway.port, 'prompt'),
      pids() {
        const all = familyOf(gateway.pid)
        if (all.length !== processes)
          throw new Error(`${all.length} processes, where ${processes} were expected`)
        return all
      },
      async [Symbol.asyncDispose]() {
        camera[Symbol.dispose]()
        await Promise.race([gateway.kill('SIGTERM'), pause(patience, undefined, { ref: false })])
        await gateway.kill()
        await using log = await openKafkaLog({ bootstrapServers })
        for (const topic of await log.topics(prefix)) await log.delete(topic)
      },
    }
  }

function asks(
  port: number,
  delivery: Delivery | undefined,
): Omit<Subject, 'pids' | typeof Symbol.asyncDispose> {
  const wish = delivery === undefined ? {} : { delivery }
  const hello = { type: 'hello', role: 'watch', version: protocolVersion, from: 'live', ...wish } as const
  return {
    port,
    path: `/api/v1/broadcasts/${id}/watch`,
    subprotocol,
    hello: Buffer.from(encodeMessage(hello)).toString('hex'),
    type: types.frame,
  }
}
