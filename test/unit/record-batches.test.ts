import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { gzipSync, zstdCompressSync } from 'node:zlib'
import { compressionsAlgorithms, crc32c, createRecordsBatch, type MessageRecord } from '@platformatic/kafka'
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

/** Of bytes as they are: what a library would not write. */
function rawBatch(first: number, codec: number, body: Buffer, count = 1): Buffer {
  const bytes = Buffer.alloc(61 + body.byteLength)
  bytes.writeBigInt64BE(BigInt(first), 0)
  bytes.writeInt32BE(bytes.byteLength - 12, 8)
  bytes.writeInt8(2, 16)
  bytes.writeInt16BE(codec, 21)
  bytes.writeInt32BE(count - 1, 23)
  bytes.writeInt32BE(count, 57)
  body.copy(bytes, 61)
  bytes.writeUInt32BE(crc32c(bytes.subarray(21)), 17)
  return bytes
}

/** As Java's writers frame snappy: a head, and blocks with their lengths. */
function xerial(blocks: readonly Buffer[]): Buffer {
  const head = Buffer.from('\x82SNAPPY\0\0\0\0\x01\0\0\0\x01', 'latin1')
  return Buffer.concat([
    head,
    ...blocks.flatMap(block => {
      const length = Buffer.alloc(4)
      length.writeUInt32BE(block.byteLength)
      return [length, block]
    }),
  ])
}

/** Size of the largest buffer that is made in reading. */
function largestBuffer(read: () => void): number {
  const own = {
    alloc: Buffer.alloc,
    allocUnsafe: Buffer.allocUnsafe,
    allocUnsafeSlow: Buffer.allocUnsafeSlow,
  }
  let largest = 0
  const watched = (make: (size: number) => Buffer) => (size: number) => {
    largest = Math.max(largest, size)
    return make.call(Buffer, size)
  }
  for (const [name, make] of Object.entries(own)) Object.assign(Buffer, { [name]: watched(make) })
  try {
    read()
  } finally {
    Object.assign(Buffer, own)
  }
  return largest
}

const MiB = 1024 * 1024
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

  for (const compression of ['gzip', 'snappy', 'lz4', 'zstd'])
    it(`compressed by ${compression} are read`, () => {
      const values = [
        'a',
        'xyz'.repeat(100_000),
        Buffer.from(crypto.getRandomValues(new Uint8Array(60_000))).toString('hex'),
      ]
      const bytes = Buffer.concat([batch(0, values, { compression }), batch(3, ['d'])])
      assert.deepEqual(decode(bytes, 0, 4), {
        values: [...values, 'd'].map((value, i) => `${i}${value}`),
        damaged: [],
        next: 4,
      })
    })

  it("compressed in the blocks of Java's snappy are read", () => {
    const body = batch(0, ['a', 'b'.repeat(5000)]).subarray(61)
    const { compressSync } = compressionsAlgorithms.snappy
    const blocks = [body.subarray(0, 2000), body.subarray(2000)].map(each => compressSync(each))
    assert.deepEqual(decode(rawBatch(0, 2, xerial(blocks), 2), 0, 2), {
      values: ['0a', `1${'b'.repeat(5000)}`],
      damaged: [],
      next: 2,
    })
  })

  const zeros = Buffer.alloc(40 * MiB)
  const part = compressionsAlgorithms.snappy.compressSync(zeros.subarray(0, MiB))
  const bombs: Record<string, [codec: number, body: Buffer]> = {
    gzip: [1, gzipSync(zeros)],
    snappy: [2, compressionsAlgorithms.snappy.compressSync(zeros)],
    "Java's snappy": [2, xerial(Array<Buffer>(40).fill(part))],
    'snappy, in blocks of nothing': [2, xerial(Array<Buffer>(200_000).fill(Buffer.alloc(1)))],
    lz4: [3, compressionsAlgorithms.lz4.compressSync(zeros)],
    zstd: [4, zstdCompressSync(zeros)],
  }
  for (const [name, [codec, body]] of Object.entries(bombs))
    it(`compressed by ${name} that are larger than 32 MiB are damaged, and are not decompressed`, () => {
      const bytes = Buffer.concat([rawBatch(0, codec, body, 3), batch(3, ['d'])])
      let found: ReturnType<typeof decode> | undefined
      const largest = largestBuffer(() => {
        found = decode(bytes, 0, 4)
      })
      assert.ok(largest <= 32 * MiB, `a buffer of ${largest} bytes`)
      assert.deepEqual(found?.damaged, ['0-3'])
      const rest = found?.next === 3 ? decode(bytes.subarray(61 + body.byteLength), 3, 4) : found
      assert.deepEqual([...(rest?.values ?? []), rest?.next], ['3d', 4])
    })

  it('that do not decompress, or by no known codec, are damaged over all of their offsets', () => {
    for (const codec of [1, 2, 3, 4, 5, 6, 7]) {
      const bytes = rawBatch(0, codec, Buffer.from('nothing that any of them wrote'), 3)
      assert.deepEqual(decode(bytes, 0, 3), { values: [], damaged: ['0-3'], next: 3 })
    }
  })

  it('that are many, and compressed well, are read some at a time', () => {
    const body = gzipSync(zeros)
    const bytes = Buffer.concat([0, 1, 2].map(first => rawBatch(first, 1, body)))
    assert.deepEqual(decode(bytes, 0, 3), { values: [], damaged: ['0-1'], next: 1 })
  })

  it('of too many records or headers, or of a record that leads back, are damaged', () => {
    const record = Buffer.from([12, 0, 0, 0, 1, 1, 0])
    const many = 128 * 1024 + 1
    const records = Buffer.alloc(many * record.byteLength, record)
    assert.deepEqual(decode(rawBatch(0, 1, gzipSync(records), many), 0, many).damaged, [`0-${many}`])
    assert.deepEqual(decode(rawBatch(0, 0, Buffer.from([1, 0, 0, 0, 1, 1, 0]), 1000), 0, 1000).damaged, [
      '0-1000',
    ])
    // Zigzag: 600,000 headers without a name or a text.
    const headers = Buffer.concat([
      Buffer.from([2, 0, 0, 0, 1, 1, 0x80, 0x9f, 0x49]),
      Buffer.alloc(1_200_000),
    ])
    assert.deepEqual(decode(rawBatch(0, 0, headers, 1), 0, 1).damaged, ['0-1'])
  })

  it('give values that pin little beside themselves: a copy where others stand in the same answer', () => {
    const large = 'x'.repeat(6000)
    // An answer of its own, as the network gives it: with a few bytes before the batch.
    const apart = (bytes: Buffer): Buffer => {
      const answer = new Uint8Array(100 + bytes.byteLength)
      answer.set(bytes, 100)
      return Buffer.from(answer.buffer, 100)
    }
    const alone = decodeBatches(apart(batch(0, [large])), offset(0), 1).records
    const together = decodeBatches(apart(batch(0, [large, large, 'small'])), offset(0), 3).records
    for (const { value } of [...alone, ...together])
      assert.ok(value.buffer.byteLength - value.byteLength <= 512, `${value.buffer.byteLength} bytes pinned`)
    assert.deepEqual(
      [...alone, ...together].map(({ value }) => Buffer.from(value).toString()),
      [large, large, large, 'small'],
    )
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
