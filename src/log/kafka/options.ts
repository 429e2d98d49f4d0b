/** From the settings that a person gives to what a connection needs. Settings have librdkafka's names. */
import type { ConnectionOptions } from '@platformatic/kafka'
import { FramelogError } from '../../errors.ts'
import { quote } from '../../units.ts'
import { oauthTokens } from './oauth.ts'
import { saslOptions } from './sasl.ts'
import { TlsFiles } from './tls.ts'

export type SecurityProtocol = 'PLAINTEXT' | 'SSL' | 'SASL_PLAINTEXT' | 'SASL_SSL'
export type SaslMechanism = 'PLAIN' | 'SCRAM-SHA-256' | 'SCRAM-SHA-512' | 'OAUTHBEARER'

export interface KafkaLogOptions {
  /** `host:port`, separated by commas; the port is 9092 where it is not given. */
  readonly bootstrapServers: string
  /** Default: SASL_SSL where there is a user name or a source of tokens, else PLAINTEXT. */
  readonly securityProtocol?: SecurityProtocol | undefined
  /** Default: PLAIN. Without meaning where the protocol has no SASL. */
  readonly saslMechanism?: SaslMechanism | undefined
  readonly username?: string | undefined
  readonly password?: string | undefined
  readonly oauth?: OauthSettings | undefined
  readonly tls?: TlsSettings | undefined
  /** Copies of a new topic. Default: what the cluster is set to. */
  readonly replicationFactor?: number | undefined
  /** Copies that must have a record before it counts. Default: what the cluster is set to. */
  readonly minInsyncReplicas?: number | undefined
  /** Bytes of values that may wait for the cluster, per topic. Default: 64 MiB. */
  readonly maxWaitingBytes?: number | undefined
  /** Bytes of values that may wait for the cluster, over all topics. Default: 512 MiB. */
  readonly maxWaitingBytesOverall?: number | undefined
  /** What brokers call this client in their logs and quotas. Default: framelog. */
  readonly clientId?: string | undefined
  /** Takes a line for the operator: something works, but not as asked. */
  readonly onWarning?: ((line: string) => void) | undefined
}

/** Where OAUTHBEARER tokens come from: a token endpoint (RFC 6749 section 4.4), or a file that something else renews. */
export interface OauthSettings {
  readonly tokenEndpointUrl?: string | undefined
  readonly clientId?: string | undefined
  readonly clientSecret?: string | undefined
  readonly scope?: string | undefined
  /** `key=value`, separated by commas (RFC 7628 section 3.1). */
  readonly extensions?: string | undefined
  readonly tokenFile?: string | undefined
}

/** Files are PEM. They are read again for later connections, so renewed ones are taken up. */
export interface TlsSettings {
  /** Default: the authorities that Node knows. */
  readonly caLocation?: string | undefined
  readonly certificateLocation?: string | undefined
  readonly keyLocation?: string | undefined
  readonly keyPassword?: string | undefined
  /** Whether the certificate must be for the name or address connected to. Default: https, that is yes. */
  readonly endpointIdentification?: 'https' | 'none' | undefined
}

export interface Address {
  readonly host: string
  readonly port: number
  /** `host:port`: names the address in messages and maps. */
  readonly key: string
}

export const address = (host: string, port: number): Address => ({ host, port, key: `${host}:${port}` })

const addressPattern = /^(?:\[([0-9a-fA-F:.]+)\]|([^\s:/@[\]]+))(?::(\d{1,5}))?$/

/** @throws FramelogError BAD_CONFIG */
export function bootstrapAddresses(text: string): readonly Address[] {
  const parts = text.split(',').map(part => part.trim())
  const addresses = parts
    .filter(part => part !== '')
    .map(part => {
      const match = addressPattern.exec(part)
      const host = match?.[1] ?? match?.[2]
      const port = Number(match?.[3] ?? 9092)
      if (host === undefined || port < 1 || port > 65535) {
        throw new FramelogError('BAD_CONFIG', `BOOTSTRAP_SERVERS has ${quote(part)} where host:port belongs`)
      }
      return address(host, port)
    })
  if (addresses.length === 0) throw new FramelogError('BAD_CONFIG', 'BOOTSTRAP_SERVERS names no broker')
  return addresses
}

/** Makes the options of each new connection: files are read, and tokens asked for, when they are needed. */
export type NewConnectionOptions = (onLifetime: (milliseconds: number) => void) => ConnectionOptions

/** @throws FramelogError BAD_CONFIG naming the setting */
export function connectionOptions(options: KafkaLogOptions): NewConnectionOptions {
  const { username, password, oauth = {}, saslMechanism = 'PLAIN' } = options
  const hasTokens = saslMechanism === 'OAUTHBEARER'
  const protocol =
    options.securityProtocol ?? (username === undefined && !hasTokens ? 'PLAINTEXT' : 'SASL_SSL')
  const hasTls = protocol === 'SSL' || protocol === 'SASL_SSL'
  const hasSasl = protocol === 'SASL_PLAINTEXT' || protocol === 'SASL_SSL'
  const { caLocation, certificateLocation, keyLocation } = options.tls ?? {}
  if (!hasTls && (caLocation ?? certificateLocation ?? keyLocation) !== undefined) {
    const message = `SSL_ files are given, and SECURITY_PROTOCOL is ${protocol}: SSL or SASL_SSL would use them`
    throw new FramelogError('BAD_CONFIG', message)
  }
  const tls = hasTls ? new TlsFiles(options.tls ?? {}) : undefined
  if (hasSasl && !hasTokens && (username === undefined || password === undefined)) {
    const message = `SECURITY_PROTOCOL=${protocol} needs SASL_USERNAME and SASL_PASSWORD`
    throw new FramelogError('BAD_CONFIG', message)
  }
  const tokens = hasSasl && hasTokens ? oauthTokens(oauth) : undefined
  return onLifetime => ({
    connectTimeout: 4000,
    ...(tls === undefined ? {} : { tls: tls.read() }),
    ...(hasSasl
      ? { sasl: saslOptions({ mechanism: saslMechanism, username, password, tokens }, onLifetime) }
      : {}),
  })
}
