/** Reads fields of single bits, most significant first, with the Exp-Golomb codes of ITU-T H.264 section 9.1. */
import { OutOfBytes } from './bytes.ts'

export class BitReader {
  readonly #bytes: Uint8Array
  #at = 0

  /** @param bytes borrowed for as long as the reader is used */
  constructor(bytes: Uint8Array) {
    this.#bytes = bytes
  }

  /** Bits read so far. */
  get position(): number {
    return this.#at
  }

  /** @param count 0 to 32. @throws OutOfBytes */
  bits(count: number): number {
    if (this.#at + count > this.#bytes.byteLength * 8) throw new OutOfBytes(`${count} bits wanted`)
    let value = 0
    for (let i = 0; i < count; i++, this.#at++) {
      const byte = this.#bytes[this.#at >> 3] ?? 0
      value = value * 2 + ((byte >> (7 - (this.#at & 7))) & 1)
    }
    return value
  }

  flag(): boolean {
    return this.bits(1) === 1
  }

  /** An unsigned Exp-Golomb code. @throws OutOfBytes also where it has more than 32 bits */
  unsigned(): number {
    let zeros = 0
    while (!this.flag()) {
      zeros += 1
      if (zeros > 31) throw new OutOfBytes('an Exp-Golomb code of over 32 bits')
    }
    return 2 ** zeros - 1 + this.bits(zeros)
  }

  /** A signed Exp-Golomb code. */
  signed(): number {
    const code = this.unsigned()
    return code % 2 === 1 ? (code + 1) / 2 : -code / 2
  }
}
