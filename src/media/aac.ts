/** AAC (ISO/IEC 14496-3). */
import { BitReader } from '../core/bits.ts'
import { OutOfBytes } from '../core/bytes.ts'

/** Section 1.6.3.4; index 15 is followed by the rate itself. */
const rates = [
  96_000, 88_200, 64_000, 48_000, 44_100, 32_000, 24_000, 22_050, 16_000, 12_000, 11_025, 8000, 7350,
]
/** Section 1.6.3.5: channels of each configuration. */
const channelCounts = [0, 1, 2, 3, 4, 5, 6, 8]

export interface AacFormat {
  readonly codec: string
  readonly sampleRate: number
  readonly channels: number
}

/**
 * AudioSpecificConfig (section 1.6.2.1): object type in 5 bits, or 31 and 6 more; rate; channels.
 * @returns undefined where the bytes are none, or leave the channels to the stream
 */
export function formatOfAac(config: Uint8Array): AacFormat | undefined {
  const bits = new BitReader(config)
  try {
    const short = bits.bits(5)
    const objectType = short === 31 ? 32 + bits.bits(6) : short
    const index = bits.bits(4)
    const sampleRate = index === 15 ? bits.bits(24) : rates[index]
    const channels = channelCounts[bits.bits(4)]
    if (objectType === 0 || sampleRate === undefined || channels === undefined || channels === 0)
      return undefined
    if (sampleRate < 8000 || sampleRate > 192_000) return undefined
    return { codec: `mp4a.40.${objectType}`, sampleRate, channels }
  } catch (error) {
    if (error instanceof OutOfBytes) return undefined
    throw error
  }
}

/** Microseconds of one frame of 1,024 samples. */
export const durationOfAac = (sampleRate: number): number => Math.round((1024 * 1_000_000) / sampleRate)

/**
 * A frame of AAC-LC in which nothing sounds (section 4.4.2.1): one element whose bands are none, and the end. Owned.
 * @returns undefined where there are more than two channels
 */
export function silentAac(channels: number): Uint8Array | undefined {
  // single_channel_element: id 0, tag, global_gain, ics_info with max_sfb 0, no pulses, noise shaping or gain; id 7.
  if (channels === 1) return Uint8Array.of(0, 0, 0, 0b111)
  // channel_pair_element: id 1, tag, common_window, ics_info, ms_mask 0, twice gain and no tools; id 7.
  if (channels === 2) return Uint8Array.of(0b0010_0001, 0, 0, 0, 0, 0b0001_1100)
  return undefined
}

/**
 * AudioSpecificConfig of AAC-LC, for sound that came without one. Owned.
 * @returns undefined where the rate is none of AAC's
 */
export function configOfAac(sampleRate: number, channels: number): Uint8Array | undefined {
  const index = rates.indexOf(sampleRate)
  const configuration = channelCounts.indexOf(channels)
  if (index < 0 || configuration < 1) return undefined
  return Uint8Array.of((2 << 3) | (index >> 1), ((index & 1) << 7) | (configuration << 3))
}

/**
 * Bytes of the frame that begins at a place, with its ADTS header (section 1.A.2.2).
 * @returns `short` where too few are there to tell, undefined where none begins
 */
export function lengthOfAdts(bytes: Uint8Array, at: number): number | 'short' | undefined {
  if (bytes[at] !== 0xff || ((bytes[at + 1] ?? 0xf1) & 0xf6) !== 0xf0) return undefined
  if (bytes.byteLength - at < 7) return 'short'
  const length =
    (((bytes[at + 3] ?? 0) & 3) << 11) | ((bytes[at + 4] ?? 0) << 3) | ((bytes[at + 5] ?? 0) >> 5)
  return length < 7 ? undefined : length
}

/** AudioSpecificConfig of what an ADTS header begins. Owned. @returns undefined where it leaves the channels to the stream */
export function configOfAdts(frame: Uint8Array): Uint8Array | undefined {
  const [, , third = 0, fourth = 0] = frame
  const objectType = (third >> 6) + 1
  const index = (third >> 2) & 15
  const channels = ((third & 1) << 2) | (fourth >> 6)
  if (rates[index] === undefined || channels === 0) return undefined
  return Uint8Array.of((objectType << 3) | (index >> 1), ((index & 1) << 7) | (channels << 3))
}

/** A view of the frame without its ADTS header (section 1.A.2.2), where it has one. */
export function withoutAdts(frame: Uint8Array): Uint8Array {
  const [first = 0, second = 0] = frame
  if (first !== 0xff || (second & 0xf6) !== 0xf0) return frame
  const header = (second & 1) === 1 ? 7 : 9
  return frame.byteLength > header ? frame.subarray(header) : frame
}
