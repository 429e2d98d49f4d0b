/**
 * Between a container's samples and the frames of a broadcast. A container does not say all that a decoder needs:
 * VP9 in MP4 names a wrong level, H.264 in Matroska no codec string at all. The first keyframe of a video track
 * does, so samples wait until every video track has shown one; and a later keyframe that says something else is a
 * change of the tracks.
 */

import { encodeBase64 } from '../core/base64.ts'
import { BoundedQueue } from '../core/queue.ts'
import { FramelogError } from '../errors.ts'
import { durationOfAac, formatOfAac } from '../media/aac.ts'
import { sequenceOfAv1, sequenceOfAv1C } from '../media/av1.ts'
import type { AudioTrack, VideoTrack } from '../media/catalog.ts'
import { DecodeTimes } from '../media/decode-times.ts'
import { formatOfAnnexB, formatOfAvcC, formatOfLengths, isAnnexB } from '../media/h264.ts'
import { channelsOfOpusHead, durationOfOpus } from '../media/opus.ts'
import { type PictureFormat, usualPictureDuration } from '../media/picture.ts'
import { formatOfVp8 } from '../media/vp8.ts'
import { formatOfVp9 } from '../media/vp9.ts'
import { type Micros, micros, trackName } from '../units.ts'
import { sameBytes } from './decoder-config.ts'
import { type DemuxHandler, demuxLimits } from './demuxer.ts'

interface ContainerVideo {
  readonly kind: 'video'
  readonly family: 'vp8' | 'vp9' | 'av1' | 'h264'
  /** Pixels, as the container says. */
  readonly width: number
  readonly height: number
  /** `avcC` or `av1C`, where the container has one. */
  readonly description?: Uint8Array
  /** The container states when frames are presented, and not when they are decoded. */
  readonly isPresentationOnly?: boolean
}

interface ContainerAudio {
  readonly kind: 'audio'
  readonly family: 'opus' | 'aac'
  readonly sampleRate: number
  readonly channels: number
  /** OpusHead, or AudioSpecificConfig. */
  readonly description?: Uint8Array
}

/** A track as its container describes it. */
export type ContainerTrack = ContainerVideo | ContainerAudio

/** A frame as its container describes it. */
export interface Sample {
  /** Index into the tracks. */
  readonly track: number
  readonly timestamp: Micros
  /** Where the container states it and it differs. */
  readonly decodeTimestamp?: Micros
  readonly duration?: Micros
  readonly keyframe: boolean
  /** Owned. */
  readonly data: Uint8Array
}

interface Lane {
  readonly from: ContainerTrack
  readonly name: ReturnType<typeof trackName>
  /** Undefined until a keyframe has told. */
  track: VideoTrack | AudioTrack | undefined
  /** Where they are not stated, and decoding has another order than presentation. */
  decodeTimes?: DecodeTimes | undefined
}

export class Announcer {
  readonly #handler: DemuxHandler
  #lanes: Lane[] = []
  #announced = false
  readonly #held = new BoundedQueue<Sample>(demuxLimits.held, ({ data }) => data.byteLength)

  constructor(handler: DemuxHandler) {
    this.#handler = handler
  }

  /**
   * The tracks of a stream, or of another stream behind it. One that is among them as it was before (the same object)
   * goes on: it waits for no keyframe.
   * @throws FramelogError BAD_CONTAINER
   */
  tracks(tracks: readonly ContainerTrack[]): void {
    this.end()
    if (tracks.length === 0)
      throw new FramelogError('BAD_CONTAINER', 'The stream has neither picture nor sound')
    if (tracks.length > demuxLimits.tracks)
      throw new FramelogError(
        'BAD_CONTAINER',
        `The stream has ${tracks.length} tracks; ${demuxLimits.tracks} is the limit`,
      )
    const counts = { video: 0, audio: 0 }
    const before = this.#announced ? this.#lanes : []
    this.#lanes = tracks.map(from => {
      counts[from.kind] += 1
      const number = counts[from.kind]
      const name = trackName(number === 1 ? from.kind : `${from.kind}-${number}`)
      const known = before.find(lane => lane.from === from && lane.name === name)
      return known ?? { from, name, track: from.kind === 'audio' ? describeAudio(name, from) : undefined }
    })
    const goesOn = this.#lanes.some(lane => before.includes(lane))
    this.#announced = goesOn && this.#lanes.every(({ track }) => track !== undefined)
    if (this.#announced) this.#tell()
  }

  /** @throws FramelogError BAD_CONTAINER, FRAME_TOO_LARGE */
  sample(sample: Sample): void {
    const lane = this.#lanes[sample.track]
    if (lane === undefined || sample.data.byteLength === 0) return
    if (sample.data.byteLength > demuxLimits.frame)
      throw new FramelogError(
        'FRAME_TOO_LARGE',
        `A frame has ${sample.data.byteLength} bytes; ${demuxLimits.frame} is the limit`,
      )
    this.#look(lane, sample)
    // Nothing decodes before the first keyframe.
    if (lane.track === undefined) return
    if (this.#announced) {
      this.#emit(lane, sample)
      return
    }
    if (!this.#held.push(sample)) {
      this.#announce()
      this.#emit(lane, sample)
    } else if (this.#lanes.every(({ track }) => track !== undefined)) this.#announce()
  }

  /** Nothing follows: a track that has shown no keyframe will not. */
  end(): void {
    if (!this.#announced && this.#held.length > 0) this.#announce()
  }

  #look(lane: Lane, { keyframe, data }: Sample): void {
    if (lane.from.kind !== 'video' || !keyframe) return
    const format = formatOfVideo(lane.from, data)
    const track = describeVideo(lane.name, lane.from, format)
    if (JSON.stringify(track) === JSON.stringify(lane.track)) return
    lane.track = track
    const reorder = lane.from.isPresentationOnly === true ? (format?.reorder ?? 0) : 0
    lane.decodeTimes = reorder > 0 ? new DecodeTimes(reorder) : undefined
    if (this.#announced) this.#tell()
  }

  #announce(): void {
    this.#announced = true
    this.#tell()
    for (let sample = this.#held.shift(); sample !== undefined; sample = this.#held.shift()) {
      const lane = this.#lanes[sample.track]
      if (lane !== undefined) this.#emit(lane, sample)
    }
  }

  #tell(): void {
    this.#handler.onTracks(this.#lanes.flatMap(({ track }) => (track === undefined ? [] : [track])))
  }

  #emit(lane: Lane, sample: Sample): void {
    const { timestamp, keyframe, data } = sample
    const duration = sample.duration ?? durationOf(lane.from, data)
    const decodeTimestamp =
      sample.decodeTimestamp ?? lane.decodeTimes?.next(timestamp, duration ?? usualPictureDuration)
    this.#handler.onFrame({
      track: lane.name,
      timestamp,
      ...(decodeTimestamp === undefined || decodeTimestamp === timestamp ? {} : { decodeTimestamp }),
      ...(duration === undefined || duration <= 0 ? {} : { duration }),
      keyframe: lane.from.kind === 'audio' || keyframe,
      data,
    })
  }
}

/** How long a frame of sound plays, as it says itself. */
export function durationOf(track: ContainerTrack, data: Uint8Array): Micros | undefined {
  if (track.family === 'opus') {
    const duration = durationOfOpus(data)
    return duration === undefined ? undefined : micros(duration)
  }
  return track.family === 'aac' ? micros(durationOfAac(track.sampleRate)) : undefined
}

function describeAudio(name: Lane['name'], { family, channels, description }: ContainerAudio): AudioTrack {
  if (family === 'opus') {
    const stated = description && channelsOfOpusHead(description)
    const count = stated ?? channels
    checkChannels(count)
    // One or two channels decode without a header; more need its mapping.
    const header = count > 2 && description !== undefined ? { description: encodeBase64(description) } : {}
    return { name, kind: 'audio', codec: 'opus', sampleRate: 48_000, channels: count, ...header }
  }
  const format = description && formatOfAac(description)
  if (description === undefined || format === undefined)
    throw new FramelogError('BAD_CONTAINER', 'An AAC track has no readable AudioSpecificConfig')
  return {
    name,
    kind: 'audio',
    codec: format.codec,
    sampleRate: format.sampleRate,
    channels: format.channels,
    description: encodeBase64(checkDescription(description)),
  }
}

function checkChannels(channels: number): void {
  if (!(Number.isInteger(channels) && channels >= 1 && channels <= 8))
    throw new FramelogError('BAD_CONTAINER', `A track has ${channels} channels; 1 to 8 can be carried`)
}

function describeVideo(
  name: Lane['name'],
  from: ContainerVideo,
  format: DescribedFormat | undefined,
): VideoTrack {
  if (format === undefined)
    throw new FramelogError('BAD_CONTAINER', `A keyframe of ${name} is no ${from.family}`)
  const { width, height, description } = format
  if (width < 1 || height < 1 || width > 16_384 || height > 16_384)
    throw new FramelogError('BAD_CONTAINER', `A picture of ${width} x ${height} cannot be carried`)
  return {
    name,
    kind: 'video',
    codec: format.codec,
    width,
    height,
    ...(from.family === 'h264' ? { format: description === undefined ? 'annexb' : 'avc' } : {}),
    ...(description === undefined ? {} : { description: encodeBase64(checkDescription(description)) }),
  }
}

interface DescribedFormat extends PictureFormat {
  readonly description?: Uint8Array | undefined
  readonly reorder?: number
}

function formatOfVideo(
  { family, description }: ContainerVideo,
  keyframe: Uint8Array,
): DescribedFormat | undefined {
  switch (family) {
    case 'vp8':
      return formatOfVp8(keyframe)
    case 'vp9':
      return formatOfVp9(keyframe)
    case 'av1': {
      const format = sequenceOfAv1(keyframe) ?? (description && sequenceOfAv1C(description))
      return format && { ...format, description }
    }
    case 'h264':
      if (description !== undefined) return formatOfLengthsOrDescription(keyframe, description)
      return isAnnexB(keyframe) ? formatOfAnnexB(keyframe) : undefined
    default:
      return family satisfies never
  }
}

/** A stream may go on with other parameter sets than its container began with (`avc3`): those of the keyframe count. */
function formatOfLengthsOrDescription(
  keyframe: Uint8Array,
  description: Uint8Array,
): DescribedFormat | undefined {
  const stated = formatOfAvcC(description)
  const carried = formatOfLengths(keyframe)
  if (carried === undefined || sameBytes(carried.avcC, stated?.avcC))
    return stated && { ...stated, description }
  return { ...carried, description: carried.avcC }
}

function checkDescription(description: Uint8Array): Uint8Array {
  if (description.byteLength > demuxLimits.description)
    throw new FramelogError(
      'BAD_CONTAINER',
      `A codec's configuration has ${description.byteLength} bytes; ${demuxLimits.description} is the limit`,
    )
  return description
}
