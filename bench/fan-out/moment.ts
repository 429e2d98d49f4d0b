/** Frames whose last eight bytes tell when they were made: microseconds of the wall clock, big endian. */
const filler = 4

/** @param size bytes, at least 8. @returns owned bytes */
export function testBytes(size: number): Buffer {
  const bytes = Buffer.alloc(size, filler)
  bytes.writeBigInt64BE(BigInt(Math.round((performance.timeOrigin + performance.now()) * 1000)), size - 8)
  return bytes
}
