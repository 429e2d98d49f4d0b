/** From the settings that a person gives to what a connection needs. */
import type { ConnectionOptions } from '@platformatic/kafka'
import { FramelogError } from '../../errors.ts'
import { quote } from '../../units.ts'

export type SecurityProtocol = 'PLAINTEXT' | 'SSL' | 'SASL_PLAINTEXT' | 'SASL_SSL'
export type SaslMechanism = 'PLAIN' | 'SCRAM-SHA-256' | 'SCRAM-SHA-512'

export interface KafkaLogOptions {
  /** `host:port`, separated by commas; the port is 9092 where it is not given. */
  readonly bootstrapServers: string
  /** Default: SASL_SSL where there is a user name, else PLAINTEXT. */
  readonly securityProtocol?: SecurityProtocol | undefined
  /** Default: PLAIN. Without meaning where the protocol has no SASL. */
  readonly saslMechanism?: SaslMechanism | undefined
  readonly username?: string | undefined
  readonly password?: string | undefined
  /** Copies of a new topic. Default: what the cluster is set to. */
  readonly replicationFactor?: number | undefined
  /** Bytes of values that may wait for the cluster, per topic. Default: 64 MiB. */
  readonly maxWaitingBytes?: number | undefined
  /** Bytes of values that may wait for the cluster, over all topics. Default: 512 MiB. */
  readonly maxWaitingBytesOverall?: number | undefined
  /** What brokers call this client in their logs and quotas. Default: framelog. */
  readonly clientId?: string | undefined
  /** Takes a line for the operator: something works, but not as asked. */
  readonly onWarning?: ((line: string) => void) | undefined
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

/** @throws FramelogError BAD_CONFIG */
export function connectionOptions(options: KafkaLogOptions): ConnectionOptions {
  const { username, password, saslMechanism = 'PLAIN' } = options
  const protocol = options.securityProtocol ?? (username === undefined ? 'PLAINTEXT' : 'SASL_SSL')
  const connection: ConnectionOptions = { connectTimeout: 4000 }
  if (protocol === 'SSL' || protocol === 'SASL_SSL') {
    connection.tls = {}
  }
  if (protocol === 'SASL_PLAINTEXT' || protocol === 'SASL_SSL') {
    if (username === undefined || password === undefined) {
      throw new FramelogError('BAD_CONFIG', `${protocol} needs SASL_USERNAME and SASL_PASSWORD`)
    }
    connection.sasl = { mechanism: saslMechanism, username, password }
  }
  return connection
}
