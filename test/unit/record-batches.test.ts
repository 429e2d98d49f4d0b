import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { createRecordsBatch, type MessageRecord } from '@platformatic/kafka'
import { chunkOf, decodeBatches } from '../../src/log/kafka/record-batches.ts'
import { offset } from '../../src/units.ts'

const message = (value: string | null, extra: Partial<MessageRecord> = {}): MessageRecord => ({
  topic: 't',
  key: Buffer.from('video'),
  value: value === null ? (null as unknown as Buffer) : Buffer.from(value),
  headers: new Map([[Buffer.from('t'), Buffer.from('-5')]]),
  timestamp: 1_700_000_000_000n,
  ...extra,
})

/** As a broker stores it: with its offset. */
function batch(first: number, values: readonly string[], options: object = {}): Buffer {
  const bytes = createRecordsBatch(
    values.map(value => message(value)),
    options,
  ).buffer
  bytes.writeBigInt64BE(BigInt(first), 0)
  return Buffer.from(bytes)
}

const decode = (bytes: Buffer, from = 0, end = 5, maxBytes?: number) => {
  const chunk = chunkOf(decodeBatches(bytes, offset(from), end, maxBytes), end)
  return {
    values: chunk.records.map(each => `${each.offset}${Buffer.from(each.value)}`),
    damaged: (chunk.damaged ?? []).map(each => `${each.from}-${each.next}`),
    next: chunk.next as number,
  }
}

const three = (): [Buffer, Buffer, Buffer] => [batch(0, ['a', 'b']), batch(2, ['c']), batch(3, ['d', 'e'])]
const sound = { values: ['0a', '1b', '2c', '3d', '4e'], damaged: [], next: 5 }

describe('record batches', () => {
  it('give their records', () => {
    assert.deepEqual(decode(Buffer.concat(three())), sound)
    const [first] = decodeBatches(batch(7, ['x']), offset(7), 8).records
    assert.deepEqual(first, {
      offset: 7,
      key: 'video',
      value: new Uint8Array(Buffer.from('x')),
      headers: [['t', '-5']],
      timestamp: 1_700_000_000_000,
    })
  })

  it('are read from the middle of one, up to a size, and without one that was cut off', () => {
    const bytes = Buffer.concat(three())
    assert.deepEqual(decode(bytes, 1), { ...sound, values: ['1b', '2c', '3d', '4e'] })
    assert.deepEqual(decode(bytes, 0, 5, 2), { values: ['0a', '1b'], damaged: [], next: 2 })
    assert.deepEqual(decode(bytes.subarray(0, -1)), { values: ['0a', '1b', '2c'], damaged: [], next: 3 })
  })

  it('may be compressed by other writers, and hold nothing', () => {
    const bytes = Buffer.concat([batch(0, ['a', 'b'], { compression: 'gzip' }), batch(2, ['c'])])
    assert.deepEqual(decode(bytes, 0, 3), { values: ['0a', '1b', '2c'], damaged: [], next: 3 })
    const empty = Buffer.from(
      createRecordsBatch([message(null, { key: undefined as unknown as Buffer })]).buffer,
    )
    const [record] = decodeBatches(empty, offset(0), 1).records
    assert.deepEqual([record?.key, record?.value.byteLength], ['', 0])
  })

  it('may run ahead of the end that the broker tells', () => {
    assert.deepEqual(decode(Buffer.concat(three()), 0, 3), sound)
  })

  const heads = { 'first offset': 5, length: 9, 'magic byte': 16, checksum: 18, 'last offset': 24, count: 59 }
  for (const [what, at] of Object.entries(heads)) {
    it(`damaged in the ${what} are passed over, and what is behind them is read`, () => {
      for (let bit = 0; bit < 8; bit++) {
        const batches = three()
        const [, middle] = batches
        middle.writeUInt8(middle.readUInt8(at) ^ (1 << bit), at)
        const bytes = Buffer.concat(batches)
        let found = decode(bytes)
        if (what === 'length') {
          // The broker is asked again, from where reading stopped.
          assert.deepEqual(found, { values: ['0a', '1b'], damaged: [], next: 2 }, `bit ${bit}`)
          found = decode(bytes.subarray(batches[0].byteLength), 2)
          assert.deepEqual(found.damaged, ['2-3'], `bit ${bit}`)
          assert.equal(found.next, 3)
          continue
        }
        assert.deepEqual(found, { values: ['0a', '1b', '3d', '4e'], damaged: ['2-3'], next: 5 }, `bit ${bit}`)
      }
    })
  }

  it('damaged at the end, or all of them, still lead on', () => {
    const [one, two, last] = three()
    for (const each of [two, last]) each.writeUInt8(each.readUInt8(70) ^ 1, 70)
    assert.deepEqual(decode(Buffer.concat([one, two, last])), {
      values: ['0a', '1b'],
      damaged: ['2-5'],
      next: 5,
    })
    last.writeInt32BE(1_000_000, 23)
    const far = decode(last, 3)
    assert.deepEqual(far, { values: [], damaged: ['3-4'], next: 4 })
  })

  it('of random bytes throw nothing and go forward', () => {
    let seed = 1
    const random = (): number => {
      seed = (seed * 48271) % 2147483647
      return seed / 2147483647
    }
    for (let round = 0; round < 3000; round++) {
      const bytes = Buffer.concat(three())
      for (let i = 0; i < 4; i++)
        bytes.writeUInt8(Math.floor(random() * 256), Math.floor(random() * bytes.length))
      const from = Math.floor(random() * 5)
      const { records, next } = decodeBatches(bytes, offset(from), 5)
      assert.ok(next >= from)
      assert.ok(records.every(record => record.offset >= from))
    }
  })
})
