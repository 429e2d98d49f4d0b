/** Opus (RFC 6716, RFC 7845). */

/** Microseconds of one frame, by the configuration in a packet's first byte (RFC 6716, table 2). */
const frameDurations = {
  silk: [10_000, 20_000, 40_000, 60_000],
  hybrid: [10_000, 20_000],
  celt: [2500, 5000, 10_000, 20_000],
} as const

/**
 * How long a packet plays, microseconds (RFC 6716, section 3.1: configuration, stereo, number of frames).
 * @returns undefined where the bytes are no packet
 */
export function durationOfOpus(packet: Uint8Array): number | undefined {
  const [toc, count = 0] = packet
  if (toc === undefined) return undefined
  const config = toc >> 3
  const frame =
    config < 12
      ? frameDurations.silk[config & 3]
      : config < 16
        ? frameDurations.hybrid[config & 1]
        : frameDurations.celt[config & 3]
  const code = toc & 3
  const frames = code === 0 ? 1 : code === 3 ? count & 63 : 2
  const duration = (frame ?? 0) * frames
  return duration > 0 && duration <= 120_000 ? duration : undefined
}

/** Channels that an identification header names (RFC 7845, section 5.1). @returns undefined where it is none */
export function channelsOfOpusHead(head: Uint8Array): number | undefined {
  const magic = String.fromCharCode(...head.subarray(0, 8))
  const channels = head[9]
  return magic === 'OpusHead' && head.byteLength >= 19 && channels !== undefined && channels > 0
    ? channels
    : undefined
}

/** An identification header without pre-skip: the first packet of a stream cut out of another skips nothing. Owned. */
export function opusHead(channels: number): Uint8Array {
  const head = new Uint8Array(19)
  head.set([0x4f, 0x70, 0x75, 0x73, 0x48, 0x65, 0x61, 0x64, 1, channels])
  new DataView(head.buffer).setUint32(12, 48_000, true)
  return head
}

/** Whether a packet says that it is stereo (RFC 6716, section 3.1). */
export const isStereoOpus = (packet: Uint8Array): boolean => ((packet[0] ?? 0) & 4) !== 0

/**
 * A packet that says nothing, 20 ms long: a decoder fills its time from what it heard before, which fades away (RFC
 * 6716 sections 3.2.1 and 4.4: a frame of no bytes is a lost one). Owned. Not for streams of more than two channels.
 */
export const silentOpus = (isStereo: boolean): Uint8Array => Uint8Array.of((31 << 3) | (isStereo ? 4 : 0))

/** Microseconds of a silent packet. */
export const silentOpusDuration = 20_000
