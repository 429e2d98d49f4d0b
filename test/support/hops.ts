/** Any way of a frame, for property tests. */
import fc from 'fast-check'
import type { HopName, Hops } from '../../src/media/hops.ts'
import { micros } from '../../src/units.ts'

/** @returns hops of these names, one at least */
export function anyHops(...names: readonly HopName[]): fc.Arbitrary<Hops> {
  const time = fc.integer({ min: -(2 ** 31) + 1, max: 2 ** 31 - 1 }).map(micros)
  const all = Object.fromEntries(names.map(name => [name, time]))
  return fc
    .record(all, { requiredKeys: [], noNullPrototype: true })
    .filter(hops => Object.keys(hops).length > 0) as fc.Arbitrary<Hops>
}
