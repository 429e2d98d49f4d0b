/** The gateway: pages, HTTP and sockets over one relay. */
import { existsSync } from 'node:fs'
import type { AddressInfo, Socket } from 'node:net'
import { join } from 'node:path'
import fastifyStatic from '@fastify/static'
import Fastify, { type FastifyInstance, type FastifyReply } from 'fastify'
import { FramelogError, toFramelogError } from '../errors.ts'
import type { Metrics } from '../observe/metrics.ts'
import { broadcastId, quote } from '../units.ts'
import { clips } from './clips.ts'
import { eventLoopLoad, Gather } from './gather.ts'
import { Hls } from './hls/hls.ts'
import { httpIngest } from './http-ingest.ts'
import { Ingests } from './ingest.ts'
import { Joins } from './joins.ts'
import { openApi } from './openapi.ts'
import { refuse } from './refuse.ts'
import { RtmpServer } from './rtmp/server.ts'
import { isWebSocket, type SocketContext, Sockets } from './sockets.ts'
import { viewerEncoder } from './viewer-message.ts'

export interface GatewayOptions extends Omit<SocketContext, 'gather' | 'joins'> {
  readonly metrics: Metrics
  /** Milliseconds for which what viewers are sent is gathered at most, where the process is busy or a viewer asks for it. */
  readonly gatherTime: number
  readonly host: string
  readonly port: number
  /** Where publishers come by RTMP; undefined takes none. 0 for any port that is free. */
  readonly rtmpPort?: number | undefined
  /** PEM; undefined serves plain http. */
  readonly certificate?: { readonly cert: string; readonly key: string } | undefined
  /** Folder of the built pages. */
  readonly pages: string
  readonly version: { readonly version: string; readonly build_time: string }
}

/** Milliseconds that the log has to answer, for the gateway to count as ready. */
const readyTimeout = 2000

export interface Gateway extends AsyncDisposable {
  readonly host: string
  readonly port: number
  readonly rtmpPort: number | undefined
  /** What it answers over HTTP: method and address. */
  readonly routes: readonly string[]
  /** Counts as not ready any more, and sends all pages to other gateways. @param time that they have, milliseconds */
  drain(time: number): Promise<void>
}

/** @throws FramelogError PORT_UNUSABLE */
export async function startGateway(options: GatewayOptions): Promise<Gateway> {
  const app = Fastify({
    ...(options.certificate === undefined ? {} : { https: options.certificate }),
    logger: false,
    bodyLimit: 64 * 1024,
    forceCloseConnections: true,
    // A request that asks for another protocol, as h2c, is answered in the one that it came in.
    http: { shouldUpgradeCallback: isWebSocket },
    frameworkErrors: (error, request, reply) => sendError(reply, unroutable(error, request.url)),
    clientErrorHandler: refuseBytes,
  })
  const encoder = viewerEncoder(options.clock, options.metrics)
  const gather = new Gather(options.clock, options.gatherTime, eventLoopLoad(), encoder)
  const joins = new Joins(options.clock, encoder.encode)
  const sockets = new Sockets({ ...options, gather, joins })
  options.metrics.gathers(() => gather.window)
  app.setErrorHandler((error: Error & { statusCode?: number }, _request, reply) => {
    const isClients = error.statusCode !== undefined && error.statusCode < 500
    sendError(
      reply,
      isClients ? new FramelogError('BAD_MESSAGE', error.message, { cause: error }) : toFramelogError(error),
    )
  })
  app.setNotFoundHandler((request, reply) => {
    sendError(reply, new FramelogError('NOT_FOUND', `There is nothing at ${quote(request.url)}`))
  })
  const routes: string[] = []
  app.addHook('onRoute', ({ method, url }) => {
    for (const each of [method].flat()) if (each !== 'HEAD') routes.push(`${each} ${url}`)
  })
  api(app, options)
  clips(app, options.relay, options.clock)
  const hls = new Hls(options.relay, options.clock)
  hls.register(app)
  const ingests = new Ingests(options.relay)
  await httpIngest(app, { ...options, ingests })
  await pages(app, options.pages)
  app.server.on('upgrade', (request, stream, head) => sockets.upgrade(request, stream, head))
  try {
    await app.listen({ host: options.host, port: options.port, backlog: 1024 })
  } catch (cause) {
    const { code } = cause as NodeJS.ErrnoException
    const why =
      code === 'EADDRINUSE'
        ? 'is taken'
        : code === 'EACCES'
          ? 'may not be used by this user'
          : `cannot be used (${code})`
    throw new FramelogError('PORT_UNUSABLE', `The address ${options.host}:${options.port} ${why}`, { cause })
  }
  const { port } = app.server.address() as AddressInfo
  const rtmp = options.rtmpPort === undefined ? undefined : new RtmpServer({ ...options, ingests })
  return {
    host: options.host,
    port,
    routes,
    rtmpPort: await rtmp?.listen(options.host, options.rtmpPort ?? 0),
    async drain(time) {
      options.relay.drain()
      if (options.relay.hasOthers) ingests.close()
      await sockets.drain(time)
    },
    async [Symbol.asyncDispose]() {
      sockets.close()
      ingests.close()
      hls.close()
      await rtmp?.[Symbol.asyncDispose]()
      gather.close()
      await options.relay.close()
      await app.close()
    },
  }
}

function api(app: FastifyInstance, { relay, version, metrics }: GatewayOptions): void {
  app.get('/ping', async () => ({ message: 'pong' }))
  app.get('/version', async () => version)
  app.get('/openapi.json', async () => openApi(version.version))
  app.get('/healthz', async () => ({ status: 'ok' }))
  app.get('/readyz', async () => {
    const late = new Promise<never>((_, reject) => {
      const error = new FramelogError(
        'LOG_UNREACHABLE',
        `The log does not answer within ${readyTimeout / 1000} s`,
      )
      setTimeout(() => reject(error), readyTimeout).unref()
    })
    await Promise.race([relay.check(), late])
    return { status: 'ok' }
  })
  app.get('/metrics', async (_request, reply) => reply.type(metrics.contentType).send(await metrics.all()))
  app.get('/api/v1/broadcasts', async () => ({ broadcasts: relay.list() }))
  app.get<{ Params: { id: string } }>('/api/v1/broadcasts/:id', async ({ params }) => {
    const id = broadcastId(params.id)
    const info = relay.get(id)
    if (info === undefined) throw new FramelogError('BROADCAST_NOT_FOUND', `There is no broadcast ${id}`)
    return info
  })
  app.get<{ Params: { id: string }; Querystring: { placeholder?: string } }>(
    '/api/v1/broadcasts/:id/thumbnail',
    async ({ params, query }, reply) => {
      const id = broadcastId(params.id)
      const hasPlaceholder = query.placeholder === '1'
      const thumbnail = await relay.thumbnail(id).catch((error: unknown) => {
        if (hasPlaceholder && error instanceof FramelogError && error.retryable) return undefined
        throw error
      })
      // Anybody may have written it: it is an image, whatever else a browser could make of it.
      reply.headers({ 'cache-control': 'max-age=5', 'x-content-type-options': 'nosniff' })
      if (thumbnail !== undefined) return reply.type(thumbnail.type).send(thumbnail.data)
      if (hasPlaceholder) return reply.type('image/svg+xml').send(placeholder)
      throw new FramelogError('NOT_FOUND', `There is no thumbnail of ${id}`)
    },
  )
  app.delete<{ Params: { id: string } }>('/api/v1/broadcasts/:id', async ({ params }, reply) => {
    await relay.delete(broadcastId(params.id))
    return reply.code(204).send()
  })
}

/** For lists: an empty picture, where a missing one would be an error on the page. */
const placeholder =
  '<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 16 9"><rect width="16" height="9" fill="#0b0d0d"/></svg>'

async function pages(app: FastifyInstance, folder: string): Promise<void> {
  if (!existsSync(join(folder, 'index.html'))) {
    app.get('/', async (_request, reply) =>
      reply.code(503).type('text/plain').send('The pages are not built. Run make.\n'),
    )
    return
  }
  await app.register(fastifyStatic, {
    root: folder,
    wildcard: false,
    index: ['index.html'],
    cacheControl: false,
    // A page is asked for anew each time; what it loads has its content's hash in its name.
    setHeaders: (response, path) => {
      const isHashed = path.includes('/assets/')
      response.header('cache-control', isHashed ? 'public, max-age=31536000, immutable' : 'no-cache')
    },
  })
  app.get('/watch/:id', async (_request, reply) => reply.sendFile('watch/index.html'))
}

/** The router's own refusals: an address that is no UTF-8 once decoded, or has too long a part. */
function unroutable(cause: Error, url: string): FramelogError {
  return url.startsWith('/api/v1/broadcasts/')
    ? new FramelogError('BAD_BROADCAST_ID', `There is no broadcast id in ${quote(url)}`, { cause })
    : new FramelogError('NOT_FOUND', `There is nothing at ${quote(url)}`, { cause })
}

/** For what is no HTTP request: it reaches no route. */
function refuseBytes(cause: Error & { code?: string }, stream: Socket): void {
  if (cause.code === 'ECONNRESET' || !stream.writable) stream.destroy()
  else if (cause.code === 'HPE_HEADER_OVERFLOW')
    refuse(stream, new FramelogError('MESSAGE_TOO_LARGE', 'The headers are too large', { cause }))
  else refuse(stream, new FramelogError('BAD_MESSAGE', 'This is no whole HTTP request', { cause }))
}

function sendError(reply: FastifyReply, error: FramelogError): void {
  reply.code(error.status).send({ error: error.toJSON() })
}
