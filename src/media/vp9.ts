/** VP9 (VP9 Bitstream & Decoding Process Specification 0.7; VP Codec ISO Media File Format Binding 1.0). */
import { BitReader } from '../core/bits.ts'
import { OutOfBytes } from '../core/bytes.ts'
import { formatCodec } from './codec.ts'
import type { PictureFormat } from './picture.ts'

/** Largest picture in luma samples, and luma samples a second, of each level (times ten). */
const levels = [
  [10, 36_864, 829_440],
  [11, 73_728, 2_764_800],
  [20, 122_880, 4_608_000],
  [21, 245_760, 9_216_000],
  [30, 552_960, 20_736_000],
  [31, 983_040, 36_864_000],
  [40, 2_228_224, 83_558_400],
  [41, 2_228_224, 160_432_128],
  [50, 8_912_896, 311_951_360],
  [51, 8_912_896, 588_251_136],
  [52, 8_912_896, 1_176_502_272],
] as const

/** Pictures a second that a level is chosen for, where nothing tells how many come. */
const assumedRate = 30

/**
 * Section 6.2: marker 2, profile in two bits (low one first), existing frame, frame type, shown, error resilience;
 * on a keyframe the sync code 49 83 42, the colour configuration, width and height less one.
 * @param frame a whole frame or superframe, whose first frame comes first
 * @returns undefined where the bytes begin no keyframe
 */
export function formatOfVp9(frame: Uint8Array): PictureFormat | undefined {
  const bits = new BitReader(frame)
  try {
    if (bits.bits(2) !== 2) return undefined
    const profile = bits.bits(1) + 2 * bits.bits(1)
    if (profile === 3 && bits.flag()) return undefined
    const showsExisting = bits.flag()
    const isDelta = bits.flag()
    bits.bits(2)
    if (showsExisting || isDelta || bits.bits(24) !== 0x498342) return undefined
    const bitDepth = profile < 2 ? 8 : bits.flag() ? 12 : 10
    const colour = bits.bits(3)
    if (colour !== 7) {
      bits.bits(1)
      if ((profile & 1) === 1) bits.bits(3)
    } else if ((profile & 1) === 1) bits.bits(1)
    const width = bits.bits(16) + 1
    const height = bits.bits(16) + 1
    return {
      codec: formatCodec({ family: 'vp9', profile, level: levelOf(width, height), bitDepth }),
      width,
      height,
    }
  } catch (error) {
    if (error instanceof OutOfBytes) return undefined
    throw error
  }
}

function levelOf(width: number, height: number): number {
  const size = width * height
  const found = levels.find(([, most, rate]) => size <= most && size * assumedRate <= rate)
  return found?.[0] ?? 62
}
