/** Three rounds of each fault, on brokers that notice a lost one sooner than theirs do: see test/soak for theirs. */
import { faultSuite } from '../support/faults.ts'

faultSuite({
  rounds: 3,
  brokerSettings: { 'broker.session.timeout.ms': 3000, 'broker.heartbeat.interval.ms': 500 },
})
