import assert from 'node:assert/strict'
import { it } from 'node:test'
import fc from 'fast-check'
import { Chunks } from '../../src/container/chunks.ts'
import { concat } from '../support/containers.ts'

const action = fc.oneof(
  fc.record({
    kind: fc.constant('push' as const),
    count: fc.oneof(fc.nat(4), fc.nat(1200), fc.nat(20_000)),
    repeat: fc.oneof(fc.constant(1), fc.nat(300)),
  }),
  fc.record({
    kind: fc.constantFrom('take' as const, 'skip' as const, 'at' as const),
    count: fc.nat(30_000),
  }),
)

it('chunks of any size come out as the bytes that went in', () => {
  fc.assert(
    fc.property(fc.array(action, { maxLength: 40 }), actions => {
      const chunks = new Chunks()
      let waiting: Uint8Array = new Uint8Array()
      let next = 0
      for (const action of actions) {
        const { kind, count } = action
        if (kind === 'push')
          for (let i = 0; i < Math.min(action.repeat, 40_000 / (count + 1)); i++) {
            const chunk = Uint8Array.from({ length: count }, () => next++ & 255)
            chunks.push(chunk)
            waiting = concat(waiting, chunk)
          }
        else if (kind === 'at') assert.equal(chunks.at(count), waiting[count])
        else if (kind === 'skip') {
          assert.equal(chunks.skip(count), Math.min(count, waiting.byteLength))
          waiting = waiting.subarray(count)
        } else {
          const expected = count <= waiting.byteLength ? waiting.slice(0, count) : undefined
          assert.deepEqual(chunks.take(count), expected)
          if (expected !== undefined) waiting = waiting.subarray(count)
        }
        assert.equal(chunks.length, waiting.byteLength)
      }
    }),
    { numRuns: 100 },
  )
})

it('what is taken is nobody else’s, and what was pushed is not written into', () => {
  const chunks = new Chunks()
  const large = new Uint8Array(2000).fill(1)
  const little = Uint8Array.of(2, 2)
  for (const chunk of [large, little, little, little]) chunks.push(chunk)
  const taken = chunks.take(2003)
  assert.ok(taken)
  taken.fill(9)
  chunks.push(little)
  assert.deepEqual([...(chunks.take(5) ?? [])], [2, 2, 2, 2, 2])
  assert.ok(large.every(byte => byte === 1) && little.every(byte => byte === 2))
})
