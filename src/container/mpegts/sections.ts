/**
 * Tables of a transport stream (ISO/IEC 13818-1, section 2.4.4): which program there is, and what its streams are.
 * A table comes in a section, which may lie in several packets, and is closed by a CRC.
 */
import { ByteReader, joinBytes } from '../../core/bytes.ts'

export const tableIds = { programs: 0, program: 2 } as const

/** Bytes of a section, with its head of three (section 2.4.4.1). */
const sectionBytes = 1024

/** Puts the sections of one PID together. */
export class Sections {
  #bytes: Uint8Array = new Uint8Array()

  /**
   * @param payload of a packet; borrowed
   * @param begins whether a section begins in it
   * @returns the sections that are whole and undamaged now
   */
  push(payload: Uint8Array, begins: boolean): Uint8Array[] {
    const pointer = begins ? (payload[0] ?? 0) : 0
    if (!begins) {
      // What began before this stream did is of no use.
      if (this.#bytes.byteLength === 0) return []
      return this.#add(payload)
    }
    const before = this.#bytes.byteLength > 0 ? this.#add(payload.subarray(1, 1 + pointer)) : []
    this.#bytes = new Uint8Array()
    return [...before, ...this.#add(payload.subarray(1 + pointer))]
  }

  #add(bytes: Uint8Array): Uint8Array[] {
    const joined = joinBytes([this.#bytes, bytes])
    const sections: Uint8Array[] = []
    let at = 0
    // 0xff fills a packet up.
    while (joined.byteLength - at >= 3 && joined[at] !== 0xff) {
      const length = 3 + ((((joined[at + 1] ?? 0) & 15) << 8) | (joined[at + 2] ?? 0))
      if (length > sectionBytes) {
        at = joined.byteLength
        break
      }
      if (joined.byteLength - at < length) break
      const section = joined.subarray(at, at + length)
      if (crc32(section) === 0) sections.push(section)
      at += length
    }
    this.#bytes = joined[at] === 0xff ? new Uint8Array() : joined.slice(at)
    return sections
  }
}

/** CRC-32 as MPEG has it (annex A): not reflected, begun with ones; of a section with its own it is 0. */
function crc32(bytes: Uint8Array): number {
  let crc = 0xffff_ffff
  for (const byte of bytes) {
    crc ^= byte << 24
    for (let bit = 0; bit < 8; bit++) crc = crc < 0 ? (crc << 1) ^ 0x04c1_1db7 : crc << 1
  }
  return crc >>> 0
}

/** Table id, length, id, version, numbers: what each long section begins with; and the CRC behind it. */
const longHead = 8
const crcBytes = 4

/** PID of the first program's table. @returns undefined where the section is none of programs, or has none */
export function programPid(section: Uint8Array): number | undefined {
  if (section[0] !== tableIds.programs) return undefined
  const reader = new ByteReader(section.subarray(longHead, -crcBytes))
  while (reader.remaining >= 4) {
    const program = reader.u16()
    const pid = reader.u16() & 0x1fff
    if (program !== 0) return pid
  }
  return undefined
}

export interface StreamEntry {
  readonly pid: number
  /** `stream_type`, table 2-34. */
  readonly type: number
  /** `format_identifier` of a registration descriptor, as the number that its four characters are. */
  readonly format: number | undefined
  /** Of Opus in a transport stream: `channel_config_code`. */
  readonly opusChannels: number | undefined
}

const descriptors = { registration: 5, extension: 0x7f } as const
const opusExtension = 0x80

/** @returns undefined where the section is no program's. @throws OutOfBytes where it is damaged */
export function streamsOf(section: Uint8Array): StreamEntry[] | undefined {
  if (section[0] !== tableIds.program) return undefined
  const reader = new ByteReader(section.subarray(longHead, -crcBytes))
  reader.u16()
  reader.bytes(reader.u16() & 0xfff)
  const streams: StreamEntry[] = []
  while (reader.remaining >= 5) {
    const type = reader.u8()
    const pid = reader.u16() & 0x1fff
    const own = new ByteReader(reader.bytes(reader.u16() & 0xfff))
    let format: number | undefined
    let opusChannels: number | undefined
    while (own.remaining >= 2) {
      const tag = own.u8()
      const data = new ByteReader(own.bytes(own.u8()))
      if (tag === descriptors.registration && data.remaining >= 4) format = data.u32()
      else if (tag === descriptors.extension && data.remaining >= 2 && data.u8() === opusExtension)
        opusChannels = data.u8()
    }
    streams.push({ pid, type, format, opusChannels })
  }
  return streams
}
