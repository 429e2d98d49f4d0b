import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { encodeFramed } from '../../src/gateway/framed.ts'
import { Joins, joinsKept } from '../../src/gateway/joins.ts'
import { Packet } from '../../src/relay/packet.ts'
import { decodeBundle, decodeMessage } from '../../src/wire/message.ts'
import { FakeClock } from '../support/fake-clock.ts'

const packet = (frames: number): Packet => new Packet({ type: 'gap', frames, reason: 'none' })

describe('what those who join are sent', () => {
  const clock = new FakeClock()
  const joins = new Joins(clock, ({ event }) => {
    assert.equal(event.type, 'gap')
    return encodeFramed(event as { type: 'gap'; frames: number; reason: string })
  })
  const told = (bundles: readonly Uint8Array[]): number[] =>
    bundles.flatMap(bundle =>
      decodeBundle(bundle).parts.map(part => {
        const message = decodeMessage(part)
        return message.type === 'gap' ? message.frames : -1
      }),
    )
  const [first, second, third] = [packet(1), packet(2), packet(3)]

  it('is made once for all who are sent the same', () => {
    const made = joins.bundlesOf([first, second, third])
    assert.deepEqual(told(made), [1, 2, 3])
    assert.equal(joins.bundlesOf([first, second, third]), made)
  })

  it('is another where one packet of it is, be it in the middle', () => {
    const made = joins.bundlesOf([first, second, third])
    assert.deepEqual(told(joins.bundlesOf([first, packet(7), third])), [1, 7, 3])
    assert.notEqual(joins.bundlesOf([first, second, third]), made)
    assert.deepEqual(told(joins.bundlesOf([first, second])), [1, 2])
  })

  it('is kept for a moment', () => {
    const made = joins.bundlesOf([first, second])
    clock.advance(joinsKept)
    assert.notEqual(joins.bundlesOf([first, second]), made)
  })
})
