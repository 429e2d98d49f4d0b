/**
 * Settings: one table gives the environment variables, their checks and `docs/configuration.md` (a test holds
 * the two together). All wrong settings are named at once.
 */
import { FramelogError } from '../errors.ts'
import { type LogLevel, logLevels } from '../observe/logger.ts'
import { quote } from '../units.ts'

interface Setting<Value, Default extends string | undefined> {
  readonly describe: string
  /** As text, the way a user would write it; undefined where there is none. */
  readonly default: Default
  /** @throws RangeError saying what is expected */
  readonly parse: (text: string) => Value
}

const setting = <Value, const Default extends string | undefined>(
  describe: string,
  fallback: Default,
  parse: (text: string) => Value,
): Setting<Value, Default> => ({ describe, default: fallback, parse })

const text = (value: string): string => value

const integer =
  (min: number, max: number) =>
  (value: string): number => {
    const n = Number(value)
    if (!/^-?\d+$/.test(value) || n < min || n > max)
      throw new RangeError(`a whole number from ${min} to ${max}`)
    return n
  }

const oneOf =
  <Value extends string>(...values: readonly Value[]) =>
  (given: string): Value => {
    const found = values.find(value => value.toLowerCase() === given.toLowerCase())
    if (found === undefined) throw new RangeError(`one of ${values.join(', ')}`)
    return found
  }

const spanUnits: Readonly<Record<string, number>> = { s: 1000, m: 60_000, h: 3_600_000, d: 86_400_000 }

/** `30s`, `10m`, `24h`, `7d` as milliseconds. @throws RangeError saying what is expected */
export const span = (value: string): number => {
  const match = /^(\d{1,6})([smhd])$/.exec(value)
  const unit = spanUnits[match?.[2] ?? '']
  if (!match || unit === undefined || Number(match[1]) === 0)
    throw new RangeError('a span such as 30s, 10m, 24h or 7d')
  return Number(match[1]) * unit
}

const retention = (value: string): number | undefined => (value === 'forever' ? undefined : span(value))

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

export const settings = {
  BOOTSTRAP_SERVERS: setting(
    'Kafka brokers, `host:port`, separated by commas. Without it the embedded log serves.',
    undefined,
    text,
  ),
  SECURITY_PROTOCOL: setting(
    'How to speak to the brokers. Default: `SASL_SSL` where `SASL_USERNAME` is set, else `PLAINTEXT`.',
    undefined,
    oneOf('PLAINTEXT', 'SSL', 'SASL_PLAINTEXT', 'SASL_SSL'),
  ),
  SASL_MECHANISMS: setting(
    'How to log in.',
    'PLAIN',
    oneOf('PLAIN', 'SCRAM-SHA-256', 'SCRAM-SHA-512', 'OAUTHBEARER'),
  ),
  SASL_USERNAME: setting('User name for the brokers.', undefined, text),
  SASL_PASSWORD: setting('Password for the brokers.', undefined, text),
  SASL_OAUTHBEARER_TOKEN_ENDPOINT_URL: setting(
    'Where `OAUTHBEARER` asks for tokens, by the client credentials grant.',
    undefined,
    text,
  ),
  SASL_OAUTHBEARER_CLIENT_ID: setting('Client id for the token endpoint.', undefined, text),
  SASL_OAUTHBEARER_CLIENT_SECRET: setting('Client secret for the token endpoint.', undefined, text),
  SASL_OAUTHBEARER_SCOPE: setting('Scope to ask the token endpoint for.', undefined, text),
  SASL_OAUTHBEARER_EXTENSIONS: setting('SASL extensions, `key=value`, separated by commas.', undefined, text),
  SASL_OAUTHBEARER_TOKEN_FILE: setting(
    'File with a token, which something else renews; instead of the endpoint.',
    undefined,
    text,
  ),
  SSL_CA_LOCATION: setting(
    "PEM file with the authorities that may sign the brokers' certificates. Default: those that Node knows.",
    undefined,
    text,
  ),
  SSL_CERTIFICATE_LOCATION: setting(
    'PEM file with the client certificate, its chain behind it.',
    undefined,
    text,
  ),
  SSL_KEY_LOCATION: setting('PEM file with the key of the client certificate.', undefined, text),
  SSL_KEY_PASSWORD: setting('Password of that key.', undefined, text),
  SSL_ENDPOINT_IDENTIFICATION_ALGORITHM: setting(
    "Whether a broker's certificate must be for the name connected to: `https` or `none`.",
    'https',
    oneOf('https', 'none'),
  ),
  HTTP_PORT: setting('Port of the gateway. 0 takes any free one.', '8080', integer(0, 65535)),
  HTTP_HOST: setting(
    'Address that the gateway listens on. `0.0.0.0` opens it to the network.',
    '127.0.0.1',
    text,
  ),
  LOG_LEVEL: setting('How much the gateway writes about itself.', 'info', oneOf<LogLevel>(...logLevels)),
  TOPIC_PREFIX: setting('What the names of all topics begin with.', 'video-', prefix),
  REPLICATION_FACTOR: setting(
    "Copies of each topic on the brokers. Default: the cluster's.",
    undefined,
    integer(1, 32767),
  ),
  MIN_INSYNC_REPLICAS: setting(
    "Copies that must have a record before it is acknowledged. Default: the cluster's.",
    undefined,
    integer(1, 32767),
  ),
  RETENTION: setting('How long video is kept: a span, or `forever`.', '24h', retention),
  RETENTION_BYTES: setting('Size past which the oldest video of a broadcast goes.', undefined, bytes),
  DATA_DIR: setting('Folder of the embedded log.', 'data', text),
  DATA_LIMIT: setting(
    'Size past which the oldest video of all broadcasts leaves the embedded log. Default: no limit.',
    undefined,
    bytes,
  ),
  EMBEDDED_SYNC: setting(
    'When the embedded log acknowledges: at `commit` (survives a killed process) or `always` on disk (survives a power cut).',
    'commit',
    oneOf('commit', 'always'),
  ),
  PUBLISHER_GRACE: setting('How long a publisher may be gone before its broadcast ends.', '30s', span),
} as const

export type SettingName = keyof typeof settings
export type Config = {
  readonly [Name in SettingName]:
    | ReturnType<(typeof settings)[Name]['parse']>
    | ((typeof settings)[Name]['default'] extends string ? never : undefined)
}

/** Other names that librdkafka's users know. */
const aliases: Readonly<Record<string, string>> = { SASL_MECHANISMS: 'SASL_MECHANISM' }

/** @throws FramelogError BAD_CONFIG, naming every wrong setting */
export function readConfig(env: Readonly<Record<string, string | undefined>>): Config {
  const config: Record<string, unknown> = {}
  const wrong: string[] = []
  for (const [name, { default: fallback, parse }] of Object.entries(settings)) {
    const isSecret = /PASSWORD|SECRET/.test(name)
    const given = env[name] ?? env[aliases[name] ?? '']
    const value = given === undefined || given.trim() === '' ? fallback : isSecret ? given : given.trim()
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
  if (wrong.length > 0) throw new FramelogError('BAD_CONFIG', wrong.join('; '))
  return config as unknown as Config
}
