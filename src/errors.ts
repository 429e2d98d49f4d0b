/**
 * Every error that leaves a module has a code from the table below. The code decides the HTTP status, the
 * WebSocket close code, whether trying again can help, and the advice that follows the message.
 * `docs/errors.md` lists the same table; a test holds the two together.
 */

interface ErrorKind {
  /** HTTP status of a response that carries it. */
  readonly status: number
  /** WebSocket close code (RFC 6455 section 7.4: 4000-4999 are the application's). */
  readonly close: number
  /** Whether the same request may succeed later, unchanged. */
  readonly retryable: boolean
  /** What the reader of the message should do. */
  readonly advice: string
}

const kind = (status: number, close: number, retryable: boolean, advice: string): ErrorKind => ({
  status,
  close,
  retryable,
  advice,
})

export const errorKinds = {
  BAD_BROADCAST_ID: kind(
    400,
    4400,
    false,
    'Use 1 to 63 of a-z, 0-9 and "-", beginning with a letter or digit.',
  ),
  BAD_TRACK_NAME: kind(
    400,
    4400,
    false,
    'Use 1 to 32 of a-z, 0-9 and "-", beginning with a letter or digit.',
  ),
  BAD_MESSAGE: kind(400, 4400, false, 'Send messages as docs/wire-protocol.md describes them.'),
  BAD_CATALOG: kind(400, 4400, false, 'Send a catalog as docs/wire-protocol.md describes it.'),
  BAD_CONTAINER: kind(
    400,
    4400,
    false,
    'Send WebM, Matroska, fragmented MP4, FLV or MPEG-TS from its first byte on, without a gap.',
  ),
  STREAM_CUT_OFF: kind(408, 4408, true, 'Connect again: the broadcast goes on with what is sent then.'),
  UNSUPPORTED_CODEC: kind(415, 4415, false, 'Use H.264, VP8, VP9 or AV1, with Opus or AAC.'),
  BAD_POSITION: kind(
    400,
    4400,
    false,
    'Use live, start, a span such as -30s, an ISO time, or @ and an offset.',
  ),
  MESSAGE_TOO_LARGE: kind(413, 4413, false, 'Send smaller messages; the limit is in the welcome message.'),
  FRAME_TOO_LARGE: kind(413, 4413, false, 'Lower the bitrate or the picture size.'),
  UNSUPPORTED_VERSION: kind(
    400,
    4406,
    false,
    'Reload the page: it speaks a protocol version this gateway does not.',
  ),
  HELLO_TIMEOUT: kind(408, 4408, true, 'Send the hello message as soon as the socket is open.'),
  OUT_OF_ORDER: kind(
    409,
    4400,
    false,
    'Number frames upwards from the number that the welcome message names.',
  ),
  FOREIGN_ORIGIN: kind(403, 4403, false, 'Open the page that this gateway serves.'),
  NOT_FOUND: kind(404, 4404, false, 'Check the address; README.md lists what there is.'),
  BROADCAST_NOT_FOUND: kind(404, 4404, false, 'Check the id against the list of broadcasts.'),
  BROADCAST_NOT_LIVE: kind(
    409,
    4412,
    true,
    'The broadcast is over, and takes no data. Try again when somebody publishes it.',
  ),
  BROADCAST_BUSY: kind(
    409,
    4409,
    true,
    'Another publisher is live under this id. Choose another id, or wait until it ends.',
  ),
  BROADCAST_TAKEN_OVER: kind(
    409,
    4410,
    false,
    'The same publisher goes on over a newer connection; close this one.',
  ),
  BROADCAST_DELETED: kind(
    410,
    4411,
    false,
    'Its recording is gone with it. Open the page again to wait for the next one of that name.',
  ),
  VIEWER_TOO_SLOW: kind(429, 4429, true, 'Join again; the connection took less than the broadcast gives.'),
  TOO_MANY: kind(503, 4503, true, 'The gateway is at its limit. Try again later, or another gateway.'),
  SHUTTING_DOWN: kind(503, 4503, true, 'The gateway is stopping. Connect again.'),
  LOG_UNREACHABLE: kind(503, 4503, true, 'Check BOOTSTRAP_SERVERS, and that a broker listens there.'),
  LOG_AUTHENTICATION: kind(
    503,
    4503,
    false,
    'Check SECURITY_PROTOCOL, SASL_MECHANISMS, and the SASL_ settings that the mechanism needs.',
  ),
  LOG_AUTHORIZATION: kind(
    503,
    4503,
    true,
    'Give the user of SASL_USERNAME the rights that docs/kafka.md lists.',
  ),
  LOG_CERTIFICATE: kind(
    503,
    4503,
    false,
    'Check SSL_CA_LOCATION, SSL_CERTIFICATE_LOCATION and SSL_KEY_LOCATION against what the brokers use.',
  ),
  LOG_TLS: kind(503, 4503, false, 'Check SECURITY_PROTOCOL against the listener in BOOTSTRAP_SERVERS.'),
  LOG_OVERLOADED: kind(503, 4503, true, 'The log does not keep up. Wait, or lower the bitrate.'),
  LOG_FULL: kind(507, 4503, true, 'Free space where DATA_DIR is, delete a broadcast, or raise DATA_LIMIT.'),
  LOG_CORRUPT: kind(
    500,
    1011,
    false,
    'The stored data is damaged; docs/record-format.md tells what is checked.',
  ),
  LOG_CLOSED: kind(503, 4503, true, 'The log was closed. Connect again.'),
  LOG_FAILED: kind(500, 1011, true, 'See the cause in the log of the gateway.'),
  TOPIC_NOT_FOUND: kind(404, 4404, false, 'Check the id against the list of broadcasts.'),
  TOPIC_REFUSED: kind(
    503,
    4503,
    false,
    'Check TOPIC_PREFIX, REPLICATION_FACTOR and MIN_INSYNC_REPLICAS against what the cluster allows.',
  ),
  OFFSET_OUT_OF_RANGE: kind(
    416,
    4416,
    false,
    'Retention removed that position; start from an offset that is still there.',
  ),
  DATA_DIR_UNUSABLE: kind(
    500,
    1011,
    false,
    'Set DATA_DIR to a folder that this user may write, and no other gateway uses.',
  ),
  PORT_UNUSABLE: kind(
    500,
    1011,
    false,
    'Set HTTP_PORT to a free port, or HTTP_HOST to an address of this machine.',
  ),
  BAD_CONFIG: kind(500, 1011, false, 'See docs/configuration.md for every setting.'),
  GATEWAY_UNREACHABLE: kind(
    503,
    1011,
    true,
    'Check --url, http or https too, and that a gateway runs there.',
  ),
  GATEWAY_UNTRUSTED: kind(
    502,
    1011,
    false,
    'NODE_EXTRA_CA_CERTS names a PEM file with the authority to trust.',
  ),
  BAD_OPTION: kind(400, 1011, false, 'See framelog help, and framelog help with the name of a command.'),
  SOURCE_UNUSABLE: kind(
    400,
    1011,
    false,
    'Check the name or the address, and that ffmpeg is installed where it is an address.',
  ),
  OUTPUT_FORMAT: kind(
    400,
    1011,
    false,
    'Name a file that ends in .webm, .mkv or .mp4, or add --format webm, mkv or mp4.',
  ),
  OUTPUT_EXISTS: kind(409, 1011, false, 'Choose another name, or add --force to write over it.'),
  OUTPUT_UNUSABLE: kind(
    500,
    1011,
    false,
    'Check that the folder of the output exists, may be written, and has room.',
  ),
  UNSUITABLE_FORMAT: kind(
    415,
    1011,
    false,
    'Write to a .mkv or an .mp4 file; a .webm takes VP8, VP9, AV1 and Opus only.',
  ),
  CANNOT_GO_ON: kind(
    409,
    1011,
    true,
    'Start again, or write to a file: what has no place in it goes on in a second one.',
  ),
  RECORDER_FAILED: kind(
    500,
    1011,
    false,
    'Start again; if it stays so, open the studio with mode=webcodecs, or in another browser.',
  ),
  INTERNAL: kind(500, 1011, false, 'This is a defect. The log of the gateway has the details.'),
} as const satisfies Record<string, ErrorKind>

export type ErrorCode = keyof typeof errorKinds

export class FramelogError extends Error {
  override readonly name = 'FramelogError'
  readonly code: ErrorCode

  /** @param message says what happened; the advice of the code says what to do. */
  constructor(code: ErrorCode, message: string, options?: { cause?: unknown }) {
    super(message, options)
    this.code = code
  }

  get status(): number {
    return errorKinds[this.code].status
  }

  get closeCode(): number {
    return errorKinds[this.code].close
  }

  get retryable(): boolean {
    return errorKinds[this.code].retryable
  }

  get advice(): string {
    return errorKinds[this.code].advice
  }

  /** One line for a person: what happened, the code, what to do. */
  toLine(): string {
    return `${this.message} [${this.code}]. ${this.advice}`
  }

  toJSON(): { code: ErrorCode; message: string; advice: string; retryable: boolean } {
    return { code: this.code, message: this.message, advice: this.advice, retryable: this.retryable }
  }
}

/** Passes coded errors through and wraps anything else, keeping it as the cause. */
export function toFramelogError(error: unknown, code: ErrorCode = 'INTERNAL'): FramelogError {
  if (error instanceof FramelogError) return error
  const message = error instanceof Error ? error.message : String(error)
  return new FramelogError(code, message, { cause: error })
}

/** What the system calls a failure, such as ENOENT. */
export const systemCode = (cause: unknown): string =>
  cause instanceof Error && 'code' in cause ? String(cause.code) : 'unknown reason'
