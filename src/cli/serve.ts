/** `framelog serve`: composes the log, the relay and the gateway, and stops them in order. */

import cluster from 'node:cluster'
import { randomInt } from 'node:crypto'
import { hostname } from 'node:os'
import { join } from 'node:path'
import type { Clock } from '../core/clock.ts'
import { type Gateway, startGateway } from '../gateway/gateway.ts'
import type { Log, TopicOptions } from '../log/log.ts'
import { guardProcess, type LogOptions, openLog } from '../log/open.ts'
import { createLogger, type Logger } from '../observe/logger.ts'
import { Metrics } from '../observe/metrics.ts'
import { Relay } from '../relay/relay.ts'
import type { Millis } from '../units.ts'
import { addressOf, greet } from './address.ts'
import { complaintOf, readCertificate } from './certificate.ts'
import { type Config, readConfig } from './config.ts'
import { root, version } from './version.ts'
import { metricsOfAll, startWorkers, whenComplete } from './workers.ts'

const systemClock: Clock = {
  now: () => Date.now() as Millis,
  monotonic: () => performance.now(),
  after(span, call) {
    const timer = setTimeout(call, span)
    return () => clearTimeout(timer)
  },
}

const alphabet = 'abcdefghijklmnopqrstuvwxyz0123456789'

const random = (length: number): string =>
  Array.from({ length }, () => alphabet[randomInt(alphabet.length)]).join('')

export async function serve(): Promise<void> {
  const config = readConfig(process.env)
  const log = createLogger(config.LOG_LEVEL)
  if (config.WORKERS > 1 && cluster.isPrimary) return startWorkers(config.WORKERS, log)
  const options = logOptions(config, log)
  const certificate = readCertificate(config)
  const complaint = certificate && complaintOf(certificate, Date.now())
  if (complaint !== undefined) log.warn(complaint)
  await guardProcess(options)
  const records = await openLog(options)
  const gateway = `${hostname().slice(0, 40)}-${random(6)}`
  const topicOptions: TopicOptions = {
    ...(config.RETENTION === undefined ? {} : { retention: config.RETENTION as Millis }),
    ...(config.RETENTION_BYTES === undefined ? {} : { retentionBytes: config.RETENTION_BYTES }),
  }
  const metrics = new Metrics(() => relay.counts)
  if (cluster.isWorker) metrics.all = metricsOfAll(metrics.registry)
  const relay = new Relay({
    log: records,
    clock: systemClock,
    gateway,
    topicPrefix: config.TOPIC_PREFIX,
    topicOptions,
    publisherGrace: config.PUBLISHER_GRACE,
    random,
    onMeasured: (stage, time) => metrics[stage](time),
    onEvent: event => {
      if (event.kind === 'state')
        log.info({ broadcast: event.id, viewers: event.viewers }, `broadcast is ${event.state}`)
      else if (event.kind === 'damage') {
        const { topic, from, next, others } = event
        log.warn({ topic, from, next, others }, 'stored records are damaged: they are left out')
      } else log.warn({ broadcast: event.id, code: event.error.code }, event.error.message)
    },
  })
  try {
    await relay.start()
    const server = await startGateway({
      relay,
      clock: systemClock,
      log,
      metrics,
      gateway,
      gatherTime: config.GATHER_TIME,
      host: config.HTTP_HOST,
      port: config.HTTP_PORT,
      rtmpPort: config.RTMP_PORT,
      certificate,
      pages: join(root, 'build', 'pages'),
      version: version(),
    })
    const address = addressOf(config, server.port)
    if (address !== undefined) relay.announce(address)
    const description = await records.describe(topicOptions)
    if (description.beyond !== '') log.info(description.beyond)
    whenComplete(() => greet(config, server, description))
    stopOnSignal(log, server, records, config.DRAIN_TIME)
  } catch (error) {
    await relay.close()
    await records[Symbol.asyncDispose]()
    throw error
  }
}

function logOptions(config: Config, log: Logger): LogOptions {
  const { BOOTSTRAP_SERVERS, DATA_DIR, DATA_LIMIT, EMBEDDED_SYNC } = config
  if (BOOTSTRAP_SERVERS === undefined)
    return {
      backend: 'embedded',
      dir: DATA_DIR,
      sync: EMBEDDED_SYNC,
      limit: DATA_LIMIT,
      onWarning: line => log.warn(line),
    }
  return {
    backend: 'kafka',
    bootstrapServers: BOOTSTRAP_SERVERS,
    securityProtocol: config.SECURITY_PROTOCOL,
    saslMechanism: config.SASL_MECHANISMS,
    username: config.SASL_USERNAME,
    password: config.SASL_PASSWORD,
    oauth: {
      tokenEndpointUrl: config.SASL_OAUTHBEARER_TOKEN_ENDPOINT_URL,
      clientId: config.SASL_OAUTHBEARER_CLIENT_ID,
      clientSecret: config.SASL_OAUTHBEARER_CLIENT_SECRET,
      scope: config.SASL_OAUTHBEARER_SCOPE,
      extensions: config.SASL_OAUTHBEARER_EXTENSIONS,
      tokenFile: config.SASL_OAUTHBEARER_TOKEN_FILE,
    },
    tls: {
      caLocation: config.SSL_CA_LOCATION,
      certificateLocation: config.SSL_CERTIFICATE_LOCATION,
      keyLocation: config.SSL_KEY_LOCATION,
      keyPassword: config.SSL_KEY_PASSWORD,
      endpointIdentification: config.SSL_ENDPOINT_IDENTIFICATION_ALGORITHM,
    },
    replicationFactor: config.REPLICATION_FACTOR,
    minInsyncReplicas: config.MIN_INSYNC_REPLICAS,
    onWarning: line => log.warn(line),
  }
}

function stopOnSignal(log: Logger, server: Gateway, records: Log, time: number): void {
  let stopping = false
  const stop = (signal: string): void => {
    if (stopping) return
    stopping = true
    log.info({ signal }, 'stopping')
    server
      .drain(time)
      .then(() => server[Symbol.asyncDispose]())
      .then(() => records[Symbol.asyncDispose]())
      .then(
        () => process.exit(0),
        (error: unknown) => {
          log.error({ error: String(error) }, 'could not stop in order')
          process.exit(1)
        },
      )
  }
  // Whoever cannot wait has SIGKILL.
  process.on('SIGTERM', stop)
  process.on('SIGINT', stop)
}
