/**
 * `make kafka`: a local Kafka on 127.0.0.1:9092, or three brokers with BROKERS=3 (9092, 9094, 9096).
 * What it stores stays in tools/kafka/run until that folder is removed.
 */
import { resolve } from 'node:path'
import { startBrokers } from '../test/support/kafka.ts'

try {
  const asked = process.env.BROKERS || '1'
  if (asked !== '1' && asked !== '3') throw new Error(`BROKERS takes 1 or 3, not ${asked}`)
  const brokers = asked === '3' ? 3 : 1
  const ports = [9092, 9094, 9096].slice(0, brokers)
  const dir = resolve(import.meta.dirname, `../tools/kafka/run/${brokers}`)
  // A controller that hangs is asked for no longer than this: see docs/kafka.md.
  const properties = { 'controller.socket.timeout.ms': 5000 }
  const cluster = await startBrokers({ brokers, ports, dir, full: true, properties })
  console.log(
    `BOOTSTRAP_SERVERS=${cluster.bootstrapServers}  (${brokers} broker${brokers > 1 ? 's' : ''}; Ctrl-C stops)`,
  )
  const stop = (): void => {
    // The brokers' watchdogs end with this process; stopping in good order comes first.
    void cluster[Symbol.asyncDispose]().then(() => process.exit(0))
  }
  process.once('SIGINT', stop)
  process.once('SIGTERM', stop)
} catch (error) {
  console.error(error instanceof Error ? error.message : String(error))
  process.exitCode = 1
}
