/** Elements of WebM as they are written (RFC 8794, RFC 9559). */
import { joinBytes } from '../../core/bytes.ts'
import type { AudioTrack, VideoTrack } from '../../media/catalog.ts'
import { parseCodec } from '../../media/codec.ts'
import type { DecoderConfig } from '../decoder-config.ts'
import { ids } from './ebml.ts'

/** RFC 7845: decoders that begin in the middle of Opus need 80 ms to settle. */
const opusPreRoll = 80_000_000

export const ebmlHeader = (): Uint8Array =>
  element(ids.ebml, [
    unsigned(ids.ebmlVersion, 1),
    unsigned(ids.ebmlReadVersion, 1),
    unsigned(ids.ebmlMaxIdLength, 4),
    unsigned(ids.ebmlMaxSizeLength, 8),
    text(ids.docType, 'webm'),
    unsigned(ids.docTypeVersion, 4),
    unsigned(ids.docTypeReadVersion, 2),
  ])

export function trackEntry(
  track: VideoTrack | AudioTrack,
  config: DecoderConfig,
  trackNumber: number,
): Uint8Array {
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

export type Part = Uint8Array | readonly number[]

export function element(id: number, parts: readonly Part[]): Uint8Array<ArrayBuffer> {
  const size = parts.reduce((sum, part) => sum + part.length, 0)
  return joinBytes([bytesOfId(id), vint(size), ...parts])
}

export const unsigned = (id: number, value: number): Uint8Array => element(id, [bigEndian(value)])
export const text = (id: number, value: string): Uint8Array =>
  element(id, [[...value].map(character => character.charCodeAt(0))])

export function float(value: number): Uint8Array {
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

export const bytesOfId = (id: number): number[] => bigEndian(id)

/** A size in as few bytes as hold it; all ones are left for the unknown. */
export function vint(value: number): number[] {
  let length = 1
  while (value >= 2 ** (7 * length) - 1) length += 1
  const bytes = bigEndian(value)
  while (bytes.length < length) bytes.unshift(0)
  bytes[0] = (bytes[0] ?? 0) | (1 << (8 - length))
  return bytes
}
