/** What this gateway answers over HTTP, as OpenAPI 3.1 has it: served at `/openapi.json`. A test holds it against the routes. */
import { type ErrorCode, errorKinds } from '../errors.ts'

interface Parameter {
  readonly name: string
  readonly in: 'path' | 'query' | 'header'
  readonly required?: boolean
  readonly description: string
  readonly schema: object
}

const text = { type: 'string' } as const

const id: Parameter = {
  name: 'id',
  in: 'path',
  required: true,
  description: 'Of the broadcast.',
  schema: { ...text, pattern: '^[a-z0-9][a-z0-9-]{0,62}$' },
}

const inPath = (name: string, description: string): Parameter => ({
  name,
  in: 'path',
  required: true,
  description,
  schema: text,
})

const query = (name: string, description: string, schema: object = text): Parameter => ({
  name,
  in: 'query',
  description,
  schema,
})

const position = '`start`, a span back from now such as `-30s`, an ISO 8601 time, or `@` and an offset'
const from = query('from', `Where it begins: ${position}. Default: the start.`)
const to = query('to', `Where it ends, likewise. Default: all that is there.`)

const content = (type: string, schema: object = { type: 'string', format: 'binary' }): object => ({
  [type]: { schema },
})
const ref = (name: string): object => ({ $ref: `#/components/schemas/${name}` })
const ok = (description: string, body?: object): object => ({
  description,
  ...(body === undefined ? {} : { content: body }),
})

/** Refusals, by their HTTP status. */
function refusals(...codes: readonly ErrorCode[]): Record<string, object> {
  const byStatus = new Map<number, ErrorCode[]>()
  for (const code of codes) {
    const { status } = errorKinds[code]
    byStatus.set(status, [...(byStatus.get(status) ?? []), code])
  }
  return Object.fromEntries(
    [...byStatus].map(([status, codes]) => [
      status,
      ok(codes.join(', '), content('application/json', ref('Problem'))),
    ]),
  )
}

const get = (
  summary: string,
  answer: object,
  parameters: readonly Parameter[] = [],
  codes: readonly ErrorCode[] = [],
): object => ({ get: { summary, parameters, responses: { 200: answer, ...refusals(...codes) } } })

const json = (schema: object): object => content('application/json', schema)
const playlist = (description: string): object =>
  ok(description, content('application/vnd.apple.mpegurl', text))

const ingest = {
  summary:
    'A stream comes in, as it is made: Matroska, WebM, fragmented MP4, FLV or MPEG-TS. Its end ends the broadcast.',
  parameters: [
    id,
    query('title', 'What the broadcast is called, for people.', { ...text, maxLength: 120 }),
    {
      name: 'authorization',
      in: 'header',
      description: 'Who sends the same takes over at once.',
      schema: text,
    },
  ],
  requestBody: { required: true, content: content('application/octet-stream') },
  responses: {
    200: ok('What the log has of it.', json(ref('Ingested'))),
    ...refusals(
      ...([
        'BAD_BROADCAST_ID',
        'BAD_CONTAINER',
        'BAD_CATALOG',
        'UNSUPPORTED_CODEC',
        'FRAME_TOO_LARGE',
      ] as const),
      ...([
        'FOREIGN_ORIGIN',
        'BROADCAST_BUSY',
        'BROADCAST_TAKEN_OVER',
        'STREAM_CUT_OFF',
        'TOO_MANY',
      ] as const),
      ...(['SHUTTING_DOWN', 'LOG_UNREACHABLE'] as const),
    ),
  },
} as const

const clip = (type: string): object => {
  const operation = {
    summary: 'A part of the recording as one file, with its index and duration in front.',
    parameters: [
      ...[
        id,
        from,
        to,
        query('exact', '1: begins there, and not with the keyframe before (MP4).', { enum: ['1'] }),
      ],
      query('topic', 'Of the broadcast that offsets are of.'),
      { name: 'range', in: 'header', description: 'One range of bytes.', schema: text },
    ],
    responses: {
      200: ok('The file.', content(type)),
      206: ok('A range of it.', content(type)),
      307: ok('A range was asked for of what is named by time: the address of the same file by offsets.'),
      ...refusals(
        'BAD_POSITION',
        'BROADCAST_NOT_FOUND',
        'BROADCAST_DELETED',
        'UNSUITABLE_FORMAT',
        'OFFSET_OUT_OF_RANGE',
        'TOO_MANY',
      ),
    },
  }
  return { get: operation }
}

const hlsCodes = [
  'BROADCAST_NOT_FOUND',
  'BROADCAST_DELETED',
  'BAD_POSITION',
  'UNSUITABLE_FORMAT',
  'TOO_MANY',
] as const

export const openApi = (version: string): object => ({
  openapi: '3.1.0',
  info: {
    title: 'Framelog',
    version,
    description:
      'Live video on Kafka. Publishers and viewers use WebSockets beside this: /api/v1/broadcasts/ID/publish, /watch and /data (docs/wire-protocol.md).',
    license: { name: 'MIT', identifier: 'MIT' },
  },
  paths: {
    '/ping': get(
      'Whether anybody is there.',
      ok('pong', json({ type: 'object', properties: { message: text } })),
    ),
    '/version': get('What runs.', ok('Version and time of the build.', json({ type: 'object' }))),
    '/healthz': get('Whether the process is well.', ok('It is.', json({ type: 'object' }))),
    '/readyz': get(
      'Whether the log answers.',
      ok('It does.', json({ type: 'object' })),
      [],
      ['LOG_UNREACHABLE', 'SHUTTING_DOWN'],
    ),
    '/metrics': get('For Prometheus: docs/metrics.md.', ok('Metrics.', content('text/plain', text))),
    '/openapi.json': get('This.', ok('OpenAPI 3.1.', json({ type: 'object' }))),
    '/api/v1/broadcasts': get(
      'What is on air, and what was.',
      ok(
        'All broadcasts.',
        json({ type: 'object', properties: { broadcasts: { type: 'array', items: ref('Broadcast') } } }),
      ),
    ),
    '/api/v1/broadcasts/{id}': {
      ...get(
        'One broadcast.',
        ok('It.', json(ref('Broadcast'))),
        [id],
        ['BAD_BROADCAST_ID', 'BROADCAST_NOT_FOUND'],
      ),
      delete: {
        summary: 'Removes a broadcast and its recording.',
        parameters: [id],
        responses: { 204: ok('It is gone.'), ...refusals('BAD_BROADCAST_ID', 'BROADCAST_NOT_FOUND') },
      },
    },
    '/api/v1/broadcasts/{id}/thumbnail': get(
      'The newest image of it.',
      ok('JPEG, WebP or PNG.', content('image/*')),
      [id, query('placeholder', '1: an empty picture where there is none.', { enum: ['1'] })],
      ['BAD_BROADCAST_ID', 'NOT_FOUND', 'TOO_MANY'],
    ),
    '/api/v1/broadcasts/{id}/ingest': { post: ingest, put: ingest },
    '/api/v1/broadcasts/{id}/clip.mp4': clip('video/mp4'),
    '/api/v1/broadcasts/{id}/clip.webm': clip('video/webm'),
    '/api/v1/broadcasts/{id}/hls/master.m3u8': get(
      'HLS: what is on.',
      playlist('The master playlist.'),
      [id],
      hlsCodes,
    ),
    '/api/v1/broadcasts/{id}/hls/live.m3u8': get(
      'HLS: the newest segments, and their parts as they come.',
      playlist('The media playlist.'),
      [
        id,
        query('_HLS_msn', 'Waits until this segment is there.', { type: 'integer' }),
        query('_HLS_part', 'Waits until this part of it is there.', { type: 'integer' }),
      ],
      [...hlsCodes, 'LOG_OVERLOADED'],
    ),
    '/api/v1/broadcasts/{id}/hls/recording.m3u8': get(
      'HLS: what is kept.',
      playlist('The media playlist.'),
      [id, from, to],
      hlsCodes,
    ),
    '/api/v1/broadcasts/{id}/hls/{topic}/{name}': get(
      'HLS: the frames between two offsets, or how they are decoded. The same bytes for ever.',
      ok('Fragmented MP4.', content('video/mp4')),
      [id, inPath('topic', 'Of the broadcast.'), inPath('name', 'As playlists name it.')],
      [...hlsCodes, 'NOT_FOUND'],
    ),
  },
  components: {
    schemas: {
      Problem: {
        type: 'object',
        required: ['error'],
        properties: {
          error: {
            type: 'object',
            required: ['code', 'message', 'advice', 'retryable'],
            properties: {
              code: { type: 'string', enum: Object.keys(errorKinds) },
              message: text,
              advice: text,
              retryable: { type: 'boolean' },
            },
          },
        },
      },
      Broadcast: {
        type: 'object',
        required: ['id', 'state', 'startedAt', 'updatedAt', 'viewers'],
        properties: {
          id: text,
          state: { type: 'string', enum: ['waiting', 'live', 'interrupted', 'ended'] },
          startedAt: { type: 'number', description: 'Milliseconds since the Unix epoch.' },
          updatedAt: { type: 'number', description: 'Milliseconds since the Unix epoch.' },
          viewers: { type: 'integer', description: 'On all gateways.' },
          title: text,
        },
      },
      Ingested: {
        type: 'object',
        required: ['broadcast', 'frames', 'bytes', 'dropped'],
        properties: {
          broadcast: text,
          frames: { type: 'integer' },
          bytes: { type: 'integer' },
          dropped: { type: 'integer', description: 'Frames that were given up.' },
        },
      },
    },
  },
})
