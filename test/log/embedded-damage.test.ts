/** Records of the embedded log that are no longer as they were written, found while it runs. */
import assert from 'node:assert/strict'
import { randomBytes } from 'node:crypto'
import { closeSync, mkdtempSync, openSync, readFileSync, rmSync, writeSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, describe, it } from 'node:test'
import { openEmbeddedLog } from '../../src/log/embedded/embedded-log.ts'
import type { Chunk, Log, NewRecord, Topic } from '../../src/log/log.ts'
import { millis, offset } from '../../src/units.ts'
import { TailReader } from './tail-reader.ts'

const root = mkdtempSync(join(tmpdir(), 'framelog-damage-'))
after(() => rmSync(root, { recursive: true, force: true }))

const now = Date.now()
const hour = 3_600_000
/** Of a record with the key `video` and no headers, in the store: where its timestamp begins, before its value. */
const timestampAt = -15

const record = (timestamp: number, bytes = 10_000): NewRecord => ({
  key: 'video',
  value: randomBytes(bytes),
  headers: [],
  timestamp: millis(timestamp),
})

/** LMDB maps its file: what is written over in it is what it reads next. */
function flip(dir: string, { value }: NewRecord, at: number, bit: number): void {
  const path = join(dir, 'log.mdb')
  const bytes = readFileSync(path)
  const fd = openSync(path, 'r+')
  let count = 0
  for (let found = bytes.indexOf(value); found >= 0; found = bytes.indexOf(value, found + 1)) {
    writeSync(fd, Buffer.of((bytes[found + at] as number) ^ bit), 0, 1, found + at)
    count += 1
  }
  closeSync(fd)
  assert.ok(count > 0)
}

interface Filled extends AsyncDisposable {
  readonly log: Log
  readonly topic: Topic
  readonly dir: string
}

async function fill(records: readonly NewRecord[], retention?: number): Promise<Filled> {
  const dir = mkdtempSync(join(root, 'log-'))
  const log = await openEmbeddedLog({ dir, trimEvery: hour })
  const topic = await log.create('a', retention === undefined ? {} : { retention: millis(retention) })
  await log.append(topic, records)
  return { log, topic, dir, [Symbol.asyncDispose]: () => log[Symbol.asyncDispose]() }
}

describe('damaged records of the embedded log', { timeout: 60_000 }, () => {
  it('are passed over and named, neighbours as one, and the rest is read', async () => {
    const records = Array.from({ length: 10 }, (_, i) => record(now + i))
    await using filled = await fill(records)
    const { log, topic, dir } = filled
    for (const at of [3, 4, 7]) flip(dir, records[at] as NewRecord, 500, 1)
    const damaged = [
      { from: 3, next: 5 },
      { from: 7, next: 8 },
    ]
    const chunk = await log.read(topic, offset(0), 1_000_000)
    assert.deepEqual(
      chunk.records.map(each => each.offset),
      [0, 1, 2, 5, 6, 8, 9],
    )
    assert.deepEqual(chunk.damaged, damaged)
    assert.equal(chunk.next, 10)
    assert.deepEqual(await log.read(topic, offset(4), 1), {
      records: [],
      damaged: [{ from: 4, next: 5 }],
      next: 5,
      end: 10,
    })
    using tail = new TailReader(log, topic, offset(0))
    await tail.until(7)
    assert.deepEqual(tail.damaged, damaged)
  })

  it('are told to a tail that has nothing else to read', async () => {
    const records = Array.from({ length: 3 }, (_, i) => record(now + i))
    await using filled = await fill(records)
    const { log, topic, dir } = filled
    for (const each of records) flip(dir, each, 500, 1)
    const { promise, resolve } = Promise.withResolvers<Chunk>()
    const tail = log.tail(topic, offset(1), { onChunk: resolve, onEnd: error => assert.fail(error) })
    assert.deepEqual(await promise, { records: [], damaged: [{ from: 1, next: 3 }], next: 3, end: 3 })
    tail.close()
  })

  it('say nothing about how old they are: retention leaves those between young ones', async () => {
    const times = Array.from({ length: 64 }, (_, i) => (i < 4 ? now - 2 * hour : now + i))
    const records = times.map(time => record(time, 3000))
    const dir = mkdtempSync(join(root, 'log-'))
    await using log = await openEmbeddedLog({ dir, trimEvery: hour })
    const topic = await log.create('a', { retention: millis(hour) })
    await log.append(topic, records)
    // A bit of the timestamp: decades ago.
    for (let at = 10; at < 60; at++) flip(dir, records[at] as NewRecord, timestampAt + 2, 1)
    assert.deepEqual(await log.bounds(topic), { first: 4, next: 64 })
    assert.equal(await log.offsetAt(topic, millis(now + 5)), 5)
    assert.equal(await log.offsetAt(topic, millis(now + 62)), 62)
  })
})
