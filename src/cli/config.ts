/**
 * Settings: one table gives the environment variables, their checks and `docs/configuration.md` (a test holds
 * the two together). All wrong settings are named at once.
 */
import { availableParallelism } from 'node:os'
import { FramelogError } from '../errors.ts'
import { type LogLevel, logLevels } from '../observe/logger.ts'
import { quote } from '../units.ts'

/** The log that a setting is for; the others are for the gateway, whatever its log. */
type Backend = 'Kafka' | 'embedded'

interface Setting<Value, Default extends string | undefined> {
  readonly describe: string
  /** Without effect on the other log, and refused there. */
  readonly only: Backend | undefined
  /** As text, the way a user would write it; undefined where there is none. */
  readonly default: Default
  /** @throws RangeError saying what is expected */
  readonly parse: (text: string) => Value
}

const settingOf =
  (only?: Backend) =>
  <Value, const Default extends string | undefined>(
    describe: string,
    fallback: Default,
    parse: (text: string) => Value,
  ): Setting<Value, Default> => ({ describe, only, default: fallback, parse })

const setting = settingOf()
const kafka = settingOf('Kafka')
const embedded = settingOf('embedded')

const text = (value: string): string => value

const integer =
  (min: number, max: number) =>
  (value: string): number => {
    const n = Number(value)
    if (!/^-?\d+$/.test(value) || n < min || n > max)
      throw new RangeError(`a whole number from ${min} to ${max}`)
    return n
  }

const milliseconds = (value: string): number => {
  const n = /^\d{1,4}ms$/.test(value) ? Number(value.slice(0, -2)) : Number.NaN
  if (n <= 1000) return n
  throw new RangeError('milliseconds from 0ms to 1000ms')
}

/** Each reads by itself what its viewers watch. */
const mostWorkers = 64

const workers = (value: string): number => {
  if (value.toLowerCase() === 'auto') return Math.min(mostWorkers, availableParallelism())
  const n = /^\d{1,2}$/.test(value) ? Number(value) : Number.NaN
  if (n >= 1 && n <= mostWorkers) return n
  throw new RangeError(`a whole number from 1 to ${mostWorkers}, or auto`)
}

const oneOf =
  <Value extends string>(...values: readonly Value[]) =>
  (given: string): Value => {
    const found = values.find(value => value.toLowerCase() === given.toLowerCase())
    if (found === undefined) throw new RangeError(`one of ${values.join(', ')}`)
    return found
  }

const spanUnits: Readonly<Record<string, number>> = { s: 1000, m: 60_000, h: 3_600_000, d: 86_400_000 }

const spanExpected = 'a span such as 30s, 10m, 24h or 7d'

/** `30s`, `10m`, `24h`, `7d` as milliseconds. @throws RangeError saying what is expected */
export const span = (value: string): number => {
  const match = /^(\d{1,6})([smhd])$/.exec(value)
  const unit = spanUnits[match?.[2] ?? '']
  if (!match || unit === undefined || Number(match[1]) === 0) throw new RangeError(spanExpected)
  return Number(match[1]) * unit
}

const retention = (value: string): number | undefined => {
  if (value === 'forever') return undefined
  try {
    return span(value)
  } catch {
    throw new RangeError(`${spanExpected}, or forever`)
  }
}

const sizeUnits: Readonly<Record<string, number>> = {
  '': 1,
  k: 1024,
  m: 1024 ** 2,
  g: 1024 ** 3,
  t: 1024 ** 4,
}

const bytes = (value: string): number => {
  const match = /^(\d{1,15})([kmgt]?)(i?b)?$/i.exec(value)
  const unit = sizeUnits[(match?.[2] ?? '').toLowerCase()]
  const size = Number(match?.[1]) * (unit ?? Number.NaN)
  if (!Number.isSafeInteger(size) || size < 1) throw new RangeError('a size such as 500M or 20G')
  return size
}

const prefix = (value: string): string => {
  if (!/^[a-zA-Z0-9._-]{0,128}$/.test(value))
    throw new RangeError('up to 128 of letters, digits, ".", "_" and "-"')
  return value
}

const origin = (value: string): string => {
  const url = URL.canParse(value) ? new URL(value) : undefined
  const isPlain = url?.pathname === '/' && url.search === '' && url.hash === '' && url.username === ''
  if (url === undefined || !isPlain || !/^https?:$/.test(url.protocol))
    throw new RangeError('an address such as https://video.example.org, without a path')
  return url.origin
}

export const settings = {
  BOOTSTRAP_SERVERS: setting(
    'Kafka brokers, `host:port`, separated by commas; a port that is not given is 9092. Without it the embedded log serves.',
    undefined,
    text,
  ),
  SECURITY_PROTOCOL: kafka(
    'How to speak to the brokers: `PLAINTEXT`, `SSL`, `SASL_PLAINTEXT` or `SASL_SSL`. Default: `SASL_SSL` where `SASL_USERNAME` is set or the mechanism is `OAUTHBEARER`, else `PLAINTEXT`.',
    undefined,
    oneOf('PLAINTEXT', 'SSL', 'SASL_PLAINTEXT', 'SASL_SSL'),
  ),
  SASL_MECHANISMS: kafka(
    'How to log in: `PLAIN`, `SCRAM-SHA-256`, `SCRAM-SHA-512` or `OAUTHBEARER`.',
    'PLAIN',
    oneOf('PLAIN', 'SCRAM-SHA-256', 'SCRAM-SHA-512', 'OAUTHBEARER'),
  ),
  SASL_USERNAME: kafka('User name for the brokers.', undefined, text),
  SASL_PASSWORD: kafka('Password for the brokers.', undefined, text),
  SASL_OAUTHBEARER_TOKEN_ENDPOINT_URL: kafka(
    'Where `OAUTHBEARER` asks for tokens, by the client credentials grant.',
    undefined,
    text,
  ),
  SASL_OAUTHBEARER_CLIENT_ID: kafka('Client id for the token endpoint.', undefined, text),
  SASL_OAUTHBEARER_CLIENT_SECRET: kafka('Client secret for the token endpoint.', undefined, text),
  SASL_OAUTHBEARER_SCOPE: kafka('Scope to ask the token endpoint for.', undefined, text),
  SASL_OAUTHBEARER_EXTENSIONS: kafka('SASL extensions, `key=value`, separated by commas.', undefined, text),
  SASL_OAUTHBEARER_TOKEN_FILE: kafka(
    'File with a token, which something else renews; instead of the endpoint.',
    undefined,
    text,
  ),
  SSL_CA_LOCATION: kafka(
    "PEM file with the authorities that may sign the brokers' certificates. Default: those that Node knows.",
    undefined,
    text,
  ),
  SSL_CERTIFICATE_LOCATION: kafka(
    'PEM file with the client certificate, its chain behind it.',
    undefined,
    text,
  ),
  SSL_KEY_LOCATION: kafka('PEM file with the key of the client certificate.', undefined, text),
  SSL_KEY_PASSWORD: kafka('Password of that key.', undefined, text),
  SSL_ENDPOINT_IDENTIFICATION_ALGORITHM: kafka(
    "Whether a broker's certificate must be for the name connected to: `https` or `none`.",
    'https',
    oneOf('https', 'none'),
  ),
  HTTP_PORT: setting('Port of the gateway. 0 takes any free one.', '8080', integer(0, 65535)),
  RTMP_PORT: setting(
    'Port at which publishers come by RTMP, as `rtmp://HOST:PORT/live/ID`; 1935 is usual. Without it there is no RTMP. 0 takes any free one.',
    undefined,
    integer(0, 65535),
  ),
  HTTP_HOST: setting(
    'Address that the gateway listens on. `0.0.0.0` opens it to the network.',
    '127.0.0.1',
    text,
  ),
  LOG_LEVEL: setting(
    'How much the gateway writes about itself: `trace`, `debug`, `info`, `warn`, `error`, `fatal` or `silent`.',
    'info',
    oneOf<LogLevel>(...logLevels),
  ),
  TOPIC_PREFIX: setting('What the names of all topics begin with.', 'video-', prefix),
  REPLICATION_FACTOR: kafka(
    "Copies of each topic on the brokers. Default: the cluster's.",
    undefined,
    integer(1, 32767),
  ),
  MIN_INSYNC_REPLICAS: kafka(
    "Copies that must have a record before it is acknowledged. Default: the cluster's.",
    undefined,
    integer(1, 32767),
  ),
  RETENTION: setting('How long video is kept: a span, or `forever`.', '24h', retention),
  RETENTION_BYTES: setting('Size past which the oldest video of a broadcast goes.', undefined, bytes),
  DATA_DIR: embedded('Folder of the embedded log.', 'data', text),
  DATA_LIMIT: embedded(
    'Size past which the oldest video of all broadcasts leaves the embedded log. Default: no limit.',
    undefined,
    bytes,
  ),
  EMBEDDED_SYNC: embedded(
    'When the embedded log acknowledges: at `commit` (survives a killed process) or `always` on disk (survives a power cut).',
    'commit',
    oneOf('commit', 'always'),
  ),
  PUBLIC_URL: setting(
    'Address at which pages reach this gateway, such as `https://video.example.org`: pages of other gateways of the log go on there. Default: its `HTTP_HOST`, unless that is all addresses.',
    undefined,
    origin,
  ),
  TLS_CERTIFICATE: setting(
    'PEM file with the certificate that pages are served with, its chain behind it. Needs `TLS_KEY`.',
    undefined,
    text,
  ),
  TLS_KEY: setting('PEM file with the key of that certificate.', undefined, text),
  WORKERS: setting(
    'Processes that share the port, each a gateway of its own on the log: 1 to 64, or `auto` for one on each core. More than 1 needs Kafka: the embedded log belongs to one process.',
    '1',
    workers,
  ),
  DRAIN_TIME: setting(
    'How long a gateway that is told to stop waits for its pages to go on with another one.',
    '10s',
    span,
  ),
  GATHER_TIME: setting(
    'For how long what viewers are sent is gathered to one write at most, up to `1000ms`: as long as that for those who ask for it, and for all the longer the busier the gateway is. `0ms` sends everything at once.',
    '100ms',
    milliseconds,
  ),
  PUBLISHER_GRACE: setting('How long a publisher may be gone before its broadcast ends.', '30s', span),
} as const

export type SettingName = keyof typeof settings
export type Config = {
  readonly [Name in SettingName]:
    | ReturnType<(typeof settings)[Name]['parse']>
    | ((typeof settings)[Name]['default'] extends string ? never : undefined)
}

type Environment = Readonly<Record<string, string | undefined>>

/** Other names that librdkafka's users know. */
const aliases: Readonly<Record<string, string>> = { SASL_MECHANISMS: 'SASL_MECHANISM' }

/** Names that are easily taken for BOOTSTRAP_SERVERS. */
const lookAlikes = ['BOOTSTRAP_SERVER', 'KAFKA_BOOTSTRAP_SERVERS']

const isGiven = (value: string | undefined): value is string => value !== undefined && value.trim() !== ''

/** @throws FramelogError BAD_CONFIG, naming every wrong setting */
export function readConfig(env: Environment): Config {
  const config: Record<string, unknown> = {}
  const wrong: string[] = []
  for (const [name, { default: fallback, parse }] of Object.entries(settings)) {
    const isSecret = /PASSWORD|SECRET/.test(name)
    const given = [env[name], env[aliases[name] ?? '']].find(isGiven)
    const value = given === undefined ? fallback : isSecret ? given : given.trim()
    if (value === undefined) continue
    try {
      config[name] = parse(value)
    } catch (error) {
      if (!(error instanceof RangeError)) throw error
      wrong.push(`${name} is ${isSecret ? 'wrong' : quote(value)}: expected ${error.message}`)
    }
  }
  if (config.SASL_USERNAME !== undefined && config.SASL_PASSWORD === undefined)
    wrong.push('SASL_USERNAME is set without SASL_PASSWORD')
  if (Number(config.MIN_INSYNC_REPLICAS) > Number(config.REPLICATION_FACTOR))
    wrong.push('MIN_INSYNC_REPLICAS is larger than REPLICATION_FACTOR')
  if ((config.TLS_CERTIFICATE === undefined) !== (config.TLS_KEY === undefined))
    wrong.push('TLS_CERTIFICATE and TLS_KEY go together')
  if (Number(config.WORKERS) > 1 && config.BOOTSTRAP_SERVERS === undefined)
    wrong.push(
      `WORKERS makes ${config.WORKERS} processes, and the embedded log belongs to one: set BOOTSTRAP_SERVERS, or WORKERS=1`,
    )
  wrong.push(...withoutEffect(env))
  if (wrong.length > 0) throw new FramelogError('BAD_CONFIG', wrong.join('; '))
  return config as unknown as Config
}

/** A property of librdkafka that is fixed here. */
const verification = 'ENABLE_SSL_CERTIFICATE_VERIFICATION'

const namesOf = (backend: Backend): string[] =>
  Object.entries(settings).flatMap(([name, { only }]) => {
    const alias = aliases[name]
    return only !== backend ? [] : alias === undefined ? [name] : [name, alias]
  })

/** What is set and would change nothing: somebody means it, and the video would go elsewhere than they think. */
function withoutEffect(env: Environment): string[] {
  const found: string[] = []
  const refuse = (names: readonly string[], why: string): void => {
    const given = names.filter(name => isGiven(env[name]))
    if (given.length > 0) found.push(`${given.join(', ')} ${given.length === 1 ? 'is' : 'are'} ${why}`)
  }
  if (isGiven(env.BOOTSTRAP_SERVERS)) {
    refuse(namesOf('embedded'), 'for the embedded log, and BOOTSTRAP_SERVERS is set')
  } else {
    refuse(lookAlikes, 'no setting: BOOTSTRAP_SERVERS is, and it is not set')
    refuse([...namesOf('Kafka'), verification], 'for Kafka, and BOOTSTRAP_SERVERS is not set')
  }
  const verifies = env[verification]?.trim() || 'true'
  if (verifies.toLowerCase() !== 'true') {
    const why = "brokers' certificates are always verified; SSL_CA_LOCATION names the authority to trust"
    found.push(`${verification} is ${quote(verifies)}: ${why}`)
  }
  return found
}
