/**
 * `GET /api/v1/broadcasts/ID/clip.mp4` and `clip.webm`: what is kept between two positions as a file, made while it is sent. What it
 * will be is known before its first byte: so it has its length, and any range of it can be asked for, of any gateway.
 */
import { Readable } from 'node:stream'
import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify'
import type { ClipFormat } from '../container/clip/clip.ts'
import { mp4Clip } from '../container/clip/mp4.ts'
import { webmClip } from '../container/clip/webm.ts'
import type { Clock } from '../core/clock.ts'
import { FramelogError } from '../errors.ts'
import type { Recording } from '../relay/recording.ts'
import type { Relay } from '../relay/relay.ts'
import { broadcastId } from '../units.ts'
import { ClipSource, type SourcePlan } from './clip-source.ts'

export const clipLimits = {
  /** Plans that are kept for whoever asks for the next range of the same file, and the parts of them all. */
  plans: 16,
  parts: 200_000,
  /** Plans that are made at a time. */
  planning: 4,
  /** Clips that are sent at a time. */
  sending: 100,
  /** Milliseconds that a reader may take nothing. */
  stall: 60_000,
} as const

interface ClipQuery {
  readonly from?: string
  readonly to?: string
  readonly exact?: string
  readonly topic?: string
}

type ClipRequest = FastifyRequest<{ Params: { id: string }; Querystring: ClipQuery }>

interface Planned {
  readonly source: ClipSource
  readonly plan: SourcePlan
  readonly header: Uint8Array
  /** Where each part begins in the file, and behind them all where it ends. */
  readonly places: readonly number[]
  readonly etag: string
}

const formats: Readonly<Record<string, ClipFormat>> = { mp4: mp4Clip, webm: webmClip }

export function clips(app: FastifyInstance, relay: Relay, clock: Clock): void {
  const maker = new Clips(relay, clock)
  for (const [name, format] of Object.entries(formats))
    app.get(`/api/v1/broadcasts/:id/clip.${name}`, (request, reply) =>
      maker.send(request as ClipRequest, reply, name, format),
    )
}

class Clips {
  readonly #relay: Relay
  readonly #clock: Clock
  /** The one that was asked for last is the last. */
  readonly #planned = new Map<string, Planned>()
  #planning = 0
  #sending = 0

  constructor(relay: Relay, clock: Clock) {
    this.#relay = relay
    this.#clock = clock
  }

  async send(
    request: ClipRequest,
    reply: FastifyReply,
    name: string,
    format: ClipFormat,
  ): Promise<FastifyReply> {
    const id = broadcastId(request.params.id)
    const { from = 'start', to, exact, topic } = request.query
    const recording = await this.#relay.recording(id)
    if (topic !== undefined && topic !== recording.id)
      throw new FramelogError('BROADCAST_DELETED', `The broadcast ${id} is another one now`)
    const isExact = exact === '1'
    const excerpt = await recording.excerpt(from, to, this.#clock.now())
    const first = excerpt.from.wanted ?? excerpt.from.from
    const canonical = new URLSearchParams({
      ...{ from: `@${first}`, to: `@${excerpt.to}`, topic: recording.id },
      ...(isExact ? { exact: '1' } : {}),
    })
    const location = `/api/v1/broadcasts/${id}/clip.${name}?${canonical}`
    const { range } = request.headers
    // The next range must be of the same file, however much has come or gone meanwhile.
    if (topic !== undefined && from.startsWith('@') && from !== `@${first}`)
      throw new FramelogError(
        'OFFSET_OUT_OF_RANGE',
        `The clip began at offset ${from.slice(1)}, which is gone`,
      )
    if (range !== undefined && request.url !== location) return reply.redirect(location, 307)
    const { source, plan, header, places, etag } = await this.#plan(location, recording, format, () =>
      new ClipSource(recording, format).plan(excerpt, isExact, () => !request.raw.destroyed),
    )
    const length = places.at(-1) ?? 0
    // RFC 9110 section 13.1.5: of another file than the one that is meant, all is sent.
    const isMeant = [undefined, etag].includes(request.headers['if-range'] as string | undefined)
    const asked = range === undefined || !isMeant ? undefined : rangeOf(range, length)
    if (asked === 'unsatisfiable') {
      reply.header('content-range', `bytes */${length}`)
      throw new FramelogError('OFFSET_OUT_OF_RANGE', `The clip has ${length} bytes`)
    }
    reply.headers({
      'content-type': format.mimeType,
      'content-location': location,
      'accept-ranges': 'bytes',
      'content-disposition': `inline; filename="${id}.${name}"`,
      'x-content-type-options': 'nosniff',
      etag,
      ...(plan.cutShort === undefined ? {} : { 'framelog-cut-short': plan.cutShort }),
    })
    const { begin, end } = asked ?? { begin: 0, end: length }
    if (asked !== undefined) reply.code(206).header('content-range', `bytes ${begin}-${end - 1}/${length}`)
    reply.header('content-length', end - begin)
    if (this.#sending >= clipLimits.sending)
      throw new FramelogError('TOO_MANY', `${this.#sending} clips are being sent`)
    this.#count(reply)
    // What is asked for without its bytes is sent as a stream all the same: of another kind the length would be told anew.
    const bytes = request.method === 'HEAD' ? [] : bytesOf(source, plan, header, places, begin, end)
    return reply.send(Readable.from(bytes, { objectMode: false }))
  }

  /** Until it is sent, or its reader is gone: one that takes nothing for long is. */
  #count({ raw }: FastifyReply): void {
    this.#sending += 1
    const { socket } = raw
    // Nobody listens for it: then Node closes the connection.
    socket?.setTimeout(clipLimits.stall)
    raw.once('close', () => {
      this.#sending -= 1
      socket?.setTimeout(0)
    })
  }

  async #plan(
    key: string,
    recording: Recording,
    format: ClipFormat,
    make: () => Promise<SourcePlan>,
  ): Promise<Planned> {
    const known = this.#planned.get(key)
    if (known !== undefined) {
      this.#planned.delete(key)
      this.#planned.set(key, known)
      return known
    }
    if (this.#planning >= clipLimits.planning)
      throw new FramelogError('TOO_MANY', `${this.#planning} clips are being planned`)
    this.#planning += 1
    try {
      const plan = await make()
      const header = format.header(plan)
      const places: number[] = [header.byteLength]
      for (const { size } of plan.parts) places.push((places.at(-1) ?? 0) + size)
      const etag = `"${recording.id}-${plan.parts[0]?.first ?? 0}-${plan.to}-${places.at(-1)}"`
      const planned = { source: new ClipSource(recording, format), plan, header, places, etag }
      this.#planned.set(key, planned)
      let parts = [...this.#planned.values()].reduce((sum, { plan }) => sum + plan.parts.length, 0)
      for (const [oldest, { plan }] of this.#planned) {
        if (this.#planned.size <= clipLimits.plans && (parts <= clipLimits.parts || oldest === key)) break
        this.#planned.delete(oldest)
        parts -= plan.parts.length
      }
      return planned
    } finally {
      this.#planning -= 1
    }
  }
}

/** @param begin of the wanted bytes. @param end behind them */
async function* bytesOf(
  source: ClipSource,
  plan: SourcePlan,
  header: Uint8Array,
  places: readonly number[],
  begin: number,
  end: number,
): AsyncGenerator<Uint8Array> {
  if (begin < header.byteLength) yield header.subarray(begin, end)
  if (end <= header.byteLength) return
  // The last part that begins no later than what is wanted.
  let part = 0
  for (let step = 2 ** Math.floor(Math.log2(Math.max(1, plan.parts.length))); step >= 1; step /= 2)
    if ((places[part + step] ?? Number.POSITIVE_INFINITY) <= begin && part + step < plan.parts.length)
      part += step
  for await (const bytes of source.parts(plan, part)) {
    const at = places[part] ?? 0
    if (at >= end) return
    yield bytes.subarray(Math.max(0, begin - at), Math.max(0, end - at))
    part += 1
    if ((places[part] ?? 0) >= end) return
  }
}

/** One range (RFC 9110 section 14); of several, or of what is none, the whole is sent. */
function rangeOf(
  header: string,
  length: number,
): { begin: number; end: number } | 'unsatisfiable' | undefined {
  const match = /^bytes=(\d{0,15})-(\d{0,15})$/.exec(header)
  if (match === null) return undefined
  const [, first = '', last = ''] = match
  if (first === '' && last === '') return undefined
  if (first === '') {
    const size = Math.min(Number(last), length)
    return size === 0 ? 'unsatisfiable' : { begin: length - size, end: length }
  }
  const begin = Number(first)
  const end = last === '' ? length : Math.min(Number(last) + 1, length)
  if (last !== '' && Number(last) < begin) return undefined
  return begin >= length ? 'unsatisfiable' : { begin, end }
}
