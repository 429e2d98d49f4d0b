/** What other writers compressed, up to a limit: nothing larger is made on the way to finding out. */
import { gunzipSync, zstdDecompressSync } from 'node:zlib'
import { compressionsAlgorithms } from '@platformatic/kafka'
import { lz4Decompress } from './lz4.ts'

/** In front of the blocks that Java's writers make; others send one block without it. */
const xerialMagic = Buffer.from('\x82SNAPPY\0', 'latin1')
const xerialHeadBytes = 16
/** What a block counts for at least, as each costs a call; Java's writers fill 1 KiB or more. */
const leastBlock = 256

type Decompress = (bytes: Buffer, maxBytes: number) => Buffer

/** By the number in a batch's attributes. */
const codecs: Readonly<Record<number, Decompress>> = {
  1: (bytes, maxOutputLength) => gunzipSync(bytes, { maxOutputLength }),
  2: snappyDecompress,
  3: lz4Decompress,
  4: (bytes, maxOutputLength) => zstdDecompressSync(bytes, { maxOutputLength }),
}

/** @throws where it is larger than that, or does not decompress, or the codec is none of Kafka's */
export function decompress(codec: number, bytes: Buffer, maxBytes: number): Buffer {
  const known = codecs[codec]
  if (known === undefined) throw new RangeError(`no codec has the number ${codec}`)
  return known(bytes, maxBytes)
}

/** The library makes room for what each block says of its size, and refuses one that says less than it has. */
function snappyDecompress(bytes: Buffer, maxBytes: number): Buffer {
  let total = 0
  if (!bytes.subarray(0, xerialMagic.byteLength).equals(xerialMagic)) total = snappySize(bytes, 0)
  else
    for (let at = xerialHeadBytes; at < bytes.byteLength; at += 4 + bytes.readUInt32BE(at))
      total += Math.max(snappySize(bytes, at + 4), leastBlock)
  if (total > maxBytes) throw new RangeError('a batch is larger than batches may be')
  return compressionsAlgorithms.snappy.decompressSync(bytes)
}

/** What a block has in front: a number in sevens of bits. */
function snappySize(bytes: Buffer, begin: number): number {
  let size = 0
  for (let at = begin, factor = 1; ; at++, factor *= 128) {
    const byte = bytes.readUInt8(at)
    size += (byte & 0x7f) * factor
    if (byte < 0x80) return size
  }
}
