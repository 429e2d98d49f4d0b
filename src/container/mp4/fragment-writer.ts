/**
 * Fragmented MP4 for Media Source Extensions (ISO/IEC 14496-12; the ISO BMFF byte stream format): ftyp and moov, then
 * one moof and mdat a frame. Ticks are microseconds.
 */
import { ByteWriter } from '../../core/bytes.ts'
import type { AudioTrack, VideoTrack } from '../../media/catalog.ts'
import { toLengths } from '../../media/h264.ts'
import { type DecoderConfig, decoderConfigOf, isAnnexBTrack, sameBytes } from '../decoder-config.ts'
import type { FragmentFrame, FragmentWriter } from '../fragments.ts'
import { movieHeader } from './movie-header.ts'

/** Sizes of the boxes of a fragment, which has one sample in one run of one track. */
const sizes = { mfhd: 16, tfhd: 16, tfdt: 20, trun: 36, header: 8 } as const
const traf = sizes.header + sizes.tfhd + sizes.tfdt + sizes.trun
const moof = sizes.header + sizes.mfhd + traf

/** Section 8.8.3.1: depends on others and is no point to begin at, or depends on none. */
const sampleFlags = { delta: 0x0101_0000, key: 0x0200_0000 } as const

export class Mp4FragmentWriter implements FragmentWriter {
  readonly mimeType: string
  readonly #track: VideoTrack | AudioTrack
  readonly #isAnnexB: boolean
  #config: DecoderConfig
  #begun = false
  #sequence = 0

  constructor(track: VideoTrack | AudioTrack) {
    this.#track = track
    this.#isAnnexB = isAnnexBTrack(track)
    this.mimeType = `${track.kind}/mp4; codecs="${track.codec}"`
  }

  write(frame: FragmentFrame): Uint8Array<ArrayBuffer>[] {
    const written: Uint8Array<ArrayBuffer>[] = []
    if (frame.keyframe && !(this.#begun && this.#track.kind === 'audio')) {
      const config = decoderConfigOf(this.#track, frame.data)
      if (!this.#begun || !sameBytes(config, this.#config)) written.push(movieHeader(this.#track, config))
      this.#begun = true
      this.#config = config
    }
    this.#sequence += 1
    written.push(fragment(frame, this.#isAnnexB ? toLengths(frame.data) : frame.data, this.#sequence))
    return written
  }
}

function fragment(frame: FragmentFrame, data: Uint8Array, sequence: number): Uint8Array<ArrayBuffer> {
  const { timestamp, decodeTimestamp = timestamp, duration, keyframe } = frame
  return new ByteWriter(moof + sizes.header + data.byteLength)
    .u32(moof)
    .latin1('moof')
    .u32(sizes.mfhd)
    .latin1('mfhd')
    .u32(0)
    .u32(sequence)
    .u32(traf)
    .latin1('traf')
    .u32(sizes.tfhd)
    .latin1('tfhd')
    .u32(0x02_0000) // offsets count from the moof
    .u32(1)
    .u32(sizes.tfdt)
    .latin1('tfdt')
    .u32(0x0100_0000) // version 1: 64 bits
    .i64(decodeTimestamp)
    .u32(sizes.trun)
    .latin1('trun')
    .u32(0x0100_0f01) // version 1: signed offsets; data offset, then duration, size, flags and offset of each sample
    .u32(1)
    .u32(moof + sizes.header)
    .u32(duration)
    .u32(data.byteLength)
    .u32(keyframe ? sampleFlags.key : sampleFlags.delta)
    .u32((timestamp - decodeTimestamp) >>> 0)
    .u32(sizes.header + data.byteLength)
    .latin1('mdat')
    .bytes(data)
    .finish()
}
