/**
 * WebM for Media Source Extensions (RFC 9559; the WebM byte stream format): a Segment of unknown size, one Cluster a
 * frame. Ticks are microseconds, so that no time is rounded; a block's time within its Cluster is then always 0.
 */
import type { AudioTrack, VideoTrack } from '../../media/catalog.ts'
import { parseCodec } from '../../media/codec.ts'
import { type DecoderConfig, decoderConfigOf, sameBytes } from '../decoder-config.ts'
import type { FragmentFrame, FragmentWriter } from '../fragments.ts'
import { ids } from './ebml.ts'

const trackNumber = 1
const nanosecondsOfTick = 1000
/** RFC 7845: decoders that begin in the middle of Opus need 80 ms to settle. */
const opusPreRoll = 80_000_000

export class WebmFragmentWriter implements FragmentWriter {
  readonly mimeType: string
  readonly #track: VideoTrack | AudioTrack
  #config: DecoderConfig
  #begun = false

  constructor(track: VideoTrack | AudioTrack) {
    this.#track = track
    this.mimeType = `${track.kind}/webm; codecs="${track.codec}"`
  }

  write(frame: FragmentFrame): Uint8Array<ArrayBuffer>[] {
    const written = [cluster(frame)]
    if (!frame.keyframe || (this.#begun && this.#track.kind === 'audio')) return written
    const config = decoderConfigOf(this.#track, frame.data)
    if (this.#begun && sameBytes(config, this.#config)) return written
    this.#begun = true
    this.#config = config
    return [header(this.#track, config), ...written]
  }
}

function cluster({ timestamp, duration, keyframe, data }: FragmentFrame): Uint8Array<ArrayBuffer> {
  // Track number as a vint, the time within the Cluster, no flags.
  const block = element(ids.block, [[0x80 | trackNumber, 0, 0, 0], data])
  // That there is a reference makes it no keyframe; how far away it is says nothing to a decoder.
  const reference = keyframe ? [] : [element(ids.referenceBlock, [[0xff]])]
  const group = element(ids.blockGroup, [block, unsigned(ids.blockDuration, duration), ...reference])
  return element(ids.cluster, [unsigned(ids.timestamp, timestamp), group])
}

function header(track: VideoTrack | AudioTrack, config: DecoderConfig): Uint8Array<ArrayBuffer> {
  const ebml = element(ids.ebml, [
    unsigned(ids.ebmlVersion, 1),
    unsigned(ids.ebmlReadVersion, 1),
    unsigned(ids.ebmlMaxIdLength, 4),
    unsigned(ids.ebmlMaxSizeLength, 8),
    text(ids.docType, 'webm'),
    unsigned(ids.docTypeVersion, 4),
    unsigned(ids.docTypeReadVersion, 2),
  ])
  const info = element(ids.info, [
    unsigned(ids.timestampScale, nanosecondsOfTick),
    text(ids.muxingApp, 'framelog'),
    text(ids.writingApp, 'framelog'),
  ])
  const tracks = element(ids.tracks, [entry(track, config)])
  return join([bytesOfId(ids.segment), [0x01, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff], info, tracks], ebml)
}

function entry(track: VideoTrack | AudioTrack, config: DecoderConfig): Uint8Array {
  const isOpus = parseCodec(track.codec).family === 'opus'
  const kind =
    track.kind === 'video'
      ? element(ids.video, [unsigned(ids.pixelWidth, track.width), unsigned(ids.pixelHeight, track.height)])
      : element(ids.audio, [
          element(ids.samplingFrequency, [float(track.sampleRate)]),
          unsigned(ids.channels, track.channels),
        ])
  return element(ids.trackEntry, [
    unsigned(ids.trackNumber, trackNumber),
    unsigned(ids.trackUid, trackNumber),
    unsigned(ids.trackType, track.kind === 'video' ? 1 : 2),
    unsigned(ids.flagLacing, 0),
    text(ids.codecId, codecIdOf(track.codec)),
    ...(config === undefined ? [] : [element(ids.codecPrivate, [config])]),
    ...(isOpus ? [unsigned(ids.codecDelay, 0), unsigned(ids.seekPreRoll, opusPreRoll)] : []),
    kind,
  ])
}

function codecIdOf(codec: string): string {
  const { family } = parseCodec(codec)
  const names = {
    vp8: 'V_VP8',
    vp9: 'V_VP9',
    av1: 'V_AV1',
    h264: 'V_MPEG4/ISO/AVC',
    opus: 'A_OPUS',
    aac: 'A_AAC',
    unknown: '',
  } as const
  return names[family]
}

type Part = Uint8Array | readonly number[]

function element(id: number, parts: readonly Part[]): Uint8Array<ArrayBuffer> {
  const size = parts.reduce((sum, part) => sum + part.length, 0)
  return join([bytesOfId(id), vint(size), ...parts])
}

const unsigned = (id: number, value: number): Uint8Array => element(id, [bigEndian(value)])
const text = (id: number, value: string): Uint8Array =>
  element(id, [[...value].map(character => character.charCodeAt(0))])

function float(value: number): Uint8Array {
  const bytes = new Uint8Array(8)
  new DataView(bytes.buffer).setFloat64(0, value)
  return bytes
}

/** In as few bytes as it takes, at least one. */
function bigEndian(value: number): number[] {
  const bytes: number[] = []
  for (let rest = value; rest > 0 || bytes.length === 0; rest = Math.floor(rest / 256))
    bytes.unshift(rest % 256)
  return bytes
}

const bytesOfId = (id: number): number[] => bigEndian(id)

/** A size in as few bytes as hold it; all ones are left for the unknown. */
function vint(value: number): number[] {
  let length = 1
  while (value >= 2 ** (7 * length) - 1) length += 1
  const bytes = bigEndian(value)
  while (bytes.length < length) bytes.unshift(0)
  bytes[0] = (bytes[0] ?? 0) | (1 << (8 - length))
  return bytes
}

function join(parts: readonly Part[], before: Part = []): Uint8Array<ArrayBuffer> {
  const joined = new Uint8Array(parts.reduce((sum, part) => sum + part.length, before.length))
  joined.set(before)
  let at = before.length
  for (const part of parts) {
    joined.set(part, at)
    at += part.length
  }
  return joined
}
