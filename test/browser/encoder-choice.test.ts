import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { chooseEncoder } from '../../src/browser/publisher/encoder-choice.ts'

/** @param times milliseconds by encoder; one that is not named cannot be had */
async function choice(times: Readonly<Record<string, number>>): Promise<[string | undefined, string[]]> {
  const tried: string[] = []
  const chosen = await chooseEncoder(
    [
      ['h264', 'h264 in hardware'],
      ['vp8', 'vp8 in hardware'],
    ],
    config => {
      tried.push(config)
      return Promise.resolve(times[config])
    },
    20,
  )
  return [chosen, tried]
}

describe('the choice of an encoder', () => {
  it('is the quicker one of the first codec that keeps up, and tries no other codec', async () => {
    const both = ['h264', 'h264 in hardware']
    assert.deepEqual(await choice({ h264: 8, 'h264 in hardware': 3, vp8: 1 }), ['h264 in hardware', both])
    assert.deepEqual(await choice({ h264: 3, 'h264 in hardware': 8 }), ['h264', both])
    assert.deepEqual(await choice({ h264: 30, 'h264 in hardware': 8 }), ['h264 in hardware', both])
    assert.deepEqual(await choice({ h264: 8 }), ['h264', both])
  })

  it('is the next codec where none of the first keeps up', async () => {
    assert.equal((await choice({ h264: 30, 'h264 in hardware': 40, vp8: 10 }))[0], 'vp8')
    assert.equal((await choice({ 'vp8 in hardware': 10 }))[0], 'vp8 in hardware')
  })

  it('is the quickest where none keeps up, and none where there is none', async () => {
    assert.equal((await choice({ h264: 50, 'h264 in hardware': 40, vp8: 60 }))[0], 'h264 in hardware')
    assert.equal((await choice({}))[0], undefined)
  })
})
