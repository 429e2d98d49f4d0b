/**
 * LZ4 frames into a limited buffer. The library's reader takes no limit, and a frame need not say how large it is.
 * Checksums in it are passed over: the batch around it has one of its own.
 */
const magic = 0x184d2204
/** Bits of a frame's flags. */
const hasBlockChecksums = 1 << 4
const hasSize = 1 << 3
const hasDictionary = 1
/** Of a block's length: it is stored as it is. */
const isStored = 0x80000000
/** The shortest copy. */
const leastMatch = 4

/** @throws where there is more than `maxBytes`, or it is no frame */
export function lz4Decompress(bytes: Buffer, maxBytes: number): Buffer {
  if (bytes.readUInt32LE(0) !== magic) throw new RangeError('no LZ4 frame')
  const flags = bytes.readUInt8(4)
  if ((flags & hasDictionary) !== 0) throw new RangeError('an LZ4 frame with a dictionary')
  // 64 KiB, 256 KiB, 1 MiB or 4 MiB.
  const blockBytes = 2 ** (8 + 2 * ((bytes.readUInt8(5) >> 4) & 7))
  const output = new Output(maxBytes)
  // Behind the head's own checksum, one byte.
  let at = 7 + ((flags & hasSize) === 0 ? 0 : 8)
  for (;;) {
    const word = bytes.readUInt32LE(at)
    if (word === 0) return output.bytes
    const begin = at + 4
    const end = begin + (word % isStored)
    if (end > bytes.byteLength) throw new RangeError('an LZ4 block ends outside of its frame')
    output.reserve(blockBytes)
    if (word >= isStored) output.append(bytes, begin, end)
    else appendBlock(output, bytes, begin, end)
    at = end + ((flags & hasBlockChecksums) === 0 ? 0 : 4)
  }
}

/** Runs of bytes, each but the last followed by a copy of what came before. */
function appendBlock(output: Output, bytes: Buffer, begin: number, end: number): void {
  let at = begin
  const length = (bits: number): number => {
    let total = bits
    if (bits !== 15) return total
    for (;;) {
      const byte = bytes.readUInt8(at++)
      total += byte
      if (byte !== 255) return total
    }
  }
  while (at < end) {
    const token = bytes.readUInt8(at++)
    const literals = length(token >> 4)
    if (at + literals > end) throw new RangeError('an LZ4 run ends outside of its block')
    output.append(bytes, at, at + literals)
    at += literals
    if (at >= end) return
    const distance = bytes.readUInt16LE(at)
    at += 2
    output.repeat(distance, length(token & 15) + leastMatch)
  }
}

class Output {
  readonly #maxBytes: number
  #buffer = Buffer.alloc(0)
  #size = 0

  constructor(maxBytes: number) {
    this.#maxBytes = maxBytes
  }

  /** @returns owned bytes */
  get bytes(): Buffer {
    return this.#buffer.subarray(0, this.#size)
  }

  /** Makes room for a block; what comes beyond it is refused. */
  reserve(bytes: number): void {
    const needed = this.#size + bytes
    if (needed <= this.#buffer.byteLength || this.#buffer.byteLength === this.#maxBytes) return
    const larger = Buffer.allocUnsafeSlow(
      Math.min(Math.max(needed, this.#buffer.byteLength * 2), this.#maxBytes),
    )
    this.#buffer.copy(larger, 0, 0, this.#size)
    this.#buffer = larger
  }

  append(bytes: Buffer, begin: number, end: number): void {
    this.#expect(end - begin)
    const buffer = this.#buffer
    let size = this.#size
    // Runs are short: a call for each costs more than its bytes.
    for (let at = begin; at < end; at++) buffer[size++] = bytes[at] as number
    this.#size = size
  }

  /** Appends what stands `distance` bytes back; it may run into itself. */
  repeat(distance: number, length: number): void {
    if (distance === 0 || distance > this.#size) throw new RangeError('an LZ4 copy from outside')
    this.#expect(length)
    const buffer = this.#buffer
    const end = this.#size + length
    for (let at = this.#size; at < end; at++) buffer[at] = buffer[at - distance] as number
    this.#size = end
  }

  #expect(bytes: number): void {
    if (this.#size + bytes > this.#buffer.byteLength)
      throw new RangeError('a batch is larger than batches may be')
  }
}
