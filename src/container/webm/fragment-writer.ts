/**
 * WebM for Media Source Extensions (RFC 9559; the WebM byte stream format): a Segment of unknown size, one Cluster a
 * frame. Ticks are microseconds, so that no time is rounded; a block's time within its Cluster is then always 0.
 */
import { joinBytes } from '../../core/bytes.ts'
import type { AudioTrack, VideoTrack } from '../../media/catalog.ts'
import { type DecoderConfig, decoderConfigOf, sameBytes } from '../decoder-config.ts'
import type { FragmentFrame, FragmentWriter } from '../fragments.ts'
import { ids } from './ebml.ts'
import { bytesOfId, ebmlHeader, element, text, trackEntry, unsigned } from './elements.ts'

const trackNumber = 1
const nanosecondsOfTick = 1000

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
  const info = element(ids.info, [
    unsigned(ids.timestampScale, nanosecondsOfTick),
    text(ids.muxingApp, 'framelog'),
    text(ids.writingApp, 'framelog'),
  ])
  const tracks = element(ids.tracks, [trackEntry(track, config, trackNumber)])
  const segment = [...bytesOfId(ids.segment), 0x01, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff]
  return joinBytes([ebmlHeader(), segment, info, tracks])
}
