/** From the bodies of FLV's tags, or of RTMP's messages, to tracks and samples. */
import { OutOfBytes } from '../../core/bytes.ts'
import { FramelogError } from '../../errors.ts'
import { formatOfAac } from '../../media/aac.ts'
import { micros } from '../../units.ts'
import type { ContainerTrack } from '../announcer.ts'
import { sameBytes } from '../decoder-config.ts'
import { type DemuxHandler, demuxLimits } from '../demuxer.ts'
import { LateTracks } from '../late-tracks.ts'
import { decodeAmf0 } from './amf0.ts'
import { type Family, parseAudio, parseVideo, type TagBody, tagTypes } from './tag.ts'

/** One of each: the picture is announced first. */
const slots = { video: 0, audio: 1 } as const

/** What a stream is said to have. */
export interface Announced {
  readonly video: boolean
  readonly audio: boolean
}

interface Known {
  readonly family: Family
  readonly config: Uint8Array | undefined
  readonly track: ContainerTrack
}

export class FlvTracks {
  readonly #tracks: LateTracks
  readonly #known = new Map<number, Known>()
  /** Milliseconds of the last tag, without the wrap of its 32 bits. */
  #time = 0

  constructor(handler: DemuxHandler) {
    this.#tracks = new LateTracks(handler)
    this.expect({ video: true, audio: true })
  }

  expect({ video, audio }: Announced): void {
    // A header that names neither is believed in nothing.
    const both = video === audio
    this.#tracks.expect([...(video || both ? [slots.video] : []), ...(audio || both ? [slots.audio] : [])])
  }

  /**
   * @param type of the tag, or of the message
   * @param time decode time, milliseconds, in 32 bits
   * @param data its body; owned by this from here on
   * @throws FramelogError BAD_CONTAINER, UNSUPPORTED_CODEC, FRAME_TOO_LARGE
   */
  tag(type: number, time: number, data: Uint8Array): void {
    // An empty one says nothing: some writers send them to keep a connection open.
    if (data.byteLength === 0) return
    try {
      if (type === tagTypes.script) this.#script(data)
      else if (type === tagTypes.video) this.#body(slots.video, time, parseVideo(data))
      else if (type === tagTypes.audio) this.#body(slots.audio, time, parseAudio(data))
    } catch (error) {
      if (!(error instanceof OutOfBytes)) throw error
      throw new FramelogError('BAD_CONTAINER', `A tag at ${time} ms is cut off`, { cause: error })
    }
  }

  end(): void {
    this.#tracks.end()
  }

  /** What is to come, where it is said: `onMetaData` names the codecs of what there is. */
  #script(data: Uint8Array): void {
    let values: ReturnType<typeof decodeAmf0>
    try {
      values = decodeAmf0(data)
    } catch (error) {
      // Nothing depends on it.
      if (error instanceof OutOfBytes || error instanceof TypeError) return
      throw error
    }
    const fields = values.find(value => typeof value === 'object' && value !== null)
    if (!values.includes('onMetaData') || fields === undefined || this.#known.size > 0) return
    const video = 'videocodecid' in fields
    const audio = 'audiocodecid' in fields
    if (video || audio) this.expect({ video, audio })
  }

  #body(slot: number, time: number, body: TagBody): void {
    if (body === undefined) return
    if (body.kind === 'config') {
      this.#config(slot, body.family, body.data)
      return
    }
    // VP8 and VP9 need no configuration, and writers may send none.
    if (this.#known.get(slot)?.family !== body.family) {
      if (body.family !== 'vp8' && body.family !== 'vp9') return
      this.#config(slot, body.family, undefined)
    }
    const decodeTime = this.#unwrapped(time) * 1000 + body.nanoseconds / 1000
    const { composition, keyframe } = body
    this.#tracks.sample(slot, {
      timestamp: micros(decodeTime + composition * 1000),
      ...(composition === 0 ? {} : { decodeTimestamp: micros(decodeTime) }),
      keyframe,
      // The frame must not hold on to more than itself, which is nearly all of the tag.
      data: body.data,
    })
  }

  #config(slot: number, family: Family, config: Uint8Array | undefined): void {
    const known = this.#known.get(slot)
    if (known?.family === family && sameBytes(known.config, config)) return
    if ((config?.byteLength ?? 0) > demuxLimits.description)
      throw new FramelogError('BAD_CONTAINER', `A configuration has ${config?.byteLength} bytes`)
    const track = trackOf(family, config)
    this.#known.set(slot, { family, config, track })
    this.#tracks.describe(slot, track)
  }

  /** Times go round after 49 days. */
  #unwrapped(time: number): number {
    const step = (time - this.#time) | 0
    this.#time += step
    return this.#time
  }
}

/** The size of a picture, the rate and channels of sound are told by their configuration or first keyframe. */
function trackOf(family: Family, config: Uint8Array | undefined): ContainerTrack {
  const description = config === undefined || config.byteLength === 0 ? {} : { description: config }
  switch (family) {
    case 'aac': {
      const { sampleRate = 48_000, channels = 2 } = (config && formatOfAac(config)) ?? {}
      return { kind: 'audio', family, sampleRate, channels, ...description }
    }
    case 'opus':
      return { kind: 'audio', family, sampleRate: 48_000, channels: 2, ...description }
    case 'h264':
    case 'av1':
      return { kind: 'video', family, width: 0, height: 0, ...description }
    default:
      return { kind: 'video', family, width: 0, height: 0 }
  }
}
