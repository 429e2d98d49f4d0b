/** Packetized elementary streams (ISO/IEC 13818-1, section 2.4.3.6): a PES packet has a head with times, and a payload. */
import { FramelogError } from '../../errors.ts'
import { demuxLimits } from '../demuxer.ts'

export interface PesPacket {
  /** In 90 kHz, of 33 bits; undefined where it states none. */
  readonly pts: number | undefined
  /** Where it differs. */
  readonly dts: number | undefined
  /** Owned. */
  readonly data: Uint8Array
}

/** What a part costs, however little is in it. */
const partBytes = 256

/** Start code, stream id and length; flags, flags and the length of what is in the head. */
const fixedHead = 6
const flagsHead = 9

/** Puts the PES packets of one PID together. */
export class PesReader {
  readonly #onCut: () => void
  #parts: Uint8Array[] = []
  #length = 0
  /** Bytes that the parts hold on to: each its packet. */
  #held = 0
  /** Bytes that it will have; undefined where it says none, and ends where the next begins, or before its head is there. */
  #wanted: number | undefined
  #isOpen = false

  /** @param onCut called where a PES packet is left out, as some of it is missing */
  constructor(onCut: () => void) {
    this.#onCut = onCut
  }

  /**
   * @param payload of a packet; owned by this from here on
   * @param begins whether a PES packet begins in it
   * @returns what is whole now
   * @throws FramelogError FRAME_TOO_LARGE, BAD_CONTAINER
   */
  push(payload: Uint8Array, begins: boolean): PesPacket[] {
    const packets = begins ? this.flush() : []
    if (begins) this.#isOpen = true
    if (!this.#isOpen) return packets
    this.#parts.push(payload)
    this.#length += payload.byteLength
    this.#held += Math.max(partBytes, payload.byteLength)
    if (this.#length > demuxLimits.frame || this.#held > 2 * demuxLimits.frame)
      throw new FramelogError('FRAME_TOO_LARGE', `A PES packet has over ${demuxLimits.frame} bytes`)
    if (begins) this.#wanted = wantedOf(payload)
    if (this.#wanted !== undefined && this.#length >= this.#wanted) packets.push(...this.flush())
    return packets
  }

  /** What is there of one whose end was not stated; one that is cut off is left out. */
  flush(): PesPacket[] {
    if (!this.#isOpen) return []
    const isWhole = this.#wanted === undefined || this.#length >= this.#wanted
    const packet = isWhole ? parsePes(this.#joined()) : undefined
    this.drop()
    if (packet !== undefined) return [packet]
    this.#onCut()
    return []
  }

  /** Some of what is under way is lost. */
  drop(): void {
    this.#parts = []
    this.#length = 0
    this.#held = 0
    this.#wanted = undefined
    this.#isOpen = false
  }

  #joined(): Uint8Array {
    const bytes = new Uint8Array(Math.min(this.#length, this.#wanted ?? this.#length))
    let at = 0
    for (const part of this.#parts) {
      const rest = part.subarray(0, bytes.byteLength - at)
      bytes.set(rest, at)
      at += rest.byteLength
    }
    return bytes
  }
}

/** Heads lie in one packet: nothing else fits before them. */
function wantedOf(payload: Uint8Array): number | undefined {
  const length = ((payload[4] ?? 0) << 8) | (payload[5] ?? 0)
  return length === 0 ? undefined : fixedHead + length
}

/** @returns undefined where it is no stream of pictures or sound, or damaged */
function parsePes(bytes: Uint8Array): PesPacket | undefined {
  const [a, b, c, , , , , flags = 0, headLength = 0] = bytes
  const isPes = a === 0 && b === 0 && c === 1 && bytes.byteLength >= flagsHead + headLength
  if (!isPes || ((bytes[6] ?? 0) & 0xc0) !== 0x80) return undefined
  if (((bytes[6] ?? 0) & 0x30) !== 0)
    throw new FramelogError('UNSUPPORTED_CODEC', 'The stream is scrambled, which cannot be carried')
  const pts = (flags & 0x80) !== 0 && headLength >= 5 ? timeAt(bytes, flagsHead) : undefined
  const dts = (flags & 0x40) !== 0 && headLength >= 10 ? timeAt(bytes, flagsHead + 5) : undefined
  return { pts, dts, data: bytes.subarray(flagsHead + headLength) }
}

/** 33 bits in five bytes, with markers between. */
const timeAt = (bytes: Uint8Array, at: number): number =>
  (((bytes[at] ?? 0) >> 1) & 7) * 2 ** 30 +
  (bytes[at + 1] ?? 0) * 2 ** 22 +
  ((bytes[at + 2] ?? 0) >> 1) * 2 ** 15 +
  (bytes[at + 3] ?? 0) * 2 ** 7 +
  ((bytes[at + 4] ?? 0) >> 1)
