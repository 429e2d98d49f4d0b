/** VP8 (RFC 6386). */
import type { PictureFormat } from './picture.ts'

/**
 * Section 9.1: three bytes of frame tag, whose lowest bit is 0 on a keyframe; then the start code 9d 01 2a, width
 * and height in 14 bits each with two bits of scaling, little-endian.
 * @returns undefined where the bytes begin no keyframe
 */
export function formatOfVp8(frame: Uint8Array): PictureFormat | undefined {
  const [tag, , , s0, s1, s2, w0 = 0, w1 = 0, h0 = 0, h1 = 0] = frame
  if (frame.byteLength < 10 || tag === undefined || (tag & 1) !== 0) return undefined
  if (s0 !== 0x9d || s1 !== 0x01 || s2 !== 0x2a) return undefined
  const width = w0 | ((w1 & 0x3f) << 8)
  const height = h0 | ((h1 & 0x3f) << 8)
  return width > 0 && height > 0 ? { codec: 'vp8', width, height } : undefined
}
