/** The fight as a test, short and long. A seed that failed is printed; SEED runs it again. */
import { randomInt, randomUUID } from 'node:crypto'
import { it } from 'node:test'
import { openKafkaLog } from '../../src/log/kafka/kafka-log.ts'
import { fight, seededRandom } from './fight.ts'
import { checkFight, readAll } from './fight-check.ts'
import { startGateway } from './gateway.ts'
import { startKafka } from './kafka.ts'

/** @param span milliseconds of fighting */
export function testFight(span: number): void {
  const name = 'two gateways that fight for a broadcast show one and the same, and lose nothing acknowledged'
  it(name, { timeout: span + 150_000 }, async test => {
    await using kafka = await startKafka()
    const seed = Number(process.env.SEED ?? randomInt(2 ** 31))
    const prefix = `test-${randomUUID().slice(0, 8)}-`
    const env = { PUBLISHER_GRACE: '1s', BOOTSTRAP_SERVERS: kafka.bootstrapServers, TOPIC_PREFIX: prefix }
    await using here = await startGateway(env)
    await using there = await startGateway(env)
    try {
      const fought = await fight([here, there], 'ring', span, seededRandom(seed))
      await using log = await openKafkaLog({ bootstrapServers: kafka.bootstrapServers })
      test.diagnostic(checkFight(fought, await readAll(log, `${prefix}ring`)))
    } catch (error) {
      process.stderr.write(`SEED=${seed}\n${here.output()}\n${there.output()}\n`)
      throw error
    }
  })
}
