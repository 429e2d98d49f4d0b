/** A program that sends a stream into a broadcast, over a socket of its own. */
import { type IncomingMessage, request } from 'node:http'

export interface Answer {
  readonly status: number
  readonly body: Record<string, unknown> & {
    readonly error?: { readonly code: string; readonly message: string }
  }
}

export class Sender {
  readonly #request: ReturnType<typeof request>
  /** What the gateway says in the end. Rejects where the connection is gone before that. */
  readonly answer: Promise<Answer>

  constructor(
    base: string,
    id: string,
    options: { method?: string; query?: string; headers?: Record<string, string> } = {},
  ) {
    const { method = 'POST', query = '', headers = {} } = options
    const url = `${base}/api/v1/broadcasts/${id}/ingest${query}`
    this.#request = request(url, { method, headers, agent: false })
    this.answer = new Promise<Answer>((resolve, reject) => {
      this.#request.once('error', reject)
      this.#request.once('response', response => {
        read(response).then(resolve, reject)
      })
    })
    this.answer.catch(() => {})
    this.#request.flushHeaders()
  }

  /** Resolves when the network has taken it. */
  async send(bytes: Uint8Array): Promise<void> {
    await new Promise<void>((resolve, reject) => {
      this.#request.write(bytes, error => (error ? reject(error) : resolve()))
    })
  }

  /** The stream ends as HTTP has it. */
  end(): void {
    this.#request.end()
  }

  /** The connection is gone in the middle of the stream. */
  cut(): void {
    this.#request.destroy()
  }
}

async function read(response: IncomingMessage): Promise<Answer> {
  let text = ''
  for await (const chunk of response.setEncoding('utf8')) text += chunk
  return { status: response.statusCode ?? 0, body: JSON.parse(text) as Answer['body'] }
}

/** Sends a stream as a whole. */
export async function ingest(
  base: string,
  id: string,
  bytes: Uint8Array,
  options: ConstructorParameters<typeof Sender>[2] = {},
): Promise<Answer> {
  const sender = new Sender(base, id, options)
  sender.send(bytes).catch(() => {})
  sender.end()
  return sender.answer
}
