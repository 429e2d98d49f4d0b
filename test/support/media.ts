/** Real streams from ffmpeg as frames to publish, and what ffprobe says of a file. */
import assert from 'node:assert/strict'
import { execFile } from 'node:child_process'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { ALL_FORMATS, EncodedPacketSink, FilePathSource, Input } from 'mediabunny'
import type { Catalog } from '../../src/media/catalog.ts'
import type { Frame } from '../../src/media/frame.ts'
import { micros, trackName } from '../../src/units.ts'

const run = promisify(execFile)

export interface Media {
  readonly catalog: Catalog
  /** In the order of their decoding, as a publisher sends them. */
  readonly frames: readonly Frame[]
}

export interface MediaOptions {
  /** Of ffmpeg, for the picture; without it there is none. */
  readonly video?: readonly string[]
  /** The same for the sound. */
  readonly audio?: readonly string[]
  readonly seconds?: number
  readonly size?: string
  /** Extension of the file that ffmpeg writes. */
  readonly through?: string
  /** H.264 as a byte stream with start codes. */
  readonly annexB?: boolean
}

export const encoders = {
  vp8: ['-c:v', 'libvpx', '-deadline', 'realtime', '-cpu-used', '8', '-b:v', '300k', '-g', '30'],
  vp9: ['-c:v', 'libvpx-vp9', '-deadline', 'realtime', '-cpu-used', '8', '-b:v', '300k', '-g', '30'],
  av1: ['-c:v', 'libsvtav1', '-preset', '12', '-g', '30', '-svtav1-params', 'log-level=0'],
  h264: ['-c:v', 'libx264', '-preset', 'ultrafast', '-pix_fmt', 'yuv420p', '-g', '30', '-bf', '0'],
  h264WithB: [
    '-c:v',
    'libx264',
    '-preset',
    'veryfast',
    '-pix_fmt',
    'yuv420p',
    '-g',
    '30',
    '-bf',
    '2',
    '-b_strategy',
    '0',
  ],
  opus: ['-c:a', 'libopus', '-b:a', '48k'],
  aac: ['-c:a', 'aac', '-b:a', '64k'],
} as const

let made = 0

/** @param folder where ffmpeg may write */
export async function makeMedia(folder: string, options: MediaOptions): Promise<Media> {
  const { video, audio, seconds = 2, size = '320x180', through = 'mkv', annexB = false } = options
  const path = join(folder, `made-${made++}.${through}`)
  const inputs = [
    ...(video ? ['-f', 'lavfi', '-i', `testsrc2=size=${size}:rate=30:duration=${seconds}`] : []),
    ...(audio ? ['-f', 'lavfi', '-i', `sine=frequency=440:sample_rate=48000:duration=${seconds}`] : []),
  ]
  await run('ffmpeg', ['-v', 'error', '-y', ...inputs, ...(video ?? []), ...(audio ?? []), '-ac', '1', path])
  using input = new Input({ source: new FilePathSource(path), formats: ALL_FORMATS })
  const tracks: Catalog['tracks'][number][] = []
  const frames: (Frame & { readonly decodeAt: number })[] = []
  const picture = await input.getPrimaryVideoTrack()
  if (picture !== null) {
    const name = trackName('video')
    const config = await picture.getDecoderConfig()
    if (config === null) throw new Error(`ffmpeg wrote a picture into ${path} that is not understood`)
    const isH264 = config.codec.startsWith('avc1')
    const description =
      config.description === undefined ? undefined : new Uint8Array(config.description as ArrayBuffer)
    tracks.push({
      name,
      kind: 'video',
      codec: config.codec,
      width: config.codedWidth ?? 0,
      height: config.codedHeight ?? 0,
      frameRate: 30,
      ...(isH264 ? { format: annexB ? 'annexb' : 'avc' } : {}),
      ...(isH264 && !annexB && description
        ? { description: Buffer.from(description).toString('base64') }
        : {}),
    })
    const decodeTimes: number[] = []
    for await (const packet of new EncodedPacketSink(picture).packets()) {
      decodeTimes.push(packet.timestamp)
      const data =
        annexB && description
          ? withStartCodes(packet.data, packet.type === 'key' ? description : undefined)
          : packet.data
      frames.push({
        track: name,
        timestamp: micros(packet.timestamp * 1e6),
        duration: micros(packet.duration * 1e6 || 33_333),
        keyframe: packet.type === 'key',
        data,
        decodeAt: 0,
      })
    }
    decodeTimes.sort((a, b) => a - b)
    frames.forEach((frame, i) => {
      const decodeAt = (decodeTimes[i] ?? 0) * 1e6
      const reordered = micros(decodeAt) !== frame.timestamp
      frames[i] = { ...frame, decodeAt, ...(reordered ? { decodeTimestamp: micros(decodeAt) } : {}) }
    })
  }
  const sound = await input.getPrimaryAudioTrack()
  if (sound !== null) {
    const name = trackName('audio')
    const config = await sound.getDecoderConfig()
    if (config === null) throw new Error(`ffmpeg wrote a sound into ${path} that is not understood`)
    const { codec, sampleRate, numberOfChannels: channels } = config
    const description =
      config.description && Buffer.from(config.description as ArrayBuffer).toString('base64')
    tracks.push({
      name,
      kind: 'audio',
      codec,
      sampleRate,
      channels,
      ...(codec === 'opus' || !description ? {} : { description }),
    })
    for await (const packet of new EncodedPacketSink(sound).packets()) {
      const timestamp = micros(packet.timestamp * 1e6)
      frames.push({ track: name, timestamp, keyframe: true, data: packet.data, decodeAt: timestamp })
    }
  }
  frames.sort((a, b) => a.decodeAt - b.decodeAt)
  return { catalog: { version: 1, tracks }, frames: frames.map(({ decodeAt, ...frame }) => frame) }
}

/** ISO/IEC 14496-15 lengths to Annex B start codes; a keyframe takes its parameter sets along. */
function withStartCodes(data: Uint8Array, avcC: Uint8Array | undefined): Uint8Array {
  const startCode = Uint8Array.of(0, 0, 0, 1)
  const units: Uint8Array[] = []
  if (avcC !== undefined) {
    const view = new DataView(avcC.buffer, avcC.byteOffset, avcC.byteLength)
    let at = 5
    for (let kind = 0; kind < 2; kind++) {
      const count = view.getUint8(at++) & (kind === 0 ? 31 : 255)
      for (let i = 0; i < count; i++) {
        const length = view.getUint16(at)
        units.push(avcC.subarray(at + 2, at + 2 + length))
        at += 2 + length
      }
    }
  }
  const view = new DataView(data.buffer, data.byteOffset, data.byteLength)
  for (let at = 0; at < data.byteLength; ) {
    const length = view.getUint32(at)
    units.push(data.subarray(at + 4, at + 4 + length))
    at += 4 + length
  }
  return Buffer.concat(units.flatMap(unit => [startCode, unit]))
}

export interface Packet {
  /** Seconds. */
  readonly pts: number
  readonly dts: number | undefined
  readonly keyframe: boolean
  readonly size: number
}

export interface Probe {
  readonly format: string
  /** Seconds, where the file says it. */
  readonly duration: number | undefined
  readonly video: readonly Packet[]
  readonly audio: readonly Packet[]
  readonly codecs: readonly string[]
}

interface ProbeAnswer {
  readonly format: { readonly format_name: string; readonly duration?: string }
  readonly streams: readonly {
    readonly index: number
    readonly codec_type: string
    readonly codec_name: string
  }[]
  readonly packets: readonly {
    readonly stream_index: number
    readonly pts_time: string
    readonly dts_time?: string
    readonly flags: string
    readonly size: string
  }[]
}

export async function probe(path: string): Promise<Probe> {
  const { stdout } = await run(
    'ffprobe',
    ['-v', 'error', '-show_format', '-show_streams', '-show_packets', '-of', 'json', path],
    { maxBuffer: 64 * 1024 * 1024 },
  )
  const { format, streams, packets } = JSON.parse(stdout) as ProbeAnswer
  const of = (kind: string): Packet[] => {
    const wanted = new Set(streams.filter(stream => stream.codec_type === kind).map(stream => stream.index))
    return packets
      .filter(packet => wanted.has(packet.stream_index))
      .map(({ pts_time, dts_time, flags, size }) => ({
        pts: Number(pts_time),
        dts: dts_time === undefined ? undefined : Number(dts_time),
        keyframe: flags.startsWith('K'),
        size: Number(size),
      }))
  }
  return {
    format: format.format_name,
    duration: format.duration === undefined ? undefined : Number(format.duration),
    video: of('video'),
    audio: of('audio'),
    codecs: streams.map(stream => stream.codec_name),
  }
}

/**
 * What ffmpeg complains of when it decodes a file from end to end: nothing, of a good one. Its pictures' times are counted in the
 * file's own units: in those of a frame rate that ffmpeg guesses, two pictures beside the seam of two sessions may get one number.
 */
export async function complaints(path: string): Promise<string> {
  const { stderr } = await run('ffmpeg', [
    '-v',
    'error',
    '-i',
    path,
    '-enc_time_base',
    '-1',
    '-f',
    'null',
    '-',
  ])
  return stderr
}

/** Times in seconds, to a millisecond, which is what Matroska and FLV count in; each side may round. */
export const near = (got: number, sent: number, message: string): void =>
  assert.ok(Math.abs(got - sent) < 0.0021, `${message}: ${got}, not ${sent}`)

/** As many frames, at the same times from the earliest on, with the same keyframes. */
export function sameTimes(kind: string, sent: readonly Packet[], got: readonly Packet[]): void {
  assert.equal(got.length, sent.length, `${kind} frames`)
  const [begin, began] = [Math.min(...sent.map(({ pts }) => pts)), Math.min(...got.map(({ pts }) => pts))]
  sent.forEach(({ pts, keyframe }, i) => {
    near((got[i]?.pts ?? 0) - began, pts - begin, `${kind} ${i}`)
    assert.equal(got[i]?.keyframe, keyframe, `${kind} ${i} as a keyframe`)
  })
}
