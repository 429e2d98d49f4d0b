/** A lane: one track of a catalog as a file holds it. */
import type { AudioCodec, VideoCodec } from 'mediabunny'
import { sameBytes } from '../../container/decoder-config.ts'
import { decodeBase64 } from '../../core/base64.ts'
import { FramelogError } from '../../errors.ts'
import { configOfAac, withoutAdts } from '../../media/aac.ts'
import {
  type AudioTrack,
  type Catalog,
  isAudio,
  isVideo,
  mainTrack,
  type VideoTrack,
  withRendition,
} from '../../media/catalog.ts'
import { type Codec, formatCodec, parseCodec } from '../../media/codec.ts'
import { formatOfAnnexB, toLengths } from '../../media/h264.ts'
import { channelsOfOpusHead, opusHead } from '../../media/opus.ts'
import type { TrackName } from '../../units.ts'
import { type Container, holds } from './container.ts'

interface LaneBase {
  readonly name: TrackName
  /** As WebCodecs takes it. */
  readonly codecString: string
  /** What two lanes must share for one to go on in the other's track. */
  readonly identity: string
  /** Of the decoder, where the codec has one. */
  readonly description: Uint8Array | undefined
  /** The keyframes carry the decoder's configuration: there is none before the first of them came. */
  readonly inBand: boolean
  /** @param data borrowed. @returns the same or owned bytes, as files hold them */
  readonly pack: (data: Uint8Array) => Uint8Array
}

export type Lane =
  | (LaneBase & { readonly kind: 'video'; readonly codec: VideoCodec; readonly track: VideoTrack })
  | (LaneBase & { readonly kind: 'audio'; readonly codec: AudioCodec; readonly track: AudioTrack })

/**
 * The picture and sound tracks of a catalog, in its order; of those that show the same, the main one. Tracks of other kinds have
 * no place in a file.
 * @throws FramelogError UNSUITABLE_FORMAT
 */
export function lanesOf(catalog: Catalog, container: Container): Lane[] {
  const main = mainTrack(catalog)
  const { tracks } = main === undefined ? catalog : withRendition(catalog, main.name)
  const lanes = tracks.flatMap((track): Lane[] => {
    if (isVideo(track)) return [videoLane(track, container)]
    return isAudio(track) ? [audioLane(track, container)] : []
  })
  if (lanes.length === 0)
    throw new FramelogError('UNSUITABLE_FORMAT', 'The broadcast has neither picture nor sound')
  return lanes
}

/** Whether the frames of one lane can go on in the track that was made for another. */
export function goesOn(lane: Lane, made: Lane): boolean {
  if (lane.kind !== made.kind || lane.identity !== made.identity) return false
  return lane.inBand || made.inBand || sameBytes(lane.description, made.description)
}

/** The configuration that a keyframe carries, where its lane has it in band. @param data borrowed */
export const carriedDescription = (data: Uint8Array): Uint8Array | undefined => formatOfAnnexB(data)?.avcC

function videoLane(track: VideoTrack, container: Container): Lane {
  const codec = parseCodec(track.codec)
  refuseUnheld(track, codec, container)
  const description = bytesOf(track.description)
  const inBand = codec.family === 'h264' && (track.format === 'annexb' || description === undefined)
  if (inBand && track.format === 'avc') throw undescribed(track)
  return {
    kind: 'video',
    name: track.name,
    track,
    codec: codec.family === 'h264' ? 'avc' : (codec.family as VideoCodec),
    codecString: formatCodec(codec),
    identity: identityOf(codec, inBand ? 'annexb' : 'avc'),
    // Of the others, files hold what the codec string says.
    description: codec.family === 'h264' && !inBand ? description : undefined,
    inBand,
    pack: inBand ? toLengths : asItIs,
  }
}

function audioLane(track: AudioTrack, container: Container): Lane {
  const codec = parseCodec(track.codec)
  refuseUnheld(track, codec, container)
  const { sampleRate, channels } = track
  const given = bytesOf(track.description)
  const isAdts = codec.family === 'aac' && given === undefined
  const description =
    codec.family === 'aac'
      ? (given ?? (codec.objectType === 2 ? configOfAac(sampleRate, channels) : undefined))
      : (opusHeadIn(given) ?? (channels <= 2 ? opusHead(channels) : undefined))
  if (description === undefined) throw undescribed(track)
  return {
    kind: 'audio',
    name: track.name,
    track,
    codec: codec.family as AudioCodec,
    codecString: formatCodec(codec),
    identity: [identityOf(codec, isAdts ? 'adts' : ''), sampleRate, channels].join(),
    description,
    inBand: false,
    pack: isAdts ? withoutAdts : asItIs,
  }
}

function refuseUnheld(track: VideoTrack | AudioTrack, codec: Codec, container: Container): void {
  const kind = codec.family === 'opus' || codec.family === 'aac' ? 'audio' : 'video'
  if (holds(container, codec.family) && kind === track.kind) return
  throw new FramelogError(
    'UNSUITABLE_FORMAT',
    `The track ${track.name} is ${track.codec}, which cannot be written into ${container}`,
  )
}

const undescribed = ({ name, codec }: VideoTrack | AudioTrack): FramelogError =>
  new FramelogError(
    'UNSUITABLE_FORMAT',
    `The catalog does not describe the track ${name} (${codec}) as a file must: its description is missing`,
  )

/** The level changes with the size and the rate, which a decoder takes as they come. */
function identityOf(codec: Codec, bitstream: string): string {
  switch (codec.family) {
    case 'vp9':
    case 'av1':
      return [codec.family, codec.profile, codec.bitDepth].join()
    case 'aac':
      return [codec.family, codec.objectType, bitstream].join()
    default:
      return [codec.family, bitstream].join()
  }
}

const opusHeadIn = (description: Uint8Array | undefined): Uint8Array | undefined =>
  description !== undefined && channelsOfOpusHead(description) !== undefined ? description : undefined

const asItIs = (data: Uint8Array): Uint8Array => data

const bytesOf = (base64: string | undefined): Uint8Array | undefined =>
  base64 === undefined || base64 === '' ? undefined : decodeBase64(base64)
