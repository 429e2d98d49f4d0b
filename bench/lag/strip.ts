/**
 * The clock in the picture: 32 blocks, black or white, in two rows along its upper edge. 24 bits are the wall clock in
 * milliseconds, which come round after 4.6 hours, and 8 are a checksum: what an encoder has smeared is noticed.
 */
export const strip = {
  columns: 16,
  rows: 2,
  /** Height of both rows as a share of the picture's. */
  height: 1 / 4.5,
  /** Grey levels, 0 to 255, between which a block is neither black nor white. */
  black: 100,
  white: 156,
} as const

const clockBits = 24
const around = 2 ** clockBits

/** A clock that is further from the reader's than this was not read but guessed, milliseconds. */
const farthest = 120_000

/** @param clock wall clock, milliseconds @returns one bit a block, row by row */
export function clockBlocks(clock: number): readonly boolean[] {
  const value = Math.round(clock) % around
  const word = value * 256 + checksum(value)
  return Array.from({ length: 32 }, (_, i) => Math.floor(word / 2 ** (31 - i)) % 2 === 1)
}

/**
 * @param levels grey level of each block, 0 to 255, row by row
 * @param now the reader's wall clock, milliseconds: tells which time round it is
 * @returns undefined where a block is grey, the checksum is wrong, or the clock far off
 */
export function readClock(levels: ArrayLike<number>, now: number): number | undefined {
  let word = 0
  for (let i = 0; i < 32; i++) {
    const level = levels[i] ?? 128
    if (level > strip.black && level < strip.white) return undefined
    word = word * 2 + (level >= strip.white ? 1 : 0)
  }
  const value = Math.floor(word / 256)
  if (checksum(value) !== word % 256) return undefined
  const turns = Math.round((now - value) / around)
  const clock = value + turns * around
  return Math.abs(now - clock) > farthest ? undefined : clock
}

/** CRC-8 (polynomial 0x07) over three bytes; it begins at 0xa5, so that neither an empty picture nor a white one is a clock. */
function checksum(value: number): number {
  let crc = 0xa5
  for (const byte of [value >>> 16, (value >>> 8) & 0xff, value & 0xff]) {
    crc ^= byte
    for (let i = 0; i < 8; i++) crc = crc & 0x80 ? ((crc << 1) ^ 0x07) & 0xff : crc << 1
  }
  return crc
}
