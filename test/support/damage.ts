/** Ways in which bytes are damaged that were whole. */
import fc from 'fast-check'
import { concat } from './containers.ts'

type Damage =
  | { readonly kind: 'flip'; readonly at: number; readonly bit: number }
  | { readonly kind: 'set'; readonly at: number; readonly bytes: Uint8Array }
  | {
      readonly kind: 'cut' | 'double' | 'move'
      readonly at: number
      readonly length: number
      readonly to: number
    }
  | { readonly kind: 'end'; readonly at: number }

/** What a length field may be set to: none, all ones of each width, the edge of a sign, an unknown size of EBML. */
const extremes = [
  [0],
  [0xff],
  [0, 0, 0, 0],
  [0, 0, 0, 1],
  [0xff, 0xff, 0xff, 0xff],
  [0x7f, 0xff, 0xff, 0xff],
  [0x80, 0, 0, 0],
  [0, 0, 0, 1, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff],
  [0x01, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff],
  [0x01, 0x1f, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff],
].map(bytes => Uint8Array.from(bytes))

/** A part of a whole: as an integer, since among doubles as many lie below any number as above it. */
export const part: fc.Arbitrary<number> = fc.noBias(fc.nat(2 ** 30 - 1)).map(number => number / 2 ** 30)

const damageAt = (place: fc.Arbitrary<number>): fc.Arbitrary<Damage> =>
  fc.oneof(
    fc.record({ kind: fc.constant('flip' as const), at: place, bit: fc.nat(7) }),
    fc.record({ kind: fc.constant('set' as const), at: place, bytes: fc.constantFrom(...extremes) }),
    fc.record({
      kind: fc.constantFrom('cut' as const, 'double' as const, 'move' as const),
      at: place,
      length: fc.oneof(fc.nat(16), fc.nat(3000)),
      to: part,
    }),
    { weight: 1, arbitrary: fc.record({ kind: fc.constant('end' as const), at: place }) },
  )

function apply(bytes: Uint8Array, damage: Damage): Uint8Array {
  const at = Math.floor(damage.at * bytes.byteLength)
  switch (damage.kind) {
    case 'flip': {
      const changed = bytes.slice()
      changed[at] = (changed[at] ?? 0) ^ (1 << damage.bit)
      return changed.subarray(0, bytes.byteLength)
    }
    case 'set':
      return concat(bytes.subarray(0, at), damage.bytes, bytes.subarray(at + damage.bytes.byteLength))
    case 'cut':
      return concat(bytes.subarray(0, at), bytes.subarray(at + damage.length))
    case 'double':
      return concat(bytes.subarray(0, at + damage.length), bytes.subarray(at))
    case 'move': {
      const part = bytes.subarray(at, at + damage.length)
      const rest = concat(bytes.subarray(0, at), bytes.subarray(at + damage.length))
      const to = Math.floor(damage.to * rest.byteLength)
      return concat(rest.subarray(0, to), part, rest.subarray(to))
    }
    case 'end':
      return bytes.subarray(0, at)
    default:
      return damage satisfies never
  }
}

/** The same bytes with one to six damages. */
export const damaged = (bytes: fc.Arbitrary<Uint8Array>): fc.Arbitrary<Uint8Array> =>
  fc
    .tuple(bytes, fc.array(damageAt(part), { minLength: 1, maxLength: 6 }))
    .map(([bytes, damages]) => damages.reduce(apply, bytes))

/** The same, most of it where one of the marks stands or close to it: ids, and the sizes beside them. */
export function damagedAtMarks(bytes: Uint8Array, marks: readonly Uint8Array[]): fc.Arbitrary<Uint8Array> {
  const whole = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength)
  const places: number[] = []
  for (const mark of marks)
    for (let at = whole.indexOf(mark); at >= 0; at = whole.indexOf(mark, at + 1)) places.push(at)
  const near = fc
    .tuple(fc.nat(places.length - 1), fc.integer({ min: -4, max: 24 }))
    .map(
      ([mark, by]) =>
        Math.min(Math.max(0, (places[mark] ?? 0) + by), bytes.byteLength - 1) / bytes.byteLength,
    )
  const place = fc.oneof({ weight: 3, arbitrary: fc.noBias(near) }, { weight: 1, arbitrary: part })
  return fc
    .array(damageAt(place), { minLength: 1, maxLength: 6 })
    .map(damages => damages.reduce(apply, bytes))
}
