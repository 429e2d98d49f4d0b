/** Reads and writes big-endian fields. Times and offsets take 8 bytes and are safe integers (up to 2^53 - 1). */

/** What `ByteReader` throws: the caller turns it into its own coded error. */
export class OutOfBytes extends Error {}

export class ByteReader {
  readonly #bytes: Uint8Array
  readonly #view: DataView
  #at = 0

  /** @param bytes borrowed for as long as the reader is used */
  constructor(bytes: Uint8Array) {
    this.#bytes = bytes
    this.#view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength)
  }

  get remaining(): number {
    return this.#bytes.byteLength - this.#at
  }

  u8(): number {
    return this.#view.getUint8(this.#take(1))
  }

  u16(): number {
    return this.#view.getUint16(this.#take(2))
  }

  u32(): number {
    return this.#view.getUint32(this.#take(4))
  }

  i32(): number {
    return this.#view.getInt32(this.#take(4))
  }

  /** A signed 64-bit integer; @throws OutOfBytes where it is no safe integer. */
  i64(): number {
    const at = this.#take(8)
    const value = this.#view.getInt32(at) * 0x1_0000_0000 + this.#view.getUint32(at + 4)
    if (!Number.isSafeInteger(value)) throw new OutOfBytes('an integer past 2^53')
    return value
  }

  /** A view: valid as long as the bytes that the reader was given. */
  bytes(length: number): Uint8Array {
    const at = this.#take(length)
    return this.#bytes.subarray(at, at + length)
  }

  /** Bytes as characters 0-255; for names and numbers in ASCII. */
  latin1(length: number): string {
    let text = ''
    for (const byte of this.bytes(length)) text += String.fromCharCode(byte)
    return text
  }

  rest(): Uint8Array {
    return this.bytes(this.remaining)
  }

  #take(length: number): number {
    const at = this.#at
    if (length < 0 || length > this.remaining)
      throw new OutOfBytes(`${length} bytes wanted, ${this.remaining} left`)
    this.#at = at + length
    return at
  }
}

export class ByteWriter {
  readonly #bytes: Uint8Array<ArrayBuffer>
  readonly #view: DataView
  #at = 0

  /** @param length exact size of what will be written */
  constructor(length: number) {
    this.#bytes = new Uint8Array(length)
    this.#view = new DataView(this.#bytes.buffer)
  }

  u8(value: number): this {
    this.#view.setUint8(this.#at, value)
    this.#at += 1
    return this
  }

  u32(value: number): this {
    this.#view.setUint32(this.#at, value)
    this.#at += 4
    return this
  }

  i32(value: number): this {
    this.#view.setInt32(this.#at, value)
    this.#at += 4
    return this
  }

  i64(value: number): this {
    this.#view.setInt32(this.#at, Math.floor(value / 0x1_0000_0000))
    this.#view.setUint32(this.#at + 4, value >>> 0)
    this.#at += 8
    return this
  }

  bytes(value: Uint8Array): this {
    this.#bytes.set(value, this.#at)
    this.#at += value.byteLength
    return this
  }

  /** Leaves bytes as they are, zero, for somebody else. */
  skip(length: number): this {
    this.#at += length
    return this
  }

  latin1(text: string): this {
    for (let i = 0; i < text.length; i++) this.#bytes[this.#at + i] = text.charCodeAt(i)
    this.#at += text.length
    return this
  }

  /** The bytes, owned by the caller from here on. @throws RangeError where not all were written */
  finish(): Uint8Array<ArrayBuffer> {
    if (this.#at !== this.#bytes.byteLength)
      throw new RangeError(`wrote ${this.#at} of ${this.#bytes.byteLength} bytes`)
    return this.#bytes
  }
}

/** Parts one after the other. @returns owned bytes */
export function joinBytes(parts: readonly (Uint8Array | readonly number[])[]): Uint8Array<ArrayBuffer> {
  const joined = new Uint8Array(parts.reduce((sum, part) => sum + part.length, 0))
  let at = 0
  for (const part of parts) {
    joined.set(part, at)
    at += part.length
  }
  return joined
}
