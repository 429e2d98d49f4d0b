import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { setImmediate as nextTurn } from 'node:timers/promises'
import { Turns } from '../../src/log/embedded/turns.ts'

describe('turns', () => {
  it('come one after the other, in order, and leave room for what else there is', async () => {
    const turns = new Turns()
    let passed = 0
    let counts = true
    const counting = (async () => {
      while (counts) {
        await nextTurn()
        passed += 1
      }
    })()
    const order: number[] = []
    const at = await Promise.all(
      Array.from({ length: 20 }, async (_, i) => {
        await turns.next()
        order.push(i)
        return passed
      }),
    )
    counts = false
    await counting
    assert.deepEqual(order, [...Array(20).keys()])
    for (const [i, turn] of at.entries()) assert.ok(i === 0 || turn > (at[i - 1] ?? 0), String(at))
  })

  it('go on where all who waited have had theirs', async () => {
    const turns = new Turns()
    for (let i = 0; i < 3; i++) await turns.next()
    await Promise.all([turns.next(), turns.next()])
  })
})
