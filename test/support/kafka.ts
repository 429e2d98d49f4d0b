/** A real Kafka cluster of one or three brokers on free ports of 127.0.0.1, or the one that the caller has. */
import { randomBytes } from 'node:crypto'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { Connection } from '@platformatic/kafka'
import { clusterIdOf, freePorts, KafkaProcess, kafkaJars, portInUse } from './kafka-process.ts'
import {
  type Certificates,
  makeCertificates,
  password,
  scramUsers,
  securedProperties,
  users,
} from './kafka-security.ts'

export interface KafkaOptions {
  readonly brokers?: 1 | 3
  /** Adds listeners that ask for a password, that speak TLS, and both. */
  readonly secured?: boolean
  /** Adds a listener that advertises another port than its own. */
  readonly proxied?: boolean
  /** Where the data stays after the end. Without it a folder of its own is removed at the end. */
  readonly dir?: string
  /** Client ports, one a broker; the controller's is the next one up. They must be free. Without it free ones. */
  readonly ports?: readonly number[]
  /** As fast as brokers run, for measurements: without it they start at half the cost. */
  readonly full?: boolean
  /** Further lines of `server.properties`. */
  readonly properties?: Readonly<Record<string, string | number>>
}

export interface KafkaCluster extends AsyncDisposable {
  readonly bootstrapServers: string
  /** None where the cluster is the caller's own. */
  readonly brokers: readonly KafkaProcess[]
  readonly secured?: SecuredAccess
  /** One a broker, where it was asked for. */
  readonly proxied: readonly ProxiedAccess[]
}

/** Listeners that ask who comes. */
export interface SecuredAccess {
  /** PLAIN and SCRAM-SHA-256, without TLS. */
  readonly sasl: string
  /** PLAIN, SCRAM and OAUTHBEARER, by TLS. */
  readonly saslTls: string
  readonly username: string
  readonly password: string
  /** A user with the same password. */
  readonly limitedUser: string
  readonly tls: string
  /** TLS with a client certificate. */
  readonly mutualTls: string
  /** TLS with a broker's certificate for another name. */
  readonly misnamedTls: string
  readonly certificates: Certificates
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
  if (existing)
    return { bootstrapServers: existing, brokers: [], proxied: [], [Symbol.asyncDispose]: async () => {} }
  return startBrokers(options)
}

/** 16 bytes, as Kafka makes them: one that began with a dash would be taken for an option. */
function newClusterId(): string {
  const bytes = randomBytes(16)
  bytes.writeUInt8(bytes.readUInt8(0) & 0x7f, 0)
  return bytes.toString('base64url')
}

export async function startBrokers(options: KafkaOptions): Promise<KafkaCluster> {
  const count = options.brokers ?? 1
  const listeners: Listener[][] = []
  for (let i = 0; i < count; i++) listeners.push(await listenersOf(options, options.ports?.[i]))
  if (options.ports) await checkPorts(listeners.flat())
  await kafkaJars()
  const dir = options.dir ?? (await mkdtemp(join(tmpdir(), 'framelog-kafka-')))
  const folders = listeners.map((_, i) => join(dir, String(i + 1)))
  // One of its own for each folder: a broker that reaches another cluster's controller does not join it.
  const clusterId = (await clusterIdOf(folders)) ?? newClusterId()
  const port = (of: readonly Listener[], name: string): number =>
    of.find(each => each.name === name)?.port ?? 0
  const voters = listeners.map((of, i) => `${i + 1}@127.0.0.1:${port(of, 'CONTROLLER')}`).join(',')
  const certificates = options.secured ? await makeCertificates(join(dir, 'certificates')) : undefined
  const processes = listeners.map(
    (of, i) =>
      new KafkaProcess({
        id: i + 1,
        dir: folders[i] as string,
        clusterId,
        quick: !options.full,
        formatArguments: certificates ? scramUsers() : [],
        properties: {
          'process.roles': 'broker,controller',
          'node.id': i + 1,
          'controller.quorum.voters': voters,
          'controller.listener.names': 'CONTROLLER',
          'inter.broker.listener.name': 'PLAINTEXT',
          'listener.security.protocol.map': of.map(each => `${each.name}:${each.protocol}`).join(','),
          listeners: of.map(each => `${each.name}://127.0.0.1:${each.port}`).join(','),
          'advertised.listeners': of
            .filter(({ name }) => name !== 'CONTROLLER')
            .map(each => `${each.name}://127.0.0.1:${each.advertised}`)
            .join(','),
          'default.replication.factor': count,
          'min.insync.replicas': count === 3 ? 2 : 1,
          'offsets.topic.replication.factor': count,
          'transaction.state.log.replication.factor': count,
          'transaction.state.log.min.isr': count === 3 ? 2 : 1,
          'share.coordinator.state.topic.replication.factor': count,
          'share.coordinator.state.topic.min.isr': count === 3 ? 2 : 1,
          ...(certificates ? securedProperties(certificates) : {}),
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
    if (!options.dir) throw error
    const advice = `If what it stored is damaged, remove ${dir}: it starts anew then.`
    throw new Error(`${error instanceof Error ? error.message : error}\n${advice}`, { cause: error })
  }
  const addresses = (name: string): string => listeners.map(of => `127.0.0.1:${port(of, name)}`).join(',')
  const proxied = listeners.map(of => of.find(({ name }) => name === 'PROXIED'))
  return {
    bootstrapServers: addresses('PLAINTEXT'),
    brokers: processes,
    ...(certificates
      ? {
          secured: {
            sasl: addresses('SASL_PLAINTEXT'),
            saslTls: addresses('SASL_SSL'),
            tls: addresses('SSL'),
            mutualTls: addresses('MUTUAL'),
            misnamedTls: addresses('MISNAMED'),
            username: users.name,
            limitedUser: users.limited,
            password,
            certificates,
          },
        }
      : {}),
    proxied: proxied.flatMap(each => (each ? [{ listener: each.port, advertised: each.advertised }] : [])),
    [Symbol.asyncDispose]: stop,
  }
}

/** Before anything is stored: a broker that finds its port taken ends when others have already heard of it. */
async function checkPorts(listeners: readonly Listener[]): Promise<void> {
  const taken = await portInUse(listeners.map(({ port }) => port))
  if (taken !== undefined)
    throw new Error(`127.0.0.1:${taken} is in use: is another make kafka running? Stop it first.`)
}

interface Listener {
  readonly name: string
  readonly protocol: string
  readonly port: number
  /** Where clients are told to come. */
  readonly advertised: number
}

/** @param first port of the client's listener; the controller's is the next one. Without it free ones. */
async function listenersOf({ secured, proxied }: KafkaOptions, first?: number): Promise<Listener[]> {
  const protocols: Readonly<Record<string, string>> = {
    PLAINTEXT: 'PLAINTEXT',
    CONTROLLER: 'PLAINTEXT',
    ...(secured
      ? { SASL_PLAINTEXT: 'SASL_PLAINTEXT', SASL_SSL: 'SASL_SSL', SSL: 'SSL', MUTUAL: 'SSL', MISNAMED: 'SSL' }
      : {}),
    ...(proxied ? { PROXIED: 'PLAINTEXT' } : {}),
  }
  const names = Object.keys(protocols)
  const ports = await freePorts(names.length + 1)
  return names.map((name, i) => {
    const port = first === undefined ? (ports[i] as number) : first + i
    const advertised = name === 'PROXIED' ? (ports.at(-1) as number) : port
    return { name, protocol: protocols[name] as string, port, advertised }
  })
}

/** A connection of another program, to the first of the servers. */
export async function connectTo(bootstrapServers: string): Promise<Connection> {
  const [host = '', port] = (bootstrapServers.split(',')[0] ?? '').split(':')
  const connection = new Connection('test')
  await connection.connect(host, Number(port))
  return connection
}
