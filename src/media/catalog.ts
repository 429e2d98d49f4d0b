/**
 * Catalog: names the tracks of a broadcast with what a decoder needs to be configured.
 * It travels and is stored as JSON. Fields that this version does not know are kept as they came, and so are
 * tracks of a kind that it does not know, so that a newer publisher's catalog passes through an older gateway.
 */
import * as v from 'valibot'
import { decodeText, encodeText } from '../core/text.ts'
import { FramelogError } from '../errors.ts'
import { isTrackName, type TrackName } from '../units.ts'

export const catalogLimits = { bytes: 64 * 1024, tracks: 16, title: 120 } as const

const name = v.custom<TrackName>(isTrackName, 'expected 1 to 32 of a-z, 0-9 and "-"')
const codec = v.pipe(v.string(), v.regex(/^[\w.-]{1,64}$/, 'expected a codec string'))
const positive = v.pipe(v.number(), v.finite(), v.gtValue(0))
const size = v.pipe(v.number(), v.integer(), v.minValue(1), v.maxValue(16384))
/** Bytes of the decoder's configuration, base64 (RFC 4648 section 4). */
const description = v.pipe(
  v.string(),
  v.maxLength(16384),
  v.regex(/^[A-Za-z0-9+/]*={0,2}$/, 'expected base64'),
)

const videoTrack = v.looseObject({
  name,
  kind: v.literal('video'),
  codec,
  /** Of the coded picture, in pixels. */
  width: size,
  height: size,
  /** Frames per second that the publisher aims at. */
  frameRate: v.optional(positive),
  /** Bits per second that the publisher aims at. */
  bitrate: v.optional(positive),
  /** H.264 only: `avc` (lengths, with a description) or `annexb` (start codes, without). */
  format: v.optional(v.picklist(['avc', 'annexb'])),
  description: v.optional(description),
  /**
   * Tracks that share a number show the same picture in several sizes, for a viewer to take one of (`altGroup` of MSF,
   * draft-ietf-moq-msf). They have their keyframes at the same timestamps, and the main track's comes first.
   */
  altGroup: v.optional(v.pipe(v.number(), v.integer(), v.minValue(0))),
})

const audioTrack = v.looseObject({
  name,
  kind: v.literal('audio'),
  codec,
  /** Samples per second. */
  sampleRate: v.pipe(v.number(), v.integer(), v.minValue(8000), v.maxValue(192000)),
  channels: v.pipe(v.number(), v.integer(), v.minValue(1), v.maxValue(8)),
  bitrate: v.optional(positive),
  description: v.optional(description),
})

const dataTrack = v.looseObject({
  name,
  kind: v.literal('data'),
  /** Media type of each frame's bytes. */
  type: v.optional(v.pipe(v.string(), v.maxLength(128))),
})

const unknownTrack = v.looseObject({
  name,
  kind: v.pipe(v.string(), v.regex(/^[a-z][a-z0-9-]{0,31}$/), v.notValues(['video', 'audio', 'data'])),
})

const catalogSchema = v.looseObject({
  version: v.literal(1),
  /** What the broadcast is called, for people. */
  title: v.optional(v.pipe(v.string(), v.maxLength(catalogLimits.title))),
  tracks: v.pipe(
    v.array(v.union([videoTrack, audioTrack, dataTrack, unknownTrack])),
    v.minLength(1),
    v.maxLength(catalogLimits.tracks),
    v.check(
      tracks => new Set(tracks.map(track => track.name)).size === tracks.length,
      'two tracks share a name',
    ),
  ),
})

export type VideoTrack = v.InferOutput<typeof videoTrack>
export type AudioTrack = v.InferOutput<typeof audioTrack>
export type DataTrack = v.InferOutput<typeof dataTrack>
export type UnknownTrack = v.InferOutput<typeof unknownTrack>
export type Track = VideoTrack | AudioTrack | DataTrack | UnknownTrack
export interface Catalog {
  readonly version: 1
  readonly title?: string | undefined
  readonly tracks: readonly Track[]
}

/** @throws FramelogError BAD_CATALOG, naming the field */
export const checkCatalog = (value: unknown): Catalog => check(catalogSchema, value)

/** @throws FramelogError BAD_CATALOG, naming the field */
export const checkVideoTracks = (value: unknown): readonly VideoTrack[] =>
  check(v.pipe(v.array(videoTrack), v.maxLength(catalogLimits.tracks)), value)

function check<Schema extends v.GenericSchema>(schema: Schema, value: unknown): v.InferOutput<Schema> {
  const result = v.safeParse(schema, value)
  if (result.success) return result.output
  const issue = result.issues[0]
  const nested = v.isValiError(issue) ? '' : deepest(issue)
  throw new FramelogError('BAD_CATALOG', `The catalog is not valid: ${nested}`)
}

/** @param bytes borrowed; UTF-8 JSON of at most 64 KiB. @throws FramelogError BAD_CATALOG */
export function parseCatalog(bytes: Uint8Array): Catalog {
  if (bytes.byteLength > catalogLimits.bytes) {
    throw new FramelogError(
      'BAD_CATALOG',
      `The catalog has ${bytes.byteLength} bytes; the limit is ${catalogLimits.bytes}`,
    )
  }
  let value: unknown
  try {
    value = JSON.parse(decodeText(bytes))
  } catch (cause) {
    throw new FramelogError('BAD_CATALOG', 'The catalog is not JSON', { cause })
  }
  return checkCatalog(value)
}

export const encodeCatalog = (catalog: Catalog): Uint8Array => encodeText(JSON.stringify(catalog))

export const isVideo = (track: Track): track is VideoTrack => track.kind === 'video'
export const isAudio = (track: Track): track is AudioTrack => track.kind === 'audio'

/** The track whose keyframes begin a GOP of the broadcast: the first video track, else the first audio track. */
export const mainTrack = (catalog: Catalog): Track | undefined =>
  catalog.tracks.find(isVideo) ?? catalog.tracks.find(isAudio)

/** The main picture and those that may take its place, in the catalog's order; none where there is nothing to choose. */
export function renditionsOf({ tracks }: Catalog): readonly VideoTrack[] {
  const pictures = tracks.filter(isVideo)
  const [main] = pictures
  const renditions = pictures.filter(({ altGroup }) => altGroup !== undefined && altGroup === main?.altGroup)
  return renditions.length > 1 ? renditions : []
}

/** The catalog of somebody who takes one rendition: the others are not in it. */
export const withRendition = (catalog: Catalog, name: TrackName): Catalog => {
  const others = new Set(renditionsOf(catalog).map(track => track.name))
  others.delete(name)
  return { ...catalog, tracks: catalog.tracks.filter(track => !others.has(track.name)) }
}

/** A union's own message says little: its first nested issue for the right kind says where and what. */
function deepest(issue: v.BaseIssue<unknown>): string {
  const path = v.getDotPath(issue)
  const inner = issue.issues?.find(nested => nested.path?.some(item => item.key !== 'kind')) ?? undefined
  if (inner)
    return deepest({ ...inner, path: [...(issue.path ?? []), ...(inner.path ?? [])] } as v.BaseIssue<unknown>)
  return path === null ? issue.message : `${path}: ${issue.message}`
}
