/** Containers for tests: the recorded ones, what comes out of them here, and what mediabunny reads in them. */
import { globSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { ALL_FORMATS, BufferSource, EncodedPacketSink, Input } from 'mediabunny'
import type { Demuxer, DemuxHandler } from '../../src/container/demuxer.ts'
import { allFormats } from '../../src/container/formats.ts'
import { AnyDemuxer } from '../../src/container/recognise.ts'
import type { AudioTrack, VideoTrack } from '../../src/media/catalog.ts'
import type { Frame } from '../../src/media/frame.ts'

const folder = join(import.meta.dirname, '..', 'fixtures', 'containers')

/** Names of the recorded containers: those that browsers record, and those that only programs send. */
export const fixtureNames: readonly string[] = globSync('*.{webm,mkv,mp4}', { cwd: folder }).sort()
export const streamNames: readonly string[] = globSync('*.{flv,mpegts}', { cwd: folder }).sort()

/** A copy, which may be pushed and changed. */
export const fixture = (name: string): Uint8Array => new Uint8Array(readFileSync(join(folder, name)))

/** Where it lies, for other programs. */
export const pathOfFixture = (name: string): string => join(folder, name)

export interface Demuxed {
  /** Each announcement of tracks, with the number of frames before it. */
  readonly announcements: { readonly before: number; readonly tracks: readonly (VideoTrack | AudioTrack)[] }[]
  readonly frames: Frame[]
  /** For each frame, the index of the push that brought it out; -1 for those that came with the end. */
  readonly pushes: number[]
}

/** @param pieces of a stream, in order; copied, since a demuxer owns what it is given */
export function demux(
  pieces: Iterable<Uint8Array>,
  make: (handler: DemuxHandler) => Demuxer = handler => new AnyDemuxer(handler, allFormats),
): Demuxed {
  const result: Demuxed = { announcements: [], frames: [], pushes: [] }
  let push = 0
  const demuxer = make({
    onTracks: tracks => result.announcements.push({ before: result.frames.length, tracks }),
    onFrame: frame => {
      result.frames.push(frame)
      result.pushes.push(push)
    },
  })
  for (const piece of pieces) {
    demuxer.push(piece.slice())
    push += 1
  }
  push = -1
  demuxer.end()
  return result
}

export const demuxWhole = (bytes: Uint8Array): Demuxed => demux([bytes])

/** @param cuts positions at which the bytes are cut, in any order */
export function cut(bytes: Uint8Array, cuts: readonly number[]): Uint8Array[] {
  const places = [...new Set([0, ...cuts, bytes.byteLength])].sort((a, b) => a - b)
  return places.slice(1).map((end, i) => bytes.subarray(places[i], end))
}

export function concat(...parts: readonly Uint8Array[]): Uint8Array {
  const whole = new Uint8Array(parts.reduce((sum, { byteLength }) => sum + byteLength, 0))
  let at = 0
  for (const part of parts) {
    whole.set(part, at)
    at += part.byteLength
  }
  return whole
}

export interface ReadTrack {
  readonly kind: 'video' | 'audio'
  readonly codec: string
  readonly description: Uint8Array | undefined
  /** Of a picture: its width and height; of sound: its rate and channels. */
  readonly format: readonly [number | undefined, number | undefined]
  readonly packets: {
    /** Microseconds, rounded. */
    readonly timestamp: number
    readonly duration: number
    readonly keyframe: boolean
    readonly data: Uint8Array
  }[]
}

/** What mediabunny reads, each track's packets in decode order. */
export async function readByMediabunny(bytes: Uint8Array): Promise<ReadTrack[]> {
  using input = new Input({ source: new BufferSource(bytes), formats: ALL_FORMATS })
  const tracks: ReadTrack[] = []
  for (const track of await input.getTracks()) {
    const packets: ReadTrack['packets'] = []
    for await (const { timestamp, duration, type, data } of new EncodedPacketSink(track).packets())
      packets.push({
        timestamp: Math.round(timestamp * 1_000_000),
        duration: Math.round(duration * 1_000_000),
        keyframe: type === 'key',
        data,
      })
    const config = await (track.isVideoTrack() || track.isAudioTrack() ? track.getDecoderConfig() : null)
    if (config === null) throw new Error(`mediabunny reads no track ${track.id}`)
    const given = config.description
    const description =
      given === undefined
        ? undefined
        : new Uint8Array(
            ArrayBuffer.isView(given) ? given.buffer : given,
            ArrayBuffer.isView(given) ? given.byteOffset : 0,
            given.byteLength,
          )
    const isSound = 'sampleRate' in config
    tracks.push({
      kind: isSound ? 'audio' : 'video',
      codec: config.codec,
      description,
      format: isSound
        ? [config.sampleRate, config.numberOfChannels]
        : [config.codedWidth, config.codedHeight],
      packets,
    })
  }
  return tracks
}
