/**
 * H.264 (ITU-T H.264; ISO/IEC 14496-15 for `avcC`). A frame comes in one of two forms: Annex B, NAL units behind
 * start codes with the parameter sets among them, or lengths of 4 bytes with the parameter sets in a description.
 */
import { BitReader } from '../core/bits.ts'
import { OutOfBytes } from '../core/bytes.ts'
import { formatCodec } from './codec.ts'
import type { PictureFormat } from './picture.ts'

const nalType = { idr: 5, sei: 6, sps: 7, pps: 8, delimiter: 9 } as const
/** Of supplemental information (annex D): decoding may begin here. */
const recoveryPoint = 6

const typeOf = (nal: Uint8Array): number => (nal[0] ?? 0) & 31

/** Annex B.1: units behind 00 00 01, with zeros before and after that belong to none. @returns views */
export function nalUnits(frame: Uint8Array): Uint8Array[] {
  const units: Uint8Array[] = []
  let begin = -1
  for (let i = 0; i + 2 < frame.byteLength; ) {
    // A start code ends in 1: whatever byte is larger lets three be passed over.
    const third = frame[i + 2] ?? 0
    if (third > 1) i += 3
    else if (third === 1 && frame[i] === 0 && frame[i + 1] === 0) {
      if (begin >= 0) units.push(withoutZeros(frame, begin, i))
      begin = i + 3
      i += 3
    } else i += 1
  }
  if (begin >= 0) units.push(withoutZeros(frame, begin, frame.byteLength))
  return units.filter(unit => unit.byteLength > 0)
}

function withoutZeros(frame: Uint8Array, begin: number, end: number): Uint8Array {
  let last = end
  while (last > begin && frame[last - 1] === 0) last -= 1
  return frame.subarray(begin, last)
}

/** Whether the bytes begin with a start code. */
export const isAnnexB = ([a, b, c, d]: Uint8Array): boolean =>
  a === 0 && b === 0 && (c === 1 || (c === 0 && d === 1))

/**
 * Whether decoding may begin at an Annex B frame: at an IDR picture, or where it says so and has its parameter sets.
 * @param frame borrowed
 */
export function isAnnexBKeyframe(frame: Uint8Array): boolean {
  const units = nalUnits(frame)
  if (units.some(unit => typeOf(unit) === nalType.idr)) return true
  const has = (type: number): boolean => units.some(unit => typeOf(unit) === type)
  return (
    has(nalType.sps) && units.some(unit => typeOf(unit) === nalType.sei && hasMessage(unit, recoveryPoint))
  )
}

/** Section 7.3.2.3: messages one after the other, type and size as bytes of ones and a last one. */
function hasMessage(sei: Uint8Array, wanted: number): boolean {
  let at = 1
  const number = (): number => {
    let value = 0
    while (sei[at] === 0xff) {
      value += 255
      at += 1
    }
    value += sei[at] ?? 0
    at += 1
    return value
  }
  // What is left at the end is the stop bit.
  while (at + 1 < sei.byteLength) {
    if (number() === wanted) return true
    const size = number()
    at += size
  }
  return false
}

/** The parameter sets of an Annex B frame behind start codes, owned. @returns undefined where it has none of a kind */
export function parameterSetsOf(frame: Uint8Array): Uint8Array | undefined {
  const sets = nalUnits(frame).filter(unit => typeOf(unit) === nalType.sps || typeOf(unit) === nalType.pps)
  if (!sets.some(unit => typeOf(unit) === nalType.sps) || !sets.some(unit => typeOf(unit) === nalType.pps))
    return undefined
  const bytes = new Uint8Array(sets.reduce((sum, { byteLength }) => sum + 4 + byteLength, 0))
  let at = 0
  for (const unit of sets) {
    bytes.set([0, 0, 0, 1], at)
    bytes.set(unit, at + 4)
    at += 4 + unit.byteLength
  }
  return bytes
}

export interface H264Format extends PictureFormat {
  /** Frames that may come before one that is presented earlier: 0 where decoding has the order of presentation. */
  readonly reorder: number
  /** AVCDecoderConfigurationRecord (ISO/IEC 14496-15, 5.3.3.1). Owned. */
  readonly avcC: Uint8Array
}

/** What the parameter sets of an Annex B keyframe say. @returns undefined where it carries none */
export function formatOfAnnexB(frame: Uint8Array): H264Format | undefined {
  const units = nalUnits(frame)
  const sps = units.filter(unit => typeOf(unit) === nalType.sps)
  const pps = units.filter(unit => typeOf(unit) === nalType.pps)
  return formatOf(sps, pps)
}

/**
 * The same of a keyframe with lengths of 4 bytes, as those of `avc3` are, whose parameter sets may change in the stream.
 * @returns undefined where it carries none
 */
export function formatOfLengths(frame: Uint8Array): H264Format | undefined {
  const sps: Uint8Array[] = []
  const pps: Uint8Array[] = []
  const view = new DataView(frame.buffer, frame.byteOffset, frame.byteLength)
  for (let at = 4; at < frame.byteLength; ) {
    const length = view.getUint32(at - 4)
    const unit = frame.subarray(at, at + length)
    if (unit.byteLength < length) return undefined
    if (typeOf(unit) === nalType.sps) sps.push(unit)
    else if (typeOf(unit) === nalType.pps) pps.push(unit)
    at += length + 4
  }
  return formatOf(sps, pps)
}

/** The same of a description. @returns undefined where the bytes are none, or hold no parameter set */
export function formatOfAvcC(avcC: Uint8Array): H264Format | undefined {
  if (avcC[0] !== 1 || ((avcC[4] ?? 0) & 3) !== 3) return undefined
  let at = 5
  const sets = (mask: number): Uint8Array[] => {
    const count = (avcC[at] ?? 0) & mask
    at += 1
    return Array.from({ length: count }, () => {
      const length = ((avcC[at] ?? 0) << 8) | (avcC[at + 1] ?? 0)
      at += 2 + length
      return avcC.subarray(at - length, at)
    })
  }
  const sps = sets(31)
  const pps = sets(255)
  return at > avcC.byteLength ? undefined : formatOf(sps, pps)
}

/** An Annex B frame with lengths instead of start codes, without what the description has. @returns owned bytes */
export function toLengths(frame: Uint8Array): Uint8Array {
  const kept = nalUnits(frame).filter(unit => {
    const type = typeOf(unit)
    return type !== nalType.sps && type !== nalType.pps && type !== nalType.delimiter
  })
  const bytes = new Uint8Array(kept.reduce((sum, unit) => sum + 4 + unit.byteLength, 0))
  const view = new DataView(bytes.buffer)
  let at = 0
  for (const unit of kept) {
    view.setUint32(at, unit.byteLength)
    bytes.set(unit, at + 4)
    at += 4 + unit.byteLength
  }
  return bytes
}

function formatOf(sps: readonly Uint8Array[], pps: readonly Uint8Array[]): H264Format | undefined {
  const [first] = sps
  if (first === undefined || pps.length === 0 || first.byteLength < 4) return undefined
  // Nor are they any where a description has no room for them.
  if ([...sps, ...pps].some(({ byteLength }) => byteLength > 0xffff)) return undefined
  const [, profile = 0, constraints = 0, level = 0] = first
  try {
    const parsed = parseSps(first)
    const codec = formatCodec({ family: 'h264', sample: 'avc1', profile, constraints, level })
    const { width, height, reorder } = parsed
    return { codec, width, height, reorder, avcC: buildAvcC(sps, pps, parsed) }
  } catch (error) {
    if (error instanceof OutOfBytes) return undefined
    throw error
  }
}

interface Sps {
  readonly width: number
  readonly height: number
  readonly reorder: number
  /** Only of the profiles that state them: chroma format and bit depths less 8. */
  readonly extension?: readonly [chroma: number, luma: number, chromaDepth: number]
}

const highProfiles = new Set([44, 83, 86, 100, 110, 118, 122, 128, 134, 135, 138, 139, 144, 244])

/** Sections 7.3.2.1.1 and 7.4.2.1.1. */
function parseSps(nal: Uint8Array): Sps {
  const bits = new BitReader(withoutEmulation(nal.subarray(1)))
  const profile = bits.bits(8)
  const constraints = bits.bits(8)
  const level = bits.bits(8)
  bits.unsigned()
  let chroma = 1
  let separate = false
  let extension: Sps['extension']
  if (highProfiles.has(profile)) {
    chroma = bits.unsigned()
    if (chroma === 3) separate = bits.flag()
    extension = [chroma, bits.unsigned(), bits.unsigned()]
    bits.bits(1)
    const matrices = bits.flag() ? (chroma === 3 ? 12 : 8) : 0
    for (let i = 0; i < matrices; i++) {
      if (bits.flag()) skipScaling(bits, i < 6 ? 16 : 64)
    }
  }
  bits.unsigned()
  const order = bits.unsigned()
  if (order === 0) bits.unsigned()
  else if (order === 1) {
    bits.bits(1)
    bits.signed()
    bits.signed()
    const cycle = bits.unsigned()
    if (cycle > 255) throw new OutOfBytes('more offsets than there can be')
    for (let i = 0; i < cycle; i++) bits.signed()
  }
  bits.unsigned()
  bits.bits(1)
  const wide = bits.unsigned() + 1
  const high = bits.unsigned() + 1
  const framesOnly = bits.bits(1)
  if (framesOnly === 0) bits.bits(1)
  bits.bits(1)
  const frameSize = wide * high * (2 - framesOnly)
  const crop = bits.flag()
    ? [bits.unsigned(), bits.unsigned(), bits.unsigned(), bits.unsigned()]
    : [0, 0, 0, 0]
  const [left = 0, right = 0, top = 0, bottom = 0] = crop
  const unitX = chroma === 0 || chroma === 3 || separate ? 1 : 2
  const unitY = (chroma === 1 && !separate ? 2 : 1) * (2 - framesOnly)
  const width = wide * 16 - (left + right) * unitX
  const height = high * 16 * (2 - framesOnly) - (top + bottom) * unitY
  if (width < 1 || height < 1 || width > 16384 || height > 16384) throw new OutOfBytes('no size of a picture')
  const isOrdered = order === 2 || profile === 66 || (intraOnly.has(profile) && (constraints & 0x10) !== 0)
  const reorder = isOrdered ? 0 : (reorderOfVui(bits) ?? maxFrames(level, constraints, profile, frameSize))
  return { width, height, reorder, ...(extension === undefined ? {} : { extension }) }
}

/** Profiles that, with constraint_set3_flag, have no pictures that need another (section E.2.1). */
const intraOnly = new Set([44, 86, 100, 110, 122, 244])

/** `max_num_reorder_frames` of section E.1.1, behind all that comes before it. @returns undefined where it is not stated */
function reorderOfVui(bits: BitReader): number | undefined {
  if (!bits.flag()) return undefined
  const extendedRatio = 255
  if (bits.flag() && bits.bits(8) === extendedRatio) bits.bits(32)
  if (bits.flag()) bits.bits(1)
  if (bits.flag()) {
    bits.bits(4)
    if (bits.flag()) bits.bits(24)
  }
  if (bits.flag()) {
    bits.unsigned()
    bits.unsigned()
  }
  if (bits.flag()) {
    bits.bits(32)
    bits.bits(32)
    bits.bits(1)
  }
  const nal = bits.flag()
  if (nal) skipHrd(bits)
  const vcl = bits.flag()
  if (vcl) skipHrd(bits)
  if (nal || vcl) bits.bits(1)
  bits.bits(1)
  if (!bits.flag()) return undefined
  bits.bits(1)
  for (let i = 0; i < 4; i++) bits.unsigned()
  const reorder = bits.unsigned()
  if (reorder > 16) throw new OutOfBytes('more frames out of order than there can be')
  return reorder
}

/** Section E.1.2. */
function skipHrd(bits: BitReader): void {
  const count = bits.unsigned() + 1
  if (count > 32) throw new OutOfBytes('more buffers than there can be')
  bits.bits(8)
  for (let i = 0; i < count; i++) {
    bits.unsigned()
    bits.unsigned()
    bits.bits(1)
  }
  bits.bits(20)
}

/** `MaxDpbMbs` of each level, table A-1; that of the last level known holds for those above. */
const bufferSizes: readonly (readonly [level: number, macroblocks: number])[] = [
  [10, 396],
  [11, 900],
  [13, 2376],
  [21, 4752],
  [22, 8100],
  [31, 18_000],
  [32, 20_480],
  [41, 32_768],
  [42, 34_816],
  [50, 110_400],
  [52, 184_320],
  [62, 696_320],
]

/** Frames that a decoder holds at most (section A.3.1): what may be out of order where nothing says less. */
function maxFrames(level: number, constraints: number, profile: number, frameSize: number): number {
  const is1b =
    level === 11 && (constraints & 0x10) !== 0 && (profile === 66 || profile === 77 || profile === 88)
  const [, size = 696_320] = bufferSizes.find(([most]) => (is1b ? 10 : level) <= most) ?? []
  return Math.min(16, Math.floor(size / Math.max(1, frameSize)))
}

function skipScaling(bits: BitReader, size: number): void {
  let last = 8
  let next = 8
  for (let i = 0; i < size; i++) {
    if (next !== 0) next = (last + bits.signed() + 256) % 256
    last = next === 0 ? last : next
  }
}

/** Section 7.3.1: within a unit, 00 00 03 stands for 00 00. */
function withoutEmulation(payload: Uint8Array): Uint8Array {
  const bytes = new Uint8Array(payload.byteLength)
  let length = 0
  let zeros = 0
  for (const byte of payload) {
    if (zeros >= 2 && byte === 3) zeros = 0
    else {
      bytes[length++] = byte
      zeros = byte === 0 ? zeros + 1 : 0
    }
  }
  return bytes.subarray(0, length)
}

function buildAvcC(sps: readonly Uint8Array[], pps: readonly Uint8Array[], { extension }: Sps): Uint8Array {
  const [, profile = 0, constraints = 0, level = 0] = sps[0] ?? []
  const sets = (list: readonly Uint8Array[]): number[] =>
    list.flatMap(set => [set.byteLength >> 8, set.byteLength & 255, ...set])
  const known = sps.slice(0, 31)
  const pictures = pps.slice(0, 255)
  const bytes = [
    1,
    profile,
    constraints,
    level,
    0xff,
    0xe0 | known.length,
    ...sets(known),
    pictures.length,
    ...sets(pictures),
  ]
  if (extension !== undefined) {
    const [chroma, luma, depth] = extension
    bytes.push(0xfc | chroma, 0xf8 | luma, 0xf8 | depth, 0)
  }
  return Uint8Array.from(bytes)
}
