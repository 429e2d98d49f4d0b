/** Twenty rounds of each fault (ROUNDS for another number), with Kafka's own settings. Takes about 2 GB of memory. */
import { faultSuite } from '../support/faults.ts'

faultSuite({
  rounds: Number(process.env.ROUNDS ?? 20),
  brokerSettings: { 'broker.session.timeout.ms': 9000, 'broker.heartbeat.interval.ms': 2000 },
})
