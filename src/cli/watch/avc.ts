/**
 * H.264 as files hold it: NAL units with their lengths in front, and the parameter sets apart (ISO/IEC 14496-15).
 * A publisher may send it as a byte stream with start codes instead (ITU-T H.264, Annex B).
 */

const types = { sps: 7, pps: 8 } as const

/** Profiles whose parameter sets tell more about the picture's format (H.264, 7.3.2.1.1). */
const highProfiles: ReadonlySet<number> = new Set([100, 110, 122, 144, 244])

/** @param annexB borrowed. @returns views of its NAL units, without start codes and trailing zeros */
export function nalUnits(annexB: Uint8Array): Uint8Array[] {
  const units: Uint8Array[] = []
  let begin = -1
  const { length } = annexB
  for (let i = 0; i + 2 < length; ) {
    // A start code ends in 1: whatever byte is larger lets three be passed over.
    const third = annexB[i + 2] as number
    if (third > 1) i += 3
    else if (third === 1 && annexB[i] === 0 && annexB[i + 1] === 0) {
      if (begin >= 0) addUnit(units, annexB, begin, i)
      begin = i + 3
      i += 3
    } else i += 1
  }
  if (begin >= 0) addUnit(units, annexB, begin, length)
  return units
}

function addUnit(units: Uint8Array[], annexB: Uint8Array, begin: number, end: number): void {
  let last = end
  while (last > begin && annexB[last - 1] === 0) last -= 1
  if (last > begin) units.push(annexB.subarray(begin, last))
}

/** @param annexB borrowed. @returns the same access unit with lengths of 4 bytes in place of start codes; owned */
export function toLengths(annexB: Uint8Array): Uint8Array {
  const units = nalUnits(annexB)
  const bytes = new Uint8Array(units.reduce((sum, unit) => sum + 4 + unit.byteLength, 0))
  const view = new DataView(bytes.buffer)
  let at = 0
  for (const unit of units) {
    view.setUint32(at, unit.byteLength)
    bytes.set(unit, at + 4)
    at += 4 + unit.byteLength
  }
  return bytes
}

/**
 * The decoder's configuration out of a keyframe's parameter sets.
 * @param annexB borrowed
 * @returns an AVCDecoderConfigurationRecord (ISO/IEC 14496-15, 5.3.3.1), owned; undefined where there are no parameter sets
 */
export function avcCOf(annexB: Uint8Array): Uint8Array | undefined {
  const units = nalUnits(annexB)
  const sets = units.filter(unit => typeOf(unit) === types.sps).slice(0, 31)
  const pictureSets = units.filter(unit => typeOf(unit) === types.pps).slice(0, 255)
  const [first] = sets
  if (first === undefined || first.byteLength < 4 || pictureSets.length === 0) return undefined
  const [, profile = 0, constraints = 0, level = 0] = first
  const head = [1, profile, constraints, level, 0xff, 0xe0 | sets.length]
  const parts = [head, ...sets.flatMap(withLength), [pictureSets.length], ...pictureSets.flatMap(withLength)]
  if (highProfiles.has(profile)) {
    const { chroma, lumaDepth, chromaDepth } = pictureFormat(first)
    parts.push([0xfc | chroma, 0xf8 | lumaDepth, 0xf8 | chromaDepth, 0])
  }
  return Uint8Array.from(parts.flatMap(part => [...part]))
}

const typeOf = (unit: Uint8Array): number => (unit[0] ?? 0) & 31

const withLength = (unit: Uint8Array): (number[] | Uint8Array)[] => [
  [unit.byteLength >> 8, unit.byteLength & 255],
  unit,
]

/** chroma_format_idc and the bit depths less 8, of a high profile's sequence parameter set (H.264, 7.3.2.1.1). */
function pictureFormat(sps: Uint8Array): { chroma: number; lumaDepth: number; chromaDepth: number } {
  const bits = new Bits(sps.subarray(4))
  bits.golomb()
  const chroma = bits.golomb() & 3
  if (chroma === 3) bits.bit()
  return { chroma, lumaDepth: bits.golomb() & 7, chromaDepth: bits.golomb() & 7 }
}

/** Bits of a NAL unit's payload, without its emulation prevention bytes; zeros where there are no more. */
class Bits {
  readonly #bytes: Uint8Array
  #at = 0

  constructor(payload: Uint8Array) {
    this.#bytes = payload
      .subarray(0, 64)
      .filter((byte, i, all) => !(byte === 3 && all[i - 1] === 0 && all[i - 2] === 0))
  }

  bit(): number {
    const byte = this.#bytes[this.#at >> 3] ?? 0
    const bit = (byte >> (7 - (this.#at & 7))) & 1
    this.#at += 1
    return bit
  }

  /** ue(v), H.264 section 9.1; at most 16 bits. */
  golomb(): number {
    let zeros = 0
    while (zeros < 16 && this.bit() === 0) zeros += 1
    let value = 1
    for (let i = 0; i < zeros; i++) value = (value << 1) | this.bit()
    return value - 1
  }
}
