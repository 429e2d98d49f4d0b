/** Writes EBML in every form that it allows, also such as no muxer writes. */
import { ids } from '../../src/container/webm/ebml.ts'
import { concat } from './containers.ts'

/** How an element states its size: in how many bytes (0: as few as it takes), and whether it says that it is unknown. */
export interface SizeForm {
  readonly width?: number
  readonly unknown?: boolean
}

export function idOf(id: number): Uint8Array {
  const bytes: number[] = []
  for (let rest = id; rest > 0; rest = Math.floor(rest / 256)) bytes.unshift(rest % 256)
  return Uint8Array.from(bytes)
}

/** A number behind its marker bit. */
export function vint(value: number, width = 0): Uint8Array {
  let length = width
  if (length === 0) for (length = 1; value >= 2 ** (7 * length) - 1; ) length += 1
  const bytes = new Uint8Array(length)
  let rest = value
  for (let i = length - 1; i >= 0; i--) {
    bytes[i] = rest % 256
    rest = Math.floor(rest / 256)
  }
  bytes[0] = (bytes[0] ?? 0) | (0x80 >> (length - 1))
  return bytes
}

export function unknownSize(width: number): Uint8Array {
  const bytes = new Uint8Array(width).fill(0xff)
  bytes[0] = (0x80 >> (width - 1)) | (0xff >> width)
  return bytes
}

export function element(
  id: number,
  data: Uint8Array,
  { width = 0, unknown = false }: SizeForm = {},
): Uint8Array {
  return concat(idOf(id), unknown ? unknownSize(width || 8) : vint(data.byteLength, width), data)
}

export const master = (id: number, children: readonly Uint8Array[], form?: SizeForm): Uint8Array =>
  element(id, concat(...children), form)

/** A header alone, which states a size that nothing stands for. */
export const header = (id: number, size: number): Uint8Array => concat(idOf(id), vint(size, 8))

export function unsigned(id: number, value: number): Uint8Array {
  const bytes: number[] = []
  for (let rest = value; rest > 0; rest = Math.floor(rest / 256)) bytes.unshift(rest % 256)
  return element(id, Uint8Array.from(bytes.length === 0 ? [0] : bytes))
}

export const text = (id: number, value: string): Uint8Array => element(id, new TextEncoder().encode(value))

export function float(id: number, value: number): Uint8Array {
  const bytes = new Uint8Array(8)
  new DataView(bytes.buffer).setFloat64(0, value)
  return element(id, bytes)
}

export const ebml = (docType = 'webm'): Uint8Array => master(ids.ebml, [text(ids.docType, docType)])

export const info = (scale = 1_000_000): Uint8Array => master(ids.info, [unsigned(ids.timestampScale, scale)])

/** An entry of Tracks. @param more further elements of it */
export function videoTrack(number: number, codec: string, ...more: readonly Uint8Array[]): Uint8Array {
  return master(ids.trackEntry, [
    unsigned(ids.trackNumber, number),
    unsigned(ids.trackType, 1),
    text(ids.codecId, codec),
    master(ids.video, [unsigned(ids.pixelWidth, 320), unsigned(ids.pixelHeight, 180)]),
    ...more,
  ])
}

export function audioTrack(number: number, codec: string, ...more: readonly Uint8Array[]): Uint8Array {
  return master(ids.trackEntry, [
    unsigned(ids.trackNumber, number),
    unsigned(ids.trackType, 2),
    text(ids.codecId, codec),
    master(ids.audio, [float(ids.samplingFrequency, 48_000), unsigned(ids.channels, 2)]),
    ...more,
  ])
}

export const tracks = (...entries: readonly Uint8Array[]): Uint8Array => master(ids.tracks, entries)

export const timestamp = (ticks: number): Uint8Array => unsigned(ids.timestamp, ticks)

/** What a block has before its frames. */
export const blockHead = (track: number, time: number, flags = 0x80): Uint8Array =>
  concat(vint(track), Uint8Array.of((time >> 8) & 255, time & 255, flags))

export const simpleBlock = (track: number, time: number, frame: Uint8Array, flags = 0x80): Uint8Array =>
  element(ids.simpleBlock, concat(blockHead(track, time, flags), frame))

export const blockGroup = (
  track: number,
  time: number,
  frame: Uint8Array,
  ...more: readonly Uint8Array[]
): Uint8Array =>
  master(ids.blockGroup, [element(ids.block, concat(blockHead(track, time, 0), frame)), ...more])

/** Frames of a block in one of the three forms of lacing, behind the flags that say so. */
export const lacings = {
  xiph: { flags: 0x82, lace: (frames: readonly Uint8Array[]) => laced(frames, xiphSizes) },
  fixed: { flags: 0x84, lace: (frames: readonly Uint8Array[]) => laced(frames, () => new Uint8Array()) },
  ebml: { flags: 0x86, lace: (frames: readonly Uint8Array[]) => laced(frames, ebmlSizes) },
} as const

const laced = (
  frames: readonly Uint8Array[],
  sizesOf: (sizes: readonly number[]) => Uint8Array,
): Uint8Array =>
  concat(
    Uint8Array.of(frames.length - 1),
    sizesOf(frames.slice(0, -1).map(({ byteLength }) => byteLength)),
    ...frames,
  )

const xiphSizes = (sizes: readonly number[]): Uint8Array =>
  Uint8Array.from(sizes.flatMap(size => [...new Array(Math.floor(size / 255)).fill(255), size % 255]))

const ebmlSizes = (sizes: readonly number[]): Uint8Array =>
  concat(
    ...sizes.map((size, i) => {
      if (i === 0) return vint(size)
      const difference = size - (sizes[i - 1] ?? 0)
      const width = Math.abs(difference) < 63 ? 1 : Math.abs(difference) < 8191 ? 2 : 3
      return vint(difference + 2 ** (7 * width - 1) - 1, width)
    }),
  )
