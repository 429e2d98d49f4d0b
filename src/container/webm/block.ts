/**
 * A block (RFC 9559 section 10.1, 10.2): track number as a vint, time relative to the Cluster in 16 bits, flags; then
 * one frame, or several behind a table of their sizes (lacing, section 10.3).
 *   flags of a SimpleBlock: 0x80 keyframe, 0x06 lacing, 0x01 discardable; a Block has no keyframe flag
 *   lacing: 0 none, 1 Xiph, 2 fixed size, 3 EBML
 */
import { readVint, unknownSize } from './ebml.ts'

export interface Block {
  readonly track: number
  /** In the Segment's ticks, from the Cluster's time on. */
  readonly time: number
  readonly isKeyframe: boolean
  /** Views. */
  readonly frames: readonly Uint8Array[]
}

/** @returns undefined where the bytes are no block */
export function parseBlock(data: Uint8Array): Block | undefined {
  const track = readVint(data, 0, 8, false)
  if (track === undefined || track.value === unknownSize) return undefined
  const at = track.length
  const high = data[at]
  const low = data[at + 1]
  const flags = data[at + 2]
  if (high === undefined || low === undefined || flags === undefined) return undefined
  const frames = lacedFrames(data.subarray(at + 3), (flags >> 1) & 3)
  if (frames === undefined) return undefined
  return { track: track.value, time: ((high << 24) >> 16) | low, isKeyframe: (flags & 0x80) !== 0, frames }
}

function lacedFrames(data: Uint8Array, lacing: number): Uint8Array[] | undefined {
  if (lacing === 0) return [data]
  const [count] = data
  if (count === undefined) return undefined
  const frames = count + 1
  const table =
    lacing === 1 ? xiphSizes(data, frames) : lacing === 3 ? ebmlSizes(data, frames) : fixedSizes(data, frames)
  if (table === undefined) return undefined
  const cut: Uint8Array[] = []
  let at = table.at
  for (const size of table.sizes) {
    if (size < 0 || size > data.byteLength - at) return undefined
    cut.push(data.subarray(at, at + size))
    at += size
  }
  // The last frame has what is left.
  if (cut.length === frames - 1) cut.push(data.subarray(at))
  return cut
}

interface Sizes {
  readonly sizes: readonly number[]
  /** Where the first frame begins. */
  readonly at: number
}

function fixedSizes(data: Uint8Array, frames: number): Sizes | undefined {
  const size = (data.byteLength - 1) / frames
  return Number.isInteger(size) ? { sizes: Array.from({ length: frames }, () => size), at: 1 } : undefined
}

/** Each size as a sum of bytes, of which one below 255 is the last. */
function xiphSizes(data: Uint8Array, frames: number): Sizes | undefined {
  const sizes: number[] = []
  let at = 1
  while (sizes.length < frames - 1) {
    let size = 0
    let byte = 255
    while (byte === 255) {
      byte = data[at++] ?? -1
      if (byte < 0) return undefined
      size += byte
    }
    sizes.push(size)
  }
  return { sizes, at }
}

/** The first size as a vint, each further one as its difference from the one before, moved to be positive. */
function ebmlSizes(data: Uint8Array, frames: number): Sizes | undefined {
  const sizes: number[] = []
  let at = 1
  while (sizes.length < frames - 1) {
    const vint = readVint(data, at, 8, false)
    if (vint === undefined || vint.value === unknownSize) return undefined
    const before = sizes.at(-1)
    sizes.push(before === undefined ? vint.value : before + vint.value - (2 ** (7 * vint.length - 1) - 1))
    at += vint.length
  }
  return { sizes, at }
}
