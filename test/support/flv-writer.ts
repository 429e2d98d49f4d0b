/** FLV, tag by tag. */
import { encodeAmf0 } from '../../src/container/flv/amf0.ts'
import { concat } from './containers.ts'

const text = (value: string): Uint8Array => new TextEncoder().encode(value)

/** @param flags 1 picture, 4 sound */
export const flvHeader = (flags = 5): Uint8Array =>
  concat(text('FLV'), Uint8Array.of(1, flags, 0, 0, 0, 9, 0, 0, 0, 0))

/** A tag, and its size behind it. */
export function tag(type: number, time: number, ...parts: readonly Uint8Array[]): Uint8Array {
  const data = concat(...parts)
  const { byteLength: size } = data
  const head = [type, size >> 16, size >> 8, size, time >> 16, time >> 8, time, time >> 24, 0, 0, 0]
  const behind = new Uint8Array(4)
  new DataView(behind.buffer).setUint32(0, 11 + size)
  return concat(Uint8Array.from(head), data, behind)
}

export const metadata = (values: Parameters<typeof encodeAmf0>[0][number]): Uint8Array =>
  tag(18, 0, encodeAmf0(['onMetaData', values]))

const u24 = (value: number): Uint8Array => Uint8Array.of(value >> 16, value >> 8, value)

/** As Enhanced RTMP has them. @param packet 0 a configuration, 1 a frame, 3 a frame without an offset */
export const enhancedVideo = (
  time: number,
  codec: string,
  packet: number,
  data: Uint8Array,
  options: { keyframe?: boolean; offset?: number; nanoseconds?: number } = {},
): Uint8Array => {
  const { keyframe = true, offset, nanoseconds } = options
  const type = 0x80 | (keyframe ? 0x10 : 0x20)
  const head =
    nanoseconds === undefined
      ? Uint8Array.of(type | packet)
      : concat(Uint8Array.of(type | 7, 2), u24(nanoseconds), Uint8Array.of(packet))
  return tag(9, time, head, text(codec), ...(offset === undefined ? [] : [u24(offset)]), data)
}

export const enhancedAudio = (time: number, codec: string, packet: number, data: Uint8Array): Uint8Array =>
  tag(8, time, Uint8Array.of(0x90 | packet), text(codec), data)
