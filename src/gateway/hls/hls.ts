/**
 * HLS and its low-latency form (RFC 8216bis), in fragmented MP4, as hls.js, Safari and ffplay play it:
 *   /api/v1/broadcasts/ID/hls/master.m3u8       for players: what is on
 *   …/hls/live.m3u8                              its newest segments, and their parts as they come
 *   …/hls/recording.m3u8?from=&to=               what is kept, in few segments however long it is
 *   …/hls/TOPIC/FIRST-END.m4s, init-FIRST.mp4    frames between two offsets, and how they are decoded: the same bytes for ever
 */
import type { FastifyInstance, FastifyReply } from 'fastify'
import { mp4Clip } from '../../container/clip/mp4.ts'
import { movieHeaderOf } from '../../container/mp4/movie-header.ts'
import type { Clock } from '../../core/clock.ts'
import { FramelogError } from '../../errors.ts'
import { formatCodec, parseCodec } from '../../media/codec.ts'
import type { RecordedFrame, Recording } from '../../relay/recording.ts'
import type { Relay } from '../../relay/relay.ts'
import { type Segment, segmentLimits } from '../../relay/segments.ts'
import { type BroadcastId, broadcastId, type Millis, type Offset } from '../../units.ts'
import { clipFrameOf, tracksOf } from '../clip-source.ts'
import { LiveSegments } from './live-segments.ts'
import { livePlaylist, masterPlaylist, type Named, recordedPlaylist } from './playlist.ts'

export const hlsLimits = {
  /** Broadcasts whose segments are followed at a time. */
  broadcasts: 1000,
  /** Bytes of segments that are kept for whoever asks next. */
  kept: 64 * 1024 * 1024,
  /** Segments of a recording's playlist at most: where it is long, they are. */
  recorded: 500,
  /** Bytes of one run of frames. */
  run: 128 * 1024 * 1024,
  /** Runs that are made at a time. */
  making: 16,
} as const

/** What is added to media times, microseconds: they may begin below 0, and a fragment's may not. */
const ahead = 10_000_000

const format = {
  ...mp4Clip,
  mimeType: 'HLS',
  // No engine plays it in MP4.
  holds: ({ codec }: { codec: string }) => !['vp8', 'unknown'].includes(parseCodec(codec).family),
}

interface Params {
  readonly id: string
  readonly topic: string
  readonly name: string
}

export class Hls {
  readonly #relay: Relay
  readonly #clock: Clock
  readonly #live = new Map<BroadcastId, LiveSegments>()
  /** The one that was asked for last is the last. */
  readonly #kept = new Map<string, { readonly bytes: Promise<Uint8Array>; size: number }>()
  #keptBytes = 0
  #making = 0

  constructor(relay: Relay, clock: Clock) {
    this.#relay = relay
    this.#clock = clock
  }

  /** Takes the routes. */
  register(app: FastifyInstance): void {
    const base = '/api/v1/broadcasts/:id/hls'
    app.get<{ Params: Params }>(`${base}/master.m3u8`, async ({ params }, reply) =>
      playlist(reply, await this.#master(broadcastId(params.id))),
    )
    app.get<{ Params: Params; Querystring: Record<string, string> }>(
      `${base}/live.m3u8`,
      async ({ params, query }, reply) =>
        playlist(reply, await this.#livePlaylist(broadcastId(params.id), query)),
    )
    app.get<{ Params: Params; Querystring: { from?: string; to?: string } }>(
      `${base}/recording.m3u8`,
      async ({ params, query }, reply) =>
        playlist(reply, await this.#recorded(broadcastId(params.id), query.from ?? 'start', query.to)),
    )
    app.get<{ Params: Params }>(`${base}/:topic/:name`, async ({ params }, reply) =>
      this.#media(params, reply),
    )
  }

  close(): void {
    for (const live of this.#live.values()) live.close()
    this.#live.clear()
  }

  async #segmentsOf(id: BroadcastId): Promise<LiveSegments> {
    const recording = await this.#relay.recording(id)
    const known = this.#live.get(id)
    if (known?.recording.id === recording.id) return known
    known?.close()
    if (this.#live.size >= hlsLimits.broadcasts)
      throw new FramelogError(
        'TOO_MANY',
        `${hlsLimits.broadcasts} broadcasts are followed for HLS, which is the limit`,
      )
    const live: LiveSegments = new LiveSegments(recording, this.#clock, () => {
      if (this.#live.get(id) === live) this.#live.delete(id)
    })
    this.#live.set(id, live)
    return live
  }

  async #master(id: BroadcastId): Promise<string> {
    const live = await this.#segmentsOf(id)
    await live.begun()
    const { segments } = await live.segments()
    const newest = segments.at(-1)
    if (newest === undefined) throw new FramelogError('BROADCAST_NOT_LIVE', `Nothing of ${id} is on`)
    const tracks = tracksOf(await keyframeOf(live.recording, newest.first), format)
    const codecs = tracks.map(({ track }) => formatCodec(parseCodec(track.codec)))
    const [main] = tracks
    const size = main?.track.kind === 'video' ? `${main.track.width}x${main.track.height}` : undefined
    const rates = segments
      .filter(({ duration }) => duration > 0)
      .map(({ bytes, duration }) => (bytes * 8e6) / duration)
    return masterPlaylist({ codecs, size, bitrate: Math.max(128_000, ...rates) }, 'live.m3u8')
  }

  async #livePlaylist(id: BroadcastId, query: Record<string, string>): Promise<string> {
    const live = await this.#segmentsOf(id)
    const { _HLS_msn: msn, _HLS_part: part } = query
    await live.begun()
    if (msn !== undefined)
      await live.until(wholeNumber(msn), part === undefined ? undefined : wholeNumber(part))
    const { segments, isOver } = await live.segments()
    return livePlaylist(segments, isOver, namedIn(live.recording))
  }

  async #recorded(id: BroadcastId, from: string, to: string | undefined): Promise<string> {
    const recording = await this.#relay.recording(id)
    const excerpt = await recording.excerpt(from, to, this.#clock.now())
    const first = await recording.keyframeFrom(excerpt.from.wanted ?? excerpt.from.from, excerpt.to)
    const last = await recording.timeBefore(excerpt.to)
    if (first === undefined || last === undefined)
      throw new FramelogError('BAD_POSITION', 'No keyframe is kept between these positions')
    const slot = Math.max(segmentLimits.slot, Math.ceil((last - first.time) / hlsLimits.recorded))
    const keyframes = [first]
    for (let number = Math.floor(first.time / slot) + 1; number * slot <= last; number++) {
      const at = await recording.offsetAt((number * slot) as Millis)
      const before = keyframes.at(-1) as RecordedFrame
      if (at <= before.offset) continue
      const keyframe = await recording.keyframeFrom(at, excerpt.to)
      if (keyframe !== undefined && keyframe.offset > before.offset) keyframes.push(keyframe)
    }
    const segments = keyframes.map((keyframe, i) =>
      recordedSegment(keyframe, keyframes[i + 1], { end: excerpt.to, last }),
    )
    return recordedPlaylist(segments, namedIn(recording))
  }

  async #media({ id, topic, name }: Params, reply: FastifyReply): Promise<FastifyReply> {
    const recording = await this.#relay.recording(broadcastId(id))
    if (topic !== recording.id)
      throw new FramelogError('BROADCAST_DELETED', `The broadcast ${id} is another one now`)
    const init = /^init-(\d{1,15})\.mp4$/.exec(name)
    const run = /^(\d{1,15})-(\d{1,15})\.m4s$/.exec(name)
    if (init === null && run === null) throw new FramelogError('NOT_FOUND', 'There is no such segment')
    const bytes = await this.#keep(`${topic}/${name}`, () =>
      init === null
        ? framesBetween(recording, Number(run?.[1]) as Offset, Number(run?.[2]) as Offset)
        : initOf(recording, Number(init[1]) as Offset),
    )
    reply.headers({
      'cache-control': 'public, max-age=31536000, immutable',
      'access-control-allow-origin': '*',
      'x-content-type-options': 'nosniff',
    })
    return reply.type('video/mp4').send(bytes)
  }

  /** What many ask for is made once. */
  #keep(key: string, make: () => Promise<Uint8Array>): Promise<Uint8Array> {
    const known = this.#kept.get(key)
    if (known !== undefined) {
      this.#kept.delete(key)
      this.#kept.set(key, known)
      return known.bytes
    }
    if (this.#making >= hlsLimits.making)
      return Promise.reject(new FramelogError('TOO_MANY', `${this.#making} segments are being made`))
    this.#making += 1
    const bytes = make().finally(() => {
      this.#making -= 1
    })
    const made = { bytes, size: 0 }
    this.#kept.set(key, made)
    made.bytes.then(
      ({ byteLength }) => {
        made.size = byteLength
        this.#keptBytes += byteLength
        for (const [oldest, { size }] of this.#kept) {
          if (this.#keptBytes <= hlsLimits.kept) break
          this.#kept.delete(oldest)
          this.#keptBytes -= size
        }
      },
      () => this.#kept.delete(key),
    )
    return made.bytes
  }
}

function playlist(reply: FastifyReply, text: string): FastifyReply {
  return reply
    .headers({ 'cache-control': 'no-cache', 'access-control-allow-origin': '*' })
    .type('application/vnd.apple.mpegurl')
    .send(text)
}

function wholeNumber(text: string): number {
  if (/^\d{1,15}$/.test(text)) return Number(text)
  throw new FramelogError('BAD_POSITION', '_HLS_msn and _HLS_part are whole numbers')
}

function namedIn(recording: Recording): Named {
  const base = encodeURIComponent(recording.id)
  return {
    range: (first, end) => `${base}/${first}-${end}.m4s`,
    init: ({ first }) => `${base}/init-${first}.mp4`,
    initKey: ({ catalog }) => JSON.stringify(catalog.tracks),
  }
}

function recordedSegment(
  keyframe: RecordedFrame,
  next: RecordedFrame | undefined,
  { end, last }: { readonly end: Offset; readonly last: Millis },
): Segment {
  const { offset, time, session, catalog, frame } = keyframe
  const isSame = next?.session === session
  const begin = frame.decodeTimestamp ?? frame.timestamp
  const behind = isSame ? (next.frame.decodeTimestamp ?? next.frame.timestamp) : undefined
  const duration = behind === undefined ? Math.max(0, (next?.time ?? last) - time) * 1000 : behind - begin
  return {
    ...{ slot: 0, first: offset, time, session, catalog, parts: [], bytes: 0 },
    ...{ end: next?.offset ?? end, duration },
  }
}

async function keyframeOf(recording: Recording, first: Offset): Promise<RecordedFrame> {
  const { from } = await recording.excerpt(`@${first}`, undefined, 0 as Millis)
  for await (const found of recording.frames({ from, to: (first + 1) as Offset })) {
    const keyframe = found.find(({ opensGop }) => opensGop)
    if (keyframe !== undefined) return keyframe
  }
  throw new FramelogError('NOT_FOUND', `No GOP begins at offset ${first}`)
}

async function initOf(recording: Recording, first: Offset): Promise<Uint8Array> {
  return movieHeaderOf(tracksOf(await keyframeOf(recording, first), format))
}

/** The frames from an offset on and before another, in one fragment. */
async function framesBetween(recording: Recording, first: Offset, end: Offset): Promise<Uint8Array> {
  if (end <= first) throw new FramelogError('NOT_FOUND', 'There is no such segment')
  const { from } = await recording.excerpt(`@${first}`, `@${end}`, 0 as Millis)
  let tracks: ReturnType<typeof tracksOf> | undefined
  const frames: ReturnType<typeof clipFrameOf>[] = []
  let bytes = 0
  for await (const found of recording.frames({ from, to: end })) {
    for (const one of found) {
      if (one.opensGop) tracks ??= tracksOf(one, format)
      const track = tracks?.findIndex(({ track }) => track.name === one.frame.track) ?? -1
      const known = tracks?.[track]
      if (known === undefined || one.offset < first) continue
      const frame = clipFrameOf(one, track, known, { shift: ahead, delay: 0 })
      if (frame.decodeTimestamp < 0) continue
      frames.push(frame)
      bytes += frame.data.byteLength
      if (bytes > hlsLimits.run) throw new FramelogError('FRAME_TOO_LARGE', 'The segment is too large')
    }
  }
  return format.part(frames, first % 2 ** 31, 0)
}
