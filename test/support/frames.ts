/** Frames that parsers take for real: the right header, then bytes that tell one from another. */

/** @param size bytes in all, at least 10 */
export function vp8Frame(isKeyframe: boolean, size = 40, width = 320, height = 180): Uint8Array {
  const frame = Uint8Array.from({ length: size }, (_, i) => (i * 7 + size) & 255)
  frame[0] = isKeyframe ? 0x10 : 0x11
  if (isKeyframe) frame.set([0x9d, 0x01, 0x2a, width & 255, width >> 8, height & 255, height >> 8], 3)
  return frame
}

/** 20 ms of stereo in one frame. */
export function opusPacket(size = 20, seed = 0): Uint8Array {
  const packet = Uint8Array.from({ length: size }, (_, i) => (i * 5 + seed) & 255)
  packet[0] = 0xfc
  return packet
}
