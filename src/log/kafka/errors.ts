/** The one place where errors of the client library, the network and the brokers turn into ours. */
import {
  AuthenticationError,
  GenericError,
  NetworkError,
  protocolErrors,
  protocolErrorsCodesById,
  ResponseError,
  TimeoutError,
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
  const isOfClock = name === 'INVALID_TIMESTAMP'
  const clock =
    "the broker finds the record's time too far from its own clock: is this machine's clock right?"
  const said = isOfClock ? clock : oneLine(detail ?? protocolErrors[name]?.message ?? '')
  return new FramelogError(ours, `the cluster refused ${doing}: ${name}${said === '' ? '' : `, ${said}`}`)
}

export const closedError = (): FramelogError => new FramelogError('LOG_CLOSED', 'the log was closed')

/** It says something of a connection, not of what was asked: credentials are renewed, brokers come back. */
export const isOfConnection = ({ code }: FramelogError): boolean => connectionCodes.has(code)
const connectionCodes: ReadonlySet<string> = new Set([
  'LOG_UNREACHABLE',
  'LOG_AUTHENTICATION',
  'LOG_CERTIFICATE',
  'LOG_TLS',
])

/** The answer inside an error that the library throws because the answer carries an error code. */
export const answerIn = (error: unknown): unknown =>
  error instanceof ResponseError && 'response' in error ? error.response : undefined

/** An answer that came, but that the library cannot read: its errors of reading have no class in common. */
export function isUnreadable(error: unknown): boolean {
  if (error instanceof UnsupportedCompressionError || error instanceof RangeError) return true
  if (!(error instanceof Error) || error instanceof GenericError || 'syscall' in error) return false
  return !('code' in error && /^(E[A-Z]|ERR_)/.test(String(error.code)))
}

/**
 * A connection that did not come about, or broke.
 * @param where the broker's address
 * @param hasAuthorities whether SSL_CA_LOCATION is set
 */
export function connectionError(error: unknown, where: string, hasAuthorities = true): FramelogError {
  if (error instanceof FramelogError) return error
  const chain = causes(error)
  const make = (code: ErrorCode, message: string): FramelogError =>
    new FramelogError(code, message, { cause: error })
  const ours = chain.find(each => each instanceof FramelogError)
  if (ours !== undefined) return ours
  const login = chain.findIndex(each => each instanceof AuthenticationError)
  // The library calls every failure during a log-in one of authentication, also a connection that broke.
  const broke = chain
    .slice(login + 1)
    .some(each => each instanceof NetworkError || each instanceof TimeoutError)
  if (login >= 0 && !broke) {
    return make('LOG_AUTHENTICATION', loginRefused(chain, where))
  }
  for (const each of chain) {
    const code = 'code' in each ? String(each.code) : ''
    if (each instanceof UserError) {
      const speaks = each.message.startsWith('Broker requires')
      const advice = speaks ? 'SSL or SASL_SSL' : 'PLAINTEXT or SASL_PLAINTEXT'
      const what = speaks ? 'speaks TLS' : 'does not speak TLS'
      return make('LOG_TLS', `the broker ${where} ${what}: SECURITY_PROTOCOL should be ${advice}`)
    }
    const about = certificateProblem(code, hasAuthorities)
    if (about !== undefined) {
      return make('LOG_CERTIFICATE', `no TLS connection to the broker ${where}: ${about} (${code})`)
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

const tlsCode = /^(ERR_SSL|ERR_TLS|EPROTO)/

/** What a failed check of a certificate, ours or the broker's, says about the settings. */
function certificateProblem(code: string, hasAuthorities: boolean): string | undefined {
  if (code === 'ERR_TLS_CERT_ALTNAME_INVALID') {
    return 'its certificate is for another name; SSL_ENDPOINT_IDENTIFICATION_ALGORITHM=none would not mind'
  }
  if (/^ERR_SSL.*ALERT.*(CERTIFICATE|UNKNOWN_CA|ACCESS_DENIED|HANDSHAKE_FAILURE)/.test(code)) {
    return 'it wants a client certificate that it knows, in SSL_CERTIFICATE_LOCATION and SSL_KEY_LOCATION'
  }
  if (code === 'CERT_HAS_EXPIRED' || code === 'CERT_NOT_YET_VALID')
    return 'its certificate is not valid today'
  if (/^(CERT_|SELF_SIGNED|DEPTH_ZERO|UNABLE_TO_)/.test(code)) {
    return hasAuthorities
      ? 'SSL_CA_LOCATION does not hold the authority that signed its certificate'
      : 'SSL_CA_LOCATION is not set, and no authority that Node knows signed its certificate'
  }
  return undefined
}

/** Which of the log-in's settings the broker did not take. */
function loginRefused(chain: readonly Error[], where: string): string {
  const handshake = chain.find(each => each instanceof ResponseError && 'response' in each)
  const answer = (handshake as { response?: { mechanisms?: unknown; errorCode?: unknown } } | undefined)
    ?.response
  if (chain.some(each => each.message.startsWith('Cannot find'))) {
    if (Number(answer?.errorCode) === illegalSaslState) {
      return `the broker ${where} asks for no log-in: SECURITY_PROTOCOL should be without SASL_`
    }
    const offers = Array.isArray(answer?.mechanisms) ? answer.mechanisms.map(String).join(', ') : ''
    return `the broker ${where} does not take the mechanism of SASL_MECHANISMS${offers === '' ? '' : `; it offers ${oneLine(offers)}`}`
  }
  const refusal = chain.find(each => each.message.includes('"status"'))
  if (refusal !== undefined)
    return `the broker ${where} refused the OAUTHBEARER token: ${oneLine(refusal.message)}`
  return `the broker ${where} refused SASL_USERNAME or SASL_PASSWORD`
}

const illegalSaslState = 34

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
