/** The Tracks element (RFC 9559 section 5.1.4): what each track's blocks are, and how to read them. */
import { FramelogError } from '../../errors.ts'
import { quote } from '../../units.ts'
import type { ContainerTrack } from '../announcer.ts'
import { demuxLimits } from '../demuxer.ts'
import { children, ids, readFloat, readText, readUnsigned } from './ebml.ts'

export interface WebmTrack {
  readonly number: number
  readonly track: ContainerTrack
  /** Nanoseconds that each block's time is ahead of what it presents (section 5.1.4.1.25). */
  readonly codecDelay: number
  /** Nanoseconds of each frame, 0 where not stated. */
  readonly defaultDuration: number
  /** What was cut off the front of every frame (section 5.1.4.1.31.7, algorithm 3). */
  readonly stripped: Uint8Array | undefined
}

const codecs: Readonly<Record<string, 'vp8' | 'vp9' | 'av1' | 'h264' | 'opus' | 'aac'>> = {
  V_VP8: 'vp8',
  V_VP9: 'vp9',
  V_AV1: 'av1',
  'V_MPEG4/ISO/AVC': 'h264',
  A_OPUS: 'opus',
  A_AAC: 'aac',
}
const trackTypes = { video: 1, audio: 2 } as const

const bad = (message: string): never => {
  throw new FramelogError('BAD_CONTAINER', message)
}

/** Tracks that are neither picture nor sound are left out. @throws FramelogError BAD_CONTAINER, UNSUPPORTED_CODEC */
export function parseTracks(data: Uint8Array): WebmTrack[] {
  const entries = children(data) ?? bad('The Tracks element is damaged')
  return entries.flatMap(({ id, data: entry }) => {
    const track = id === ids.trackEntry ? parseEntry(entry) : undefined
    return track === undefined ? [] : [track]
  })
}

function parseEntry(data: Uint8Array): WebmTrack | undefined {
  const fields = fieldsOf(data)
  const number = unsigned(fields, ids.trackNumber) ?? bad('A track has no number')
  const type = unsigned(fields, ids.trackType)
  if (type !== trackTypes.video && type !== trackTypes.audio) return undefined
  const codecId = readText(fields.get(ids.codecId) ?? new Uint8Array())
  const family = codecs[codecId]
  if (family === undefined)
    throw new FramelogError(
      'UNSUPPORTED_CODEC',
      `Track ${number} is ${quote(codecId)}, which cannot be carried`,
    )
  const privateData = fields.get(ids.codecPrivate)
  if ((privateData?.byteLength ?? 0) > demuxLimits.description)
    bad(`Track ${number} has too large a configuration`)
  const description =
    privateData === undefined || privateData.byteLength === 0 || family === 'vp8' || family === 'vp9'
      ? {}
      : { description: privateData.slice() }
  const isSound = family === 'opus' || family === 'aac'
  if (isSound !== (type === trackTypes.audio))
    bad(`Track ${number} is ${quote(codecId)}, and of another type`)
  return {
    number,
    track: isSound
      ? { kind: 'audio', family, ...soundOf(fields.get(ids.audio)), ...description }
      : { kind: 'video', family, ...sizeOf(fields.get(ids.video)), ...description, isPresentationOnly: true },
    codecDelay: unsigned(fields, ids.codecDelay) ?? 0,
    defaultDuration: unsigned(fields, ids.defaultDuration) ?? 0,
    stripped: strippedOf(fields.get(ids.contentEncodings), number),
  }
}

function soundOf(data: Uint8Array | undefined): { sampleRate: number; channels: number } {
  const fields = data === undefined ? new Map<number, Uint8Array>() : fieldsOf(data)
  const rate = fields.get(ids.samplingFrequency)
  return {
    sampleRate: (rate && readFloat(rate)) || 8000,
    channels: unsigned(fields, ids.channels) ?? 1,
  }
}

function sizeOf(data: Uint8Array | undefined): { width: number; height: number } {
  const fields = data === undefined ? new Map<number, Uint8Array>() : fieldsOf(data)
  return { width: unsigned(fields, ids.pixelWidth) ?? 0, height: unsigned(fields, ids.pixelHeight) ?? 0 }
}

/** Of all encodings only the one that cuts off a common front can be undone here. */
function strippedOf(data: Uint8Array | undefined, number: number): Uint8Array | undefined {
  if (data === undefined) return undefined
  const encodings = (children(data) ?? bad('The ContentEncodings are damaged')).filter(
    ({ id }) => id === ids.contentEncoding,
  )
  const [encoding] = encodings
  if (encoding === undefined) return undefined
  const fields = fieldsOf(encoding.data)
  const compression = fields.get(ids.contentCompression)
  const how = compression && fieldsOf(compression)
  const isStripping = how !== undefined && unsigned(how, ids.contentCompAlgo) === 3
  const scope = unsigned(fields, ids.contentEncodingScope) ?? 1
  if (
    encodings.length > 1 ||
    (unsigned(fields, ids.contentEncodingType) ?? 0) !== 0 ||
    !isStripping ||
    scope !== 1
  )
    throw new FramelogError(
      'UNSUPPORTED_CODEC',
      `Track ${number} is compressed or encrypted by its container`,
    )
  const stripped = how.get(ids.contentCompSettings)
  if ((stripped?.byteLength ?? 0) > demuxLimits.stripped)
    bad(`Track ${number} has over ${demuxLimits.stripped} bytes in common to all its frames`)
  return stripped?.slice()
}

/** The last of each element counts. */
function fieldsOf(data: Uint8Array): Map<number, Uint8Array> {
  const found = children(data) ?? bad('A track is damaged')
  return new Map(found.map(({ id, data }) => [id, data]))
}

function unsigned(fields: ReadonlyMap<number, Uint8Array>, id: number): number | undefined {
  const data = fields.get(id)
  return data && readUnsigned(data)
}
