import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { PacketTimes, packetTimesLimits } from '../../src/browser/player/packet-times.ts'
import { micros } from '../../src/units.ts'

const samples = (count: number): number => (count * 1_000_000) / 48_000

describe('the times of decoded sound', () => {
  const filled = (...timestamps: number[]): PacketTimes => {
    const times = new PacketTimes()
    for (const timestamp of timestamps) times.push(micros(timestamp), 60_000)
    return times
  }

  it("are the packets', whatever the decoder counts", () => {
    const times = filled(1_000_000, 1_070_000, 1_500_000)
    assert.equal(times.next(1_000_000, samples(2880)), 1_000_000)
    assert.equal(times.next(1_060_000, samples(2880)), 1_070_000)
    assert.equal(times.next(1_120_000, samples(2880)), 1_500_000)
    assert.equal(times.next(1_180_000, samples(2880)), undefined)
  })

  it('go on within a packet that comes out in pieces', () => {
    const times = filled(0, 60_000, 200_000)
    const got = [2048, 832, 2048, 832, 2048, 832].map(count => times.next(0, samples(count)) ?? -1)
    assert.deepEqual(got.map(Math.round), [0, 42_667, 60_000, 102_667, 200_000, 242_667])
  })

  it('do not go on in a packet whose beginning was cut off', () => {
    const times = filled(0, 60_000)
    assert.equal(times.next(0, samples(2880 - 312)), 0)
    assert.equal(times.next(53_500, samples(2880)), 60_000)
  })

  it('begin with the packet that the first block came from', () => {
    const times = filled(0, 60_000, 120_000)
    assert.equal(times.next(120_000, samples(2880)), 120_000)
  })

  it('are kept of so many packets and no more', () => {
    const times = new PacketTimes()
    for (let i = 0; i < 2 * packetTimesLimits.packets; i++) times.push(micros(i * 20_000), 20_000)
    let blocks = 0
    while (times.next(0, 20_000) !== undefined) blocks += 1
    assert.equal(blocks, packetTimesLimits.packets)
  })
})
