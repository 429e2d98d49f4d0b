/**
 * `POST` or `PUT /api/v1/broadcasts/ID/ingest`: the body is a stream as it is made, in any container that is carried. A body that
 * ends as HTTP has it ends the broadcast; a connection that is cut leaves it to whoever comes back.
 */
import type { IncomingMessage } from 'node:http'
import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify'
import { allFormats } from '../container/formats.ts'
import { AnyDemuxer } from '../container/recognise.ts'
import type { Clock } from '../core/clock.ts'
import { FramelogError, toFramelogError } from '../errors.ts'
import type { Logger } from '../observe/logger.ts'
import type { Relay } from '../relay/relay.ts'
import { broadcastId } from '../units.ts'
import type { Ingest, IngestReport, Ingests } from './ingest.ts'
import { isOurs } from './origin.ts'

export const httpIngestLimits = {
  /** Milliseconds without a byte after which a sender counts as gone. */
  silence: 60_000,
  /** Milliseconds for which what a refused sender still sends is thrown away, so that it reads why. */
  linger: 1000,
} as const

interface HttpIngestContext {
  readonly relay: Relay
  readonly clock: Clock
  readonly log: Logger
  readonly ingests: Ingests
}

type IngestRequest = FastifyRequest<{ Params: { id: string }; Querystring: { title?: string } }>

/** Takes the routes. */
export async function httpIngest(app: FastifyInstance, context: HttpIngestContext): Promise<void> {
  const receiver = new Receiver(context)
  await app.register(async scope => {
    // The body is read as it comes, whatever it says that it is.
    scope.removeAllContentTypeParsers()
    scope.addContentTypeParser('*', (_request, _body, done) => done(null))
    for (const url of ['/api/v1/broadcasts/:id/ingest', '/api/broadcasts/:id/ingest'])
      scope.route({
        method: ['POST', 'PUT'],
        url,
        handler: (request, reply) => receiver.take(request as IngestRequest, reply),
      })
  })
}

class Receiver {
  readonly #context: HttpIngestContext

  constructor(context: HttpIngestContext) {
    this.#context = context
  }

  async take(request: IngestRequest, reply: FastifyReply): Promise<IngestReport> {
    try {
      return await this.#ingest(request)
    } catch (error) {
      letGo(request.raw, reply)
      throw error
    }
  }

  async #ingest({ raw, params, query, headers }: IngestRequest): Promise<IngestReport> {
    const { relay, ingests } = this.#context
    const id = broadcastId(params.id)
    if (!isOurs(raw, relay))
      throw new FramelogError('FOREIGN_ORIGIN', 'The page that sends this is of another origin')
    const ingest = ingests.open({ id, token: headers.authorization, title: query.title })
    const log = this.#context.log.child({ broadcast: id, role: 'ingest' })
    const demuxer = new AnyDemuxer(ingest, allFormats)
    try {
      await this.#read(raw, demuxer, ingest)
      demuxer.end()
      await ingest.end('the stream has ended')
      log.info(ingest.report, 'the stream has ended')
      return ingest.report
    } catch (cause) {
      const error = toFramelogError(cause)
      log.info({ ...ingest.report, code: error.code, reason: error.message }, 'the stream is cut off')
      throw error
    } finally {
      ingests.release(ingest)
    }
  }

  /**
   * Resolves at the end of the body. It is always read: the connection is held up, and not the body, of which Node throws away
   * what was not read where its sender closes the connection behind the last byte, as ffmpeg does.
   * @throws FramelogError why it goes no further
   */
  async #read(body: IncomingMessage, demuxer: AnyDemuxer, ingest: Ingest): Promise<void> {
    const { clock } = this.#context
    const { promise, resolve, reject } = Promise.withResolvers<void>()
    ingest.onFailed = reject
    let cancel = (): void => {}
    const listen = (): void => {
      cancel()
      cancel = clock.after(httpIngestLimits.silence, () => reject(silent()))
    }
    let isWaiting = false
    let isDamaged = false
    let isOver = false
    const go = (): void => {
      if (isOver) return
      const wait = ingest.flow()
      if (wait === undefined) {
        // Not before there is room: a connection that is let go on is read once, whatever is said in the same turn.
        if (isWaiting) body.socket.resume()
        isWaiting = false
        listen()
        return
      }
      isWaiting = true
      // Who waits for room is not silent.
      cancel()
      body.socket.pause()
      wait.then(go).catch(reject)
    }
    const take = (chunk: Uint8Array): void => {
      try {
        demuxer.push(chunk)
        if (!isWaiting) go()
      } catch (error) {
        // What came before the damage counts.
        isDamaged = true
        body.off('data', take)
        ingest.rest().then(() => reject(error))
      }
    }
    const cut = (): void => {
      const message = 'The connection is gone before the end of the stream'
      if (!isDamaged) reject(new FramelogError('STREAM_CUT_OFF', message))
    }
    listen()
    body
      .on('data', take)
      .once('end', () => isDamaged || resolve())
      .once('error', cut)
      .once('close', cut)
    try {
      await promise
    } finally {
      isOver = true
      cancel()
      body.off('data', take)
      if (isWaiting) body.socket.resume()
    }
  }
}

const silent = (): FramelogError =>
  new FramelogError('STREAM_CUT_OFF', `Nothing has come for ${httpIngestLimits.silence / 1000} s`)

/**
 * Whoever is refused sends on, and hears why only if that is taken for a moment: a connection that is closed with bytes unread is
 * reset, and the answer with it.
 */
function letGo(body: IncomingMessage, reply: FastifyReply): void {
  const { socket } = body
  body.resume()
  reply.raw.once('finish', () => {
    // What was read to its end leaves the connection to the next request.
    const timer = setTimeout(() => body.complete || socket.destroy(), httpIngestLimits.linger)
    socket.once('close', () => clearTimeout(timer))
  })
}
