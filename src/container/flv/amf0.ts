/**
 * Action Message Format 0 (Adobe, 2007), as far as FLV's metadata and RTMP's commands need it: numbers, booleans, strings,
 * objects, arrays, null. What is no part of that, a reference or an object of a class, is read as null.
 */
import { ByteReader, OutOfBytes } from '../../core/bytes.ts'
import { decodeText, encodeText } from '../../core/text.ts'

export type Amf = number | boolean | string | null | AmfObject | readonly Amf[]
export interface AmfObject {
  readonly [name: string]: Amf
}

export const amfLimits = {
  /** Objects in objects. */
  depth: 16,
  /** Values of one message. */
  values: 4096,
} as const

const markers = {
  number: 0,
  boolean: 1,
  string: 2,
  object: 3,
  null: 5,
  undefined: 6,
  reference: 7,
  ecmaArray: 8,
  objectEnd: 9,
  strictArray: 10,
  date: 11,
  longString: 12,
  unsupported: 13,
  xml: 15,
  typedObject: 16,
} as const

/** All values that follow each other. @param bytes borrowed. @throws OutOfBytes where they are none, or too many */
export function decodeAmf0(bytes: Uint8Array): Amf[] {
  const reader = new AmfReader(new ByteReader(bytes))
  const values: Amf[] = []
  while (reader.remaining > 0) values.push(reader.value(0))
  return values
}

class AmfReader {
  readonly #reader: ByteReader
  #values = 0

  constructor(reader: ByteReader) {
    this.#reader = reader
  }

  get remaining(): number {
    return this.#reader.remaining
  }

  value(depth: number): Amf {
    this.#values += 1
    if (depth > amfLimits.depth || this.#values > amfLimits.values)
      throw new OutOfBytes('more values than there can be')
    const reader = this.#reader
    const marker = reader.u8()
    switch (marker) {
      case markers.number:
        return float(reader)
      case markers.boolean:
        return reader.u8() !== 0
      case markers.string:
        return decodeText(reader.bytes(reader.u16()))
      case markers.longString:
      case markers.xml:
        return decodeText(reader.bytes(reader.u32()))
      case markers.null:
      case markers.undefined:
      case markers.unsupported:
        return null
      case markers.reference:
        reader.u16()
        return null
      case markers.date: {
        const time = float(reader)
        reader.u16()
        return time
      }
      case markers.ecmaArray:
        reader.u32()
        return this.#object(depth)
      case markers.object:
        return this.#object(depth)
      case markers.typedObject:
        reader.bytes(reader.u16())
        return this.#object(depth)
      case markers.strictArray: {
        const count = reader.u32()
        const values: Amf[] = []
        for (let i = 0; i < count; i++) values.push(this.value(depth + 1))
        return values
      }
      default:
        throw new OutOfBytes(`a value of type ${marker}`)
    }
  }

  #object(depth: number): AmfObject {
    const entries: [string, Amf][] = []
    for (;;) {
      const name = decodeText(this.#reader.bytes(this.#reader.u16()))
      if (name === '' && this.#peekEnd()) return Object.fromEntries(entries)
      entries.push([name, this.value(depth + 1)])
    }
  }

  /** Takes the end of an object, where there is one. Some writers leave it out behind the last array of a message. */
  #peekEnd(): boolean {
    if (this.#reader.remaining > 0 && this.#reader.u8() !== markers.objectEnd)
      throw new OutOfBytes('a field without a name')
    return true
  }
}

function float(reader: ByteReader): number {
  const bytes = reader.bytes(8)
  return new DataView(bytes.buffer, bytes.byteOffset).getFloat64(0)
}

/** @returns owned bytes. @throws RangeError where a string has over 65,535 bytes */
export function encodeAmf0(values: readonly Amf[]): Uint8Array {
  const bytes: number[] = []
  for (const value of values) write(bytes, value)
  return Uint8Array.from(bytes)
}

function write(bytes: number[], value: Amf): void {
  if (typeof value === 'number') {
    const view = new DataView(new ArrayBuffer(8))
    view.setFloat64(0, value)
    bytes.push(markers.number, ...new Uint8Array(view.buffer))
  } else if (typeof value === 'boolean') bytes.push(markers.boolean, value ? 1 : 0)
  else if (typeof value === 'string') {
    bytes.push(markers.string)
    writeText(bytes, value)
  } else if (value === null) bytes.push(markers.null)
  else if (isArray(value)) {
    bytes.push(markers.strictArray, 0, 0, value.length >> 8, value.length & 255)
    for (const each of value) write(bytes, each)
  } else {
    bytes.push(markers.object)
    for (const [name, each] of Object.entries(value)) {
      writeText(bytes, name)
      write(bytes, each)
    }
    bytes.push(0, 0, markers.objectEnd)
  }
}

const isArray = (value: Amf): value is readonly Amf[] => Array.isArray(value)

function writeText(bytes: number[], text: string): void {
  const encoded = encodeText(text)
  if (encoded.byteLength > 0xffff) throw new RangeError('a string of over 65,535 bytes')
  bytes.push(encoded.byteLength >> 8, encoded.byteLength & 255, ...encoded)
}
