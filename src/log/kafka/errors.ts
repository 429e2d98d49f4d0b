/** The one place where errors of the client library, the network and the brokers turn into ours. */
import {
  AuthenticationError,
  GenericError,
  protocolErrors,
  protocolErrorsCodesById,
  ResponseError,
  UnsupportedCompressionError,
  UserError,
} from '@platformatic/kafka'
import { type ErrorCode, FramelogError } from '../../errors.ts'

/** Names of the brokers' error codes that this backend tells apart. */
export const errorName = (code: number): string => protocolErrorsCodesById[code] ?? `ERROR_${code}`

/** The broker does not lead the partition (any more), or does not know it (yet): ask where it is. */
const misplaced = new Set([
  'UNKNOWN_TOPIC_OR_PARTITION',
  'UNKNOWN_TOPIC_ID',
  'INCONSISTENT_TOPIC_ID',
  'NOT_LEADER_OR_FOLLOWER',
  'LEADER_NOT_AVAILABLE',
  'FENCED_LEADER_EPOCH',
  'UNKNOWN_LEADER_EPOCH',
  'REPLICA_NOT_AVAILABLE',
  'KAFKA_STORAGE_ERROR',
  'OFFSET_NOT_AVAILABLE',
])

const passing = new Set([
  ...misplaced,
  'REQUEST_TIMED_OUT',
  'BROKER_NOT_AVAILABLE',
  'NETWORK_EXCEPTION',
  'NOT_ENOUGH_REPLICAS',
  'NOT_ENOUGH_REPLICAS_AFTER_APPEND',
  'NOT_CONTROLLER',
  'THROTTLING_QUOTA_EXCEEDED',
  'STALE_BROKER_EPOCH',
  'CORRUPT_MESSAGE',
])

/** Whether the same request may succeed later. */
export const isPassing = (code: number): boolean => passing.has(errorName(code))

const codes: Readonly<Record<string, ErrorCode>> = {
  OFFSET_OUT_OF_RANGE: 'OFFSET_OUT_OF_RANGE',
  UNKNOWN_TOPIC_OR_PARTITION: 'TOPIC_NOT_FOUND',
  UNKNOWN_TOPIC_ID: 'TOPIC_NOT_FOUND',
  INCONSISTENT_TOPIC_ID: 'TOPIC_NOT_FOUND',
  MESSAGE_TOO_LARGE: 'FRAME_TOO_LARGE',
  RECORD_LIST_TOO_LARGE: 'FRAME_TOO_LARGE',
  TOPIC_AUTHORIZATION_FAILED: 'LOG_AUTHORIZATION',
  CLUSTER_AUTHORIZATION_FAILED: 'LOG_AUTHORIZATION',
  GROUP_AUTHORIZATION_FAILED: 'LOG_AUTHORIZATION',
  SASL_AUTHENTICATION_FAILED: 'LOG_AUTHENTICATION',
  UNSUPPORTED_SASL_MECHANISM: 'LOG_AUTHENTICATION',
  ILLEGAL_SASL_STATE: 'LOG_AUTHENTICATION',
  INVALID_TOPIC_EXCEPTION: 'TOPIC_REFUSED',
  INVALID_PARTITIONS: 'TOPIC_REFUSED',
  INVALID_REPLICATION_FACTOR: 'TOPIC_REFUSED',
  INVALID_CONFIG: 'TOPIC_REFUSED',
  POLICY_VIOLATION: 'TOPIC_REFUSED',
  TOPIC_DELETION_DISABLED: 'TOPIC_REFUSED',
  THROTTLING_QUOTA_EXCEEDED: 'LOG_OVERLOADED',
}

/**
 * An error code in a broker's answer.
 * @param doing completes "the cluster refused …", e.g. `to make topic video-a`
 */
export function answeredError(code: number, doing: string, detail?: string | null): FramelogError {
  const name = errorName(code)
  const ours = codes[name] ?? (isPassing(code) ? 'LOG_UNREACHABLE' : 'LOG_FAILED')
  const said = oneLine(detail ?? protocolErrors[name]?.message ?? '')
  return new FramelogError(ours, `the cluster refused ${doing}: ${name}${said === '' ? '' : `, ${said}`}`)
}

/** The answer inside an error that the library throws because the answer carries an error code. */
export const answerIn = (error: unknown): unknown =>
  error instanceof ResponseError && 'response' in error ? error.response : undefined

/** An answer that came, but that the library cannot read: its errors of reading have no class in common. */
export function isUnreadable(error: unknown): boolean {
  if (error instanceof UnsupportedCompressionError || error instanceof RangeError) return true
  if (!(error instanceof Error) || error instanceof GenericError || 'syscall' in error) return false
  return !('code' in error && /^(E[A-Z]|ERR_)/.test(String(error.code)))
}

/** A connection that did not come about, or broke. `where` is the broker's address. */
export function connectionError(error: unknown, where: string): FramelogError {
  if (error instanceof FramelogError) return error
  const chain = causes(error)
  const make = (code: ErrorCode, message: string): FramelogError =>
    new FramelogError(code, message, { cause: error })
  if (chain.some(each => each instanceof AuthenticationError)) {
    return make('LOG_AUTHENTICATION', `the broker ${where} refused the user name, password or mechanism`)
  }
  for (const each of chain) {
    const code = 'code' in each ? String(each.code) : ''
    if (each instanceof UserError) {
      const what = each.message.startsWith('Broker requires') ? 'speaks TLS' : 'does not speak TLS'
      return make('LOG_TLS', `the broker ${where} ${what}`)
    }
    if (tlsCode.test(code)) {
      return make('LOG_TLS', `no TLS connection to the broker ${where}: ${oneLine(each.message)}`)
    }
  }
  const system = chain.find(each => 'syscall' in each)
  const reason =
    system && 'code' in system ? String(system.code) : oneLine(chain.at(0)?.message ?? String(error))
  return make('LOG_UNREACHABLE', `no answer from the broker ${where}: ${reason}`)
}

const tlsCode = /^(ERR_SSL|ERR_TLS|EPROTO|CERT_|SELF_SIGNED|DEPTH_ZERO|UNABLE_TO_)/

function causes(error: unknown): readonly Error[] {
  const found: Error[] = []
  const visit = (each: unknown): void => {
    if (!(each instanceof Error) || found.length > 16) return
    found.push(each)
    visit(each.cause)
    if (each instanceof AggregateError) each.errors.forEach(visit)
  }
  visit(error)
  return found
}

const oneLine = (text: string): string => text.replaceAll(/\s+/g, ' ').trim().slice(0, 200)
