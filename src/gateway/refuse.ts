/** An error as an HTTP response on a connection that no route answers: no HTTP, or no socket of ours. */
import { STATUS_CODES } from 'node:http'
import type { Duplex } from 'node:stream'
import type { FramelogError } from '../errors.ts'

/** Answers and closes. */
export function refuse(stream: Duplex, error: FramelogError): void {
  const body = JSON.stringify({ error: error.toJSON() })
  stream.end(
    `HTTP/1.1 ${error.status} ${STATUS_CODES[error.status]}\r\nConnection: close\r\n` +
      `Content-Type: application/json; charset=utf-8\r\nContent-Length: ${Buffer.byteLength(body)}\r\n\r\n${body}`,
    () => stream.destroy(),
  )
}
