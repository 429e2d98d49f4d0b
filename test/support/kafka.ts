/** A real Kafka cluster of one or three brokers on free ports of 127.0.0.1, or the one that the caller has. */
import { execFile } from 'node:child_process'
import { randomBytes } from 'node:crypto'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { freePort, KafkaProcess, kafkaJars } from './kafka-process.ts'

export interface KafkaOptions {
  readonly brokers?: 1 | 3
  /** Adds a listener that asks for a password, by PLAIN and SCRAM, and one that speaks TLS. */
  readonly secured?: boolean
  /** Adds a listener that advertises another port than its own. */
  readonly proxied?: boolean
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
  readonly secured?: SecuredAccess
  /** Of the first broker. */
  readonly proxied?: ProxiedAccess
}

export interface SecuredAccess {
  /** Listeners that ask for a password. */
  readonly sasl: string
  readonly username: string
  readonly password: string
  /** Listeners that speak TLS, with a certificate that nobody has signed. */
  readonly tls: string
  /** File with that certificate. */
  readonly certificate: string
}

/** A listener that tells its clients to come to another port, where a test can put a proxy. */
export interface ProxiedAccess {
  readonly listener: number
  readonly advertised: number
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

/** 16 bytes, as Kafka makes them: one that began with a dash would be taken for an option. */
function newClusterId(): string {
  const bytes = randomBytes(16)
  bytes.writeUInt8(bytes.readUInt8(0) & 0x7f, 0)
  return bytes.toString('base64url')
}

export async function startBrokers(options: KafkaOptions): Promise<KafkaCluster> {
  await kafkaJars()
  const count = options.brokers ?? 1
  const dir = options.dir ?? (await mkdtemp(join(tmpdir(), 'framelog-kafka-')))
  const ports = await Promise.all(Array.from({ length: count }, (_, i) => portsOf(options.ports?.[i])))
  const voters = ports.map(({ controller }, i) => `${i + 1}@127.0.0.1:${controller}`).join(',')
  const password = 'correct-horse'
  const clusterId = options.ports ? 'ZnJhbWVsb2cta2Fma2EtMQ' : newClusterId()
  if (options.secured) await makeKeys(join(dir, 'keys.p12'), password)
  const processes = ports.map(
    ({ client, controller, sasl, tls, proxied, advertised }, i) =>
      new KafkaProcess({
        id: i + 1,
        dir: join(dir, String(i + 1)),
        clusterId,
        formatArguments: options.secured
          ? ['--add-scram', `SCRAM-SHA-256=[name=viewer,password=${password}]`]
          : [],
        properties: {
          'process.roles': 'broker,controller',
          'node.id': i + 1,
          'controller.quorum.voters': voters,
          'controller.listener.names': 'CONTROLLER',
          'inter.broker.listener.name': 'PLAINTEXT',
          'listener.security.protocol.map':
            'CONTROLLER:PLAINTEXT,PLAINTEXT:PLAINTEXT,SASL_PLAINTEXT:SASL_PLAINTEXT,SSL:SSL,PROXIED:PLAINTEXT',
          listeners: [
            ...clientListeners(options, { client, sasl, tls, proxied }),
            `CONTROLLER://127.0.0.1:${controller}`,
          ].join(','),
          'advertised.listeners': clientListeners(options, { client, sasl, tls, proxied: advertised }).join(
            ',',
          ),
          'default.replication.factor': count,
          'min.insync.replicas': count === 3 ? 2 : 1,
          'offsets.topic.replication.factor': count,
          'transaction.state.log.replication.factor': count,
          'transaction.state.log.min.isr': count === 3 ? 2 : 1,
          'share.coordinator.state.topic.replication.factor': count,
          'share.coordinator.state.topic.min.isr': count === 3 ? 2 : 1,
          ...(options.secured ? securedProperties(password, join(dir, 'keys.p12')) : {}),
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
    ...(options.secured
      ? {
          secured: {
            sasl: addresses(ports.map(({ sasl }) => sasl)),
            username: 'viewer',
            password,
            tls: addresses(ports.map(({ tls }) => tls)),
            certificate: join(dir, 'keys.p12.pem'),
          },
        }
      : {}),
    ...(options.proxied && ports[0]
      ? { proxied: { listener: ports[0].proxied, advertised: ports[0].advertised } }
      : {}),
    [Symbol.asyncDispose]: stop,
  }
}

function clientListeners(
  { secured, proxied }: KafkaOptions,
  ports: Pick<Ports, 'client' | 'sasl' | 'tls' | 'proxied'>,
): string[] {
  return [
    `PLAINTEXT://127.0.0.1:${ports.client}`,
    ...(secured ? [`SASL_PLAINTEXT://127.0.0.1:${ports.sasl}`, `SSL://127.0.0.1:${ports.tls}`] : []),
    ...(proxied ? [`PROXIED://127.0.0.1:${ports.proxied}`] : []),
  ]
}

interface Ports {
  readonly client: number
  readonly controller: number
  readonly sasl: number
  readonly tls: number
  readonly proxied: number
  readonly advertised: number
}

async function portsOf(first: number | undefined): Promise<Ports> {
  const port = async (step: number): Promise<number> => (first === undefined ? freePort() : first + step)
  const [client, controller, sasl, tls, proxied, advertised] = await Promise.all([
    port(0),
    port(1),
    port(1000),
    port(2000),
    port(3000),
    port(4000),
  ])
  return { client, controller, sasl, tls, proxied, advertised }
}

async function makeKeys(file: string, password: string): Promise<void> {
  const names = ['-alias', 'broker', '-dname', 'CN=localhost', '-ext', 'san=ip:127.0.0.1,dns:localhost']
  const store = ['-keystore', file, '-storetype', 'PKCS12', '-storepass', password]
  const keytool = (...args: string[]) => promisify(execFile)('keytool', [...args, ...store])
  await keytool('-genkeypair', '-keyalg', 'EC', '-validity', '30', ...names)
  await keytool('-exportcert', '-rfc', '-alias', 'broker', '-file', `${file}.pem`)
}

function securedProperties(password: string, keys: string): Record<string, string> {
  const listener = 'listener.name.sasl_plaintext'
  const security = 'org.apache.kafka.common.security'
  return {
    'sasl.enabled.mechanisms': 'PLAIN,SCRAM-SHA-256',
    [`${listener}.plain.sasl.jaas.config`]: `${security}.plain.PlainLoginModule required user_viewer="${password}";`,
    [`${listener}.scram-sha-256.sasl.jaas.config`]: `${security}.scram.ScramLoginModule required;`,
    'ssl.keystore.location': keys,
    'ssl.keystore.password': password,
    'ssl.keystore.type': 'PKCS12',
  }
}
