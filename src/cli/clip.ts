/** `framelog clip`: what is kept of a broadcast between two positions, as a file that a gateway makes. */
import { setTimeout as delay } from 'node:timers/promises'
import * as v from 'valibot'
import { backOff } from '../core/back-off.ts'
import { FramelogError } from '../errors.ts'
import { broadcastId, quote } from '../units.ts'
import { gatewayUrl } from './options.ts'
import { Progress } from './progress.ts'
import { toldByGateway, unreachable } from './unreachable.ts'
import { standardOutput } from './watch/container.ts'
import { openFile, openStream, ReaderGone } from './watch/destination.ts'
import { size } from './watch/report.ts'

export interface ClipFlags {
  readonly output: string
  readonly from: string
  readonly to?: string
  readonly exact?: boolean
  readonly format?: string
  readonly force?: boolean
  readonly url: string
}

export const clipLimits = {
  /** Times that a lost connection is taken up again, without a byte in between. */
  attempts: 10,
  /** Milliseconds without a byte until a connection counts as lost; the first may take long, as the gateway reads all of the clip before. */
  silence: 30_000,
  first: 15 * 60_000,
} as const

const problem = v.object({ error: v.object({ code: v.string(), message: v.string() }) })

export async function clip(name: string, flags: ClipFlags): Promise<void> {
  const id = broadcastId(name)
  const { output, from, to, exact = false, force = false } = flags
  const format = formatOf(output, flags.format)
  const query = new URLSearchParams({
    from,
    ...(to === undefined ? {} : { to }),
    ...(exact ? { exact: '1' } : {}),
  })
  const address = new URL(`/api/v1/broadcasts/${id}/clip.${format}?${query}`, gatewayUrl(flags.url))
  const isStream = output === standardOutput
  const file = isStream ? openStream(process.stdout) : await openFile(output, { force })
  let written = 0
  let total = 0
  const report = new Progress(process.stderr, () => `${size(written)} of ${size(total)}`)
  const download = new Download(address)
  try {
    for await (const bytes of download.bytes()) {
      total = download.total
      await file.write(bytes, written)
      written += bytes.byteLength
    }
    await file.close()
    if (download.cutShort !== undefined)
      report.note(`The clip ends before what was asked for: ${download.cutShort}.`)
    report.note(`${isStream ? 'The clip' : output}: ${size(written)}`)
  } catch (error) {
    if (error instanceof ReaderGone) return
    await file.discard()
    throw error
  } finally {
    report.close()
  }
}

function formatOf(output: string, asked: string | undefined): 'mp4' | 'webm' {
  const format = asked ?? (output === standardOutput ? 'mp4' : /\.([^./\\]{1,16})$/.exec(output)?.[1])
  if (format === 'mp4' || format === 'webm') return format
  throw new FramelogError('OUTPUT_FORMAT', `A clip is mp4 or webm, not ${quote(format ?? output)}`)
}

/** One file over as many connections as it takes. */
class Download {
  #address: URL
  #etag: string | undefined
  total = 0
  cutShort: string | undefined

  constructor(address: URL) {
    this.#address = address
  }

  /** @throws FramelogError what the gateway says, GATEWAY_UNREACHABLE */
  async *bytes(): AsyncGenerator<Uint8Array> {
    let got = 0
    for (let attempt = 0; ; attempt++) {
      const before = got
      try {
        for await (const bytes of this.#rest(got)) {
          got += bytes.byteLength
          yield bytes
        }
        if (got >= this.total) return
      } catch (error) {
        if (error instanceof FramelogError || this.total === 0) throw error
      }
      if (got > before) attempt = 0
      if (attempt >= clipLimits.attempts)
        throw new FramelogError(
          'GATEWAY_UNREACHABLE',
          `The connection is lost after ${got} of ${this.total} bytes`,
        )
      await delay(backOff(attempt, Math.random()))
    }
  }

  async *#rest(from: number): AsyncGenerator<Uint8Array> {
    const stop = new AbortController()
    let timer = setTimeout(() => stop.abort(), clipLimits.first)
    try {
      const response = await this.#ask(from, stop.signal)
      if (response.body === null) return
      const chunks = response.body.getReader()
      for (;;) {
        clearTimeout(timer)
        timer = setTimeout(() => stop.abort(), clipLimits.silence)
        const { value } = await chunks.read()
        // Whoever takes it may take its time.
        clearTimeout(timer)
        if (value === undefined) return
        yield value
      }
    } finally {
      clearTimeout(timer)
    }
  }

  async #ask(from: number, signal: AbortSignal): Promise<Response> {
    let response: Response
    try {
      response = await fetch(this.#address, {
        signal,
        ...(from > 0 ? { headers: { range: `bytes=${from}-` } } : {}),
      })
    } catch (cause) {
      // Once it was there it may be there again.
      throw this.total > 0 ? cause : unreachable(this.#address.origin, cause)
    }
    if (!response.ok) throw await problemOf(response)
    const etag = response.headers.get('etag') ?? undefined
    if (from > 0 && (response.status !== 206 || etag !== this.#etag))
      throw new FramelogError('CANNOT_GO_ON', 'The clip is another one than before the connection was lost')
    this.#etag = etag
    this.total = from + Number(response.headers.get('content-length') ?? 0)
    this.cutShort = response.headers.get('framelog-cut-short') ?? undefined
    // By this name the rest is of the same file.
    const location = response.headers.get('content-location')
    if (location !== null) this.#address = new URL(location, this.#address)
    return response
  }
}

async function problemOf(response: Response): Promise<FramelogError> {
  const parsed = v.safeParse(problem, await response.json().catch(() => undefined))
  if (!parsed.success)
    return new FramelogError('GATEWAY_UNREACHABLE', `What answers is no gateway (HTTP ${response.status})`)
  return toldByGateway(parsed.output.error)
}
