/** A real Kafka cluster of one or three brokers on free ports of 127.0.0.1, or the one that the caller has. */
import { randomBytes } from 'node:crypto'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { freePort, KafkaProcess, kafkaJars } from './kafka-process.ts'

export interface KafkaOptions {
  readonly brokers?: 1 | 3
  /** Adds a listener that asks for a password, by PLAIN and SCRAM. */
  readonly sasl?: boolean
  /** Where the data stays after the end. Without it a folder of its own is removed at the end. */
  readonly dir?: string
  /** Client ports, one a broker; the controller's is the next one up. Without it free ones. */
  readonly ports?: readonly number[]
  /** Further lines of `server.properties`. */
  readonly properties?: Readonly<Record<string, string | number>>
}

export interface KafkaCluster extends AsyncDisposable {
  readonly bootstrapServers: string
  /** None where the cluster is the caller's own. */
  readonly brokers: readonly KafkaProcess[]
  readonly sasl?: SaslAccess
}

export interface SaslAccess {
  readonly bootstrapServers: string
  readonly username: string
  readonly password: string
}

/**
 * `TEST_BOOTSTRAP_SERVERS` names a cluster to use as it is.
 * @returns once all brokers serve clients
 */
export async function startKafka(options: KafkaOptions = {}): Promise<KafkaCluster> {
  const existing = process.env.TEST_BOOTSTRAP_SERVERS
  if (existing) return { bootstrapServers: existing, brokers: [], [Symbol.asyncDispose]: async () => {} }
  return startBrokers(options)
}

export async function startBrokers(options: KafkaOptions): Promise<KafkaCluster> {
  await kafkaJars()
  const count = options.brokers ?? 1
  const dir = options.dir ?? (await mkdtemp(join(tmpdir(), 'framelog-kafka-')))
  const ports = await Promise.all(Array.from({ length: count }, (_, i) => portsOf(options.ports?.[i])))
  const voters = ports.map(({ controller }, i) => `${i + 1}@127.0.0.1:${controller}`).join(',')
  const password = 'correct-horse'
  const clusterId = options.ports ? 'ZnJhbWVsb2cta2Fma2EtMQ' : randomBytes(16).toString('base64url')
  const processes = ports.map(
    ({ client, controller, sasl }, i) =>
      new KafkaProcess({
        id: i + 1,
        dir: join(dir, String(i + 1)),
        clusterId,
        formatArguments: options.sasl
          ? ['--add-scram', `SCRAM-SHA-256=[name=viewer,password=${password}]`]
          : [],
        properties: {
          'process.roles': 'broker,controller',
          'node.id': i + 1,
          'controller.quorum.voters': voters,
          'controller.listener.names': 'CONTROLLER',
          'inter.broker.listener.name': 'PLAINTEXT',
          'listener.security.protocol.map':
            'CONTROLLER:PLAINTEXT,PLAINTEXT:PLAINTEXT,SASL_PLAINTEXT:SASL_PLAINTEXT',
          listeners: [
            `PLAINTEXT://127.0.0.1:${client}`,
            `CONTROLLER://127.0.0.1:${controller}`,
            ...(options.sasl ? [`SASL_PLAINTEXT://127.0.0.1:${sasl}`] : []),
          ].join(','),
          'default.replication.factor': count,
          'min.insync.replicas': count === 3 ? 2 : 1,
          'offsets.topic.replication.factor': count,
          'transaction.state.log.replication.factor': count,
          'transaction.state.log.min.isr': count === 3 ? 2 : 1,
          'share.coordinator.state.topic.replication.factor': count,
          'share.coordinator.state.topic.min.isr': count === 3 ? 2 : 1,
          ...(options.sasl ? saslProperties(password) : {}),
          ...options.properties,
        },
      }),
  )
  const stop = async (): Promise<void> => {
    await Promise.all(processes.map(each => (options.dir ? each.stop() : each.kill())))
    if (!options.dir) await rm(dir, { recursive: true, force: true, maxRetries: 3 })
  }
  try {
    await Promise.all(processes.map(each => each.start()))
  } catch (error) {
    await stop()
    throw error
  }
  const addresses = (list: readonly number[]): string => list.map(port => `127.0.0.1:${port}`).join(',')
  return {
    bootstrapServers: addresses(ports.map(({ client }) => client)),
    brokers: processes,
    ...(options.sasl
      ? {
          sasl: { bootstrapServers: addresses(ports.map(({ sasl }) => sasl)), username: 'viewer', password },
        }
      : {}),
    [Symbol.asyncDispose]: stop,
  }
}

interface Ports {
  readonly client: number
  readonly controller: number
  readonly sasl: number
}

async function portsOf(first: number | undefined): Promise<Ports> {
  if (first !== undefined) return { client: first, controller: first + 1, sasl: first + 1000 }
  const [client, controller, sasl] = await Promise.all([freePort(), freePort(), freePort()])
  return { client, controller, sasl }
}

function saslProperties(password: string): Record<string, string> {
  const listener = 'listener.name.sasl_plaintext'
  const security = 'org.apache.kafka.common.security'
  return {
    'sasl.enabled.mechanisms': 'PLAIN,SCRAM-SHA-256',
    [`${listener}.plain.sasl.jaas.config`]: `${security}.plain.PlainLoginModule required user_viewer="${password}";`,
    [`${listener}.scram-sha-256.sasl.jaas.config`]: `${security}.scram.ScramLoginModule required;`,
  }
}
