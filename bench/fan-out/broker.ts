/** The one Kafka of a run, for all subjects that need it. */
import type { KafkaCluster } from '../../test/support/kafka.ts'
import { startWarmBrokers } from '../log/warm-up.ts'

export class Broker implements AsyncDisposable {
  #kafka: KafkaCluster | undefined

  /** Before anything is measured: whoever came first would share the machine with a broker that compiles. */
  async start(): Promise<void> {
    this.#kafka = await startWarmBrokers(1, ['bare'])
  }

  get bootstrapServers(): string {
    if (this.#kafka === undefined) throw new Error('no broker was started')
    return this.#kafka.bootstrapServers
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#kafka?.[Symbol.asyncDispose]()
  }
}
