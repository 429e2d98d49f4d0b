/** AV1 (AV1 Bitstream & Decoding Process Specification; AV1 Codec ISO Media File Format Binding 1.2). */
import { BitReader } from '../core/bits.ts'
import { OutOfBytes } from '../core/bytes.ts'
import { formatCodec } from './codec.ts'
import type { PictureFormat } from './picture.ts'

const sequenceHeader = 1

export interface Av1Sequence extends PictureFormat {
  /** AV1CodecConfigurationRecord (binding 1.2, section 2.3.3): four bytes and the sequence header. Owned. */
  readonly av1C: Uint8Array
}

/**
 * The sequence header among the OBUs of a temporal unit (section 5.3: a byte of type and flags, an extension byte
 * where flagged, the size in LEB128 where flagged).
 * @returns undefined where there is none, as on every delta frame
 */
export function sequenceOfAv1(unit: Uint8Array): Av1Sequence | undefined {
  let at = 0
  try {
    while (at < unit.byteLength) {
      const header = unit[at] ?? 0
      const begin = at
      at += (header & 4) === 0 ? 1 : 2
      let size = unit.byteLength - at
      if ((header & 2) !== 0) {
        const length = leb128(unit, at)
        size = length.value
        at += length.bytes
      }
      if (size > unit.byteLength - at) return undefined
      if (((header >> 3) & 15) === sequenceHeader)
        return parseSequence(unit.subarray(at, at + size), unit.subarray(begin, at + size))
      at += size
    }
  } catch (error) {
    if (error instanceof OutOfBytes) return undefined
    throw error
  }
  return undefined
}

/** The same of an AV1CodecConfigurationRecord, as containers hold it. */
export const sequenceOfAv1C = (av1C: Uint8Array): Av1Sequence | undefined => sequenceOfAv1(av1C.subarray(4))

function leb128(bytes: Uint8Array, at: number): { value: number; bytes: number } {
  let value = 0
  for (let i = 0; i < 8; i++) {
    const byte = bytes[at + i]
    if (byte === undefined) break
    value += (byte & 0x7f) * 2 ** (7 * i)
    if ((byte & 0x80) === 0) return { value, bytes: i + 1 }
  }
  throw new OutOfBytes('a length that does not end')
}

/** Section 5.5. */
function parseSequence(payload: Uint8Array, obu: Uint8Array): Av1Sequence {
  const bits = new BitReader(payload)
  const profile = bits.bits(3)
  bits.bits(1)
  const { level, tier } = bits.flag() ? { level: bits.bits(5), tier: 0 } : operatingPoint(bits)
  const widthBits = bits.bits(4) + 1
  const heightBits = bits.bits(4) + 1
  const width = bits.bits(widthBits) + 1
  const height = bits.bits(heightBits) + 1
  const colour = colourOf(payload, bits, profile)
  const av1C = new Uint8Array(4 + obu.byteLength)
  av1C[0] = 0x81
  av1C[1] = (profile << 5) | level
  av1C[2] = (tier << 7) | colour.packed
  av1C.set(obu, 4)
  const codec = formatCodec({
    family: 'av1',
    profile,
    level,
    tier: tier === 1 ? 'H' : 'M',
    bitDepth: colour.bitDepth,
  })
  return { codec, width, height, av1C }
}

/** Timing, decoder model and operating points, of which the first says what a decoder must be able to do. */
function operatingPoint(bits: BitReader): { level: number; tier: number } {
  let modelDelayBits: number | undefined
  if (bits.flag()) {
    bits.bits(32)
    bits.bits(32)
    if (bits.flag()) bits.unsigned()
    if (bits.flag()) {
      modelDelayBits = bits.bits(5) + 1
      bits.bits(32)
      bits.bits(10)
    }
  }
  const hasDisplayDelay = bits.flag()
  const points = bits.bits(5) + 1
  let first = { level: 0, tier: 0 }
  for (let i = 0; i < points; i++) {
    bits.bits(12)
    const level = bits.bits(5)
    const tier = level > 7 ? bits.bits(1) : 0
    if (modelDelayBits !== undefined && bits.flag()) {
      bits.bits(modelDelayBits)
      bits.bits(modelDelayBits)
      bits.bits(1)
    }
    if (hasDisplayDelay && bits.flag()) bits.bits(4)
    if (i === 0) first = { level, tier }
  }
  return first
}

/** The tools between the size and the colour configuration, and that (section 5.5.2), as `av1C` packs it. */
function colourOf(
  payload: Uint8Array,
  bits: BitReader,
  profile: number,
): { packed: number; bitDepth: number } {
  const isReduced = ((payload[0] ?? 0) & 8) !== 0
  if (!isReduced && bits.flag()) bits.bits(7)
  bits.bits(3)
  if (!isReduced) {
    bits.bits(4)
    const hasOrderHint = bits.flag()
    if (hasOrderHint) bits.bits(2)
    const screenTools = bits.flag() ? 2 : bits.bits(1)
    if (screenTools > 0 && !bits.flag()) bits.bits(1)
    if (hasOrderHint) bits.bits(3)
  }
  bits.bits(3)
  const isHigh = bits.flag()
  const isTwelve = profile === 2 && isHigh && bits.flag()
  const isMono = profile !== 1 && bits.flag()
  const described = bits.flag() ? [bits.bits(8), bits.bits(8), bits.bits(8)] : [2, 2, 2]
  let [subX, subY, position] = [1, 1, 0]
  if (!isMono && described[0] === 1 && described[1] === 13 && described[2] === 0) [subX, subY] = [0, 0]
  else {
    bits.bits(1)
    if (!isMono) {
      if (profile === 1) [subX, subY] = [0, 0]
      else if (profile === 2) {
        subX = isTwelve ? bits.bits(1) : 1
        subY = isTwelve && subX === 1 ? bits.bits(1) : 0
      }
      if (!isMono && subX === 1 && subY === 1) position = bits.bits(2)
    }
  }
  const packed =
    (Number(isHigh) << 6) |
    (Number(isTwelve) << 5) |
    (Number(isMono) << 4) |
    (subX << 3) |
    (subY << 2) |
    position
  return { packed, bitDepth: isTwelve ? 12 : isHigh ? 10 : 8 }
}
