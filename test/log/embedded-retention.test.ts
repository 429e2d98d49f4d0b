/** What the embedded log removes: by age, by size, and by the limit of the whole store. */
import assert from 'node:assert/strict'
import { randomBytes } from 'node:crypto'
import { mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, describe, it } from 'node:test'
import { setImmediate as turn } from 'node:timers/promises'
import { crc32 } from 'node:zlib'
import { open as openLmdb } from 'lmdb'
import { openEmbeddedLog } from '../../src/log/embedded/embedded-log.ts'
import { encodeRecord, recordKey } from '../../src/log/embedded/layout.ts'
import { loadTopic } from '../../src/log/embedded/load.ts'
import { searchTime } from '../../src/log/embedded/reading.ts'
import { markFile, readState } from '../../src/log/embedded/state.ts'
import { Store } from '../../src/log/embedded/store.ts'
import type { Log, NewRecord, Topic } from '../../src/log/log.ts'
import { millis, offset } from '../../src/units.ts'
import { TailReader } from './tail-reader.ts'

const root = mkdtempSync(join(tmpdir(), 'framelog-retention-'))
after(() => rmSync(root, { recursive: true, force: true }))

const hour = 3_600_000
const now = Date.now()
const size = 20_000

const record = (timestamp = now, bytes = size): NewRecord => ({
  key: 'video',
  value: randomBytes(bytes),
  headers: [],
  timestamp: millis(timestamp),
})

/** Never looks by itself within a test: what happens, an append caused. */
const open = (dir: string, limit?: number): Promise<Log> => openEmbeddedLog({ dir, limit, trimEvery: hour })
const newDir = (): string => mkdtempSync(join(root, 'log-'))

const firstOf = async (log: Log, topic: Topic): Promise<number> => (await log.bounds(topic)).first
const keptBytes = async (log: Log, topic: Topic): Promise<number> => {
  const { first, next } = await log.bounds(topic)
  return (next - first) * size
}
const appendMany = async (log: Log, topic: Topic, count: number, from = now): Promise<void> => {
  for (let i = 0; i < count; i++) await log.append(topic, [record(from + i)])
}
/** Files of the test's own store, closed, as LMDB sees them. */
const marksOf = (dir: string) => {
  const store = openLmdb({ path: join(dir, 'log.mdb'), maxDbs: 4 })
  return { store, marks: store.openDB({ name: 'marks', encoding: 'binary', keyEncoding: 'binary' }) }
}

describe('retention of the embedded log', { timeout: 60_000 }, () => {
  it('keeps a topic to its size without waiting for the next look, and refuses what is gone', async () => {
    await using log = await open(newDir())
    const retentionBytes = 50 * size
    const topic = await log.create('sized', { retentionBytes })
    const other = await log.create('other', {})
    await appendMany(log, other, 100)
    for (let i = 0; i < 300; i++) {
      await log.append(topic, [record()])
      if (i < 50) assert.equal(await firstOf(log, topic), 0)
    }
    while ((await keptBytes(log, topic)) > retentionBytes * 1.1) await turn()
    assert.ok((await keptBytes(log, topic)) > retentionBytes * 0.9)
    await assert.rejects(log.read(topic, offset((await firstOf(log, topic)) - 1), 100), {
      code: 'OFFSET_OUT_OF_RANGE',
    })
    assert.deepEqual(await log.bounds(other), { first: 0, next: 100 })
  })

  it('knows the size of a topic after a restart, also where an older version kept no count', async () => {
    const dir = newDir()
    const retentionBytes = 50 * size
    for (let round = 0; round < 4; round++) {
      await using log = await open(dir)
      const topic = await log.create('sized', { retentionBytes })
      await appendMany(log, topic, 49)
      const { first, next } = await log.bounds(topic)
      while (round > 0 && (await keptBytes(log, topic)) > retentionBytes * 1.1) await turn()
      assert.equal(next, 49 * (round + 1))
      if (round === 0) assert.equal(first, 0)
      await log[Symbol.asyncDispose]()
      if (round !== 2) continue
      const { store, marks } = marksOf(dir)
      await marks.clearAsync()
      await store.close()
    }
  })

  it('believes no damaged mark, and counts anew', async () => {
    const dir = newDir()
    const retentionBytes = 200 * size
    {
      await using log = await open(dir)
      await appendMany(log, await log.create('sized', { retentionBytes }), 150)
    }
    const { store, marks } = marksOf(dir)
    const [last] = [...marks.getRange({})].slice(-1)
    assert.ok(last)
    const value = Buffer.from(last.value)
    await store.close()
    const path = join(dir, 'log.mdb')
    const bytes = readFileSync(path)
    // 4 GiB more in all: everything before this mark would go.
    for (let at = bytes.indexOf(value); at >= 0; at = bytes.indexOf(value, at + 1))
      bytes.writeUInt8(bytes.readUInt8(at + 3) ^ 1, at + 3)
    writeFileSync(path, bytes)
    // Left open on this boot, as by a killed process: it is not checked.
    const text = JSON.stringify({ ...readState(dir), file: markFile(path, false) })
    writeFileSync(join(dir, 'log.json'), `${text}\n${crc32(text)}\n`)
    for (let round = 0; round < 2; round++) {
      await using log = await open(dir)
      const topic = await log.create('sized', { retentionBytes })
      await appendMany(log, topic, 60)
      while ((await keptBytes(log, topic)) > retentionBytes * 1.1) await turn()
      assert.ok((await keptBytes(log, topic)) > retentionBytes * 0.9)
    }
  })

  it('keeps no mark of what is gone', async () => {
    const dir = newDir()
    const log = await open(dir)
    const topic = await log.create('sized', { retentionBytes: 10 * size })
    await appendMany(log, topic, 500)
    while ((await keptBytes(log, topic)) > 11 * size) await turn()
    await log[Symbol.asyncDispose]()
    const { store, marks } = marksOf(dir)
    assert.ok(marks.getCount() < 40, `${marks.getCount()} marks`)
    await store.close()
  })

  it('serves nothing that is past its age, though it was not removed yet', async () => {
    await using log = await open(newDir())
    const topic = await log.create('old', { retention: millis(60_000) })
    await log.append(topic, [record(now - 120_000), record(now - 90_000), record(now), record(now)])
    while ((await firstOf(log, topic)) < 2) await turn()
    assert.deepEqual(await log.bounds(topic), { first: 2, next: 4 })
    await assert.rejects(log.read(topic, offset(1), 100), { code: 'OFFSET_OUT_OF_RANGE' })
    assert.equal(await log.offsetAt(topic, millis(0)), 2)
    using tail = new TailReader(log, topic, offset(0))
    assert.equal((await tail.ended).code, 'OFFSET_OUT_OF_RANGE')
  })
})

describe('a search by time', () => {
  it('reads one record where nothing is too old, and few where something is', async () => {
    const dir = newDir()
    const store = new Store(dir, join(dir, 'log.mdb'), 'commit')
    await store.write(store.makeRoom(1000, 100_000), () => {
      for (let i = 0; i < 1000; i++) {
        const key = recordKey(1, i)
        store.records.put(key, encodeRecord(record(now + i, 10), key))
      }
    })
    const topic = loadTopic(store, 'a', { id: 'id', number: 1, compact: false }, 4096)
    let reads = 0
    const getRange = store.records.getRange.bind(store.records)
    store.records.getRange = options => {
      reads += 1
      return getRange(options)
    }
    for (const [time, found, most] of [
      [now - hour, 0, 1],
      [now + 700, 700, 12],
      [now + hour, 1000, 12],
    ] as const) {
      reads = 0
      assert.equal(searchTime(store, topic, time), found)
      assert.ok(reads <= most, `${reads} reads`)
    }
    await store.close()
  })
})

describe('the limit of the embedded log', { timeout: 60_000 }, () => {
  const limit = 8 * 1024 * 1024

  it('makes room by removing the oldest records of all topics', async () => {
    const dir = newDir()
    await using log = await open(dir, limit)
    const directory = await log.create('directory', { compact: true })
    await log.append(directory, [record(now - hour, 100)])
    const idle = await log.create('idle', {})
    await appendMany(log, idle, 3, now - hour)
    const topics = await Promise.all(['a', 'b'].map(name => log.create(name, {})))
    for (let i = 0; i < 1000; i++)
      for (const topic of topics) await log.append(topic, [record(now + i)]).catch(retryable)
    const firsts = await Promise.all(topics.map(topic => firstOf(log, topic)))
    const [a = 0, b = 0] = firsts
    assert.ok(a > 700 && b > 700, String(firsts))
    assert.ok(Math.abs(a - b) < 100, `both are as old: ${firsts}`)
    assert.deepEqual(await log.bounds(idle), { first: 2, next: 3 })
    assert.equal((await log.read(directory, offset(0), 1000)).records.length, 1)
    const { size: length } = statSync(join(dir, 'log.mdb'))
    assert.ok(length < limit * 1.25, `a file of ${length} bytes`)
  })

  it('makes room at a start with a lower limit', async () => {
    const dir = newDir()
    const before = await open(dir)
    const topic = await before.create('a', {})
    await appendMany(before, topic, 600)
    await before[Symbol.asyncDispose]()
    await using log = await open(dir, limit)
    while ((await keptBytes(log, topic)) > limit) await turn()
    assert.ok((await keptBytes(log, topic)) > limit / 2)
    while ((await log.append(topic, [record()]).catch(retryable)) === undefined) await turn()
  })

  it('takes no more than it needs where many broadcasts hold a little each', async () => {
    await using log = await open(newDir(), limit)
    const topics = await Promise.all(Array.from({ length: 100 }, (_, i) => log.create(`t${i}`, {})))
    const kept = async (): Promise<number> => {
      let sum = 0
      for (const topic of topics) sum += (await keptBytes(log, topic)) / size
      return sum
    }
    for (let i = 0; i < 1000; i++) {
      const topic = topics[i % topics.length] as Topic
      await log.append(topic, [record(now + i)]).catch(retryable)
      if (i > 300) assert.ok((await kept()) > 250, `${await kept()} are left of ${i}`)
    }
    const firsts = await Promise.all(topics.map(topic => firstOf(log, topic)))
    assert.ok(Math.max(...firsts) - Math.min(...firsts) <= 2, `all are as old: ${firsts}`)
  })

  it('is not full while anything is left that may go, be it all of one time', async () => {
    await using log = await open(newDir(), limit)
    const topic = await log.create('a', {})
    const write = async (): Promise<void> => {
      for (let i = 0; i < 60; i++) await log.append(topic, [record(now, 60_000)]).catch(retryable)
    }
    await Promise.all(Array.from({ length: 30 }, write))
  })

  it('comes down to a much lower limit without going far below it', async () => {
    const dir = newDir()
    const before = await open(dir)
    const topic = await before.create('a', {})
    for (let i = 0; i < 40; i++)
      await before.append(
        topic,
        Array.from({ length: 100 }, (_, j) => record(now + i * 100 + j, 5000)),
      )
    await before[Symbol.asyncDispose]()
    await using log = await open(dir, limit)
    const kept = async (): Promise<number> => 4000 - (await firstOf(log, topic))
    // A record of 5 KB takes two pages of 4 KiB.
    while ((await kept()) * 8192 > limit) await turn()
    const more = [record(now + hour, 5000)]
    while ((await log.append(topic, more).catch(retryable)) === undefined) await turn()
    assert.ok((await kept()) * 8192 > limit * 0.75, `${await kept()} are left`)
  })

  it('is full when all that may go is gone, and takes more when a topic is deleted', async () => {
    await using log = await open(newDir(), limit)
    const made: Topic[] = []
    const full = async (): Promise<void> => {
      for (;;) {
        const topic = await log.create(`t${made.length}`, {})
        made.push(topic)
        await log.append(topic, [record(now, 500_000)])
      }
    }
    await assert.rejects(full(), (error: { code: string; message: string }) => {
      if (error.code === 'LOG_OVERLOADED') return true
      assert.equal(error.code, 'LOG_FULL')
      return true
    })
    const [first, ...others] = made
    assert.ok(first)
    for (let code = ''; code !== 'LOG_FULL'; )
      code = await log.append(first, [record(now, 2_000_000)]).then(
        () => '',
        error => error.code,
      )
    for (const topic of others.slice(0, -1))
      assert.equal((await log.read(topic, offset(0), 1)).records.length, 1, 'the newest stays')
    for (const topic of others) await log.delete(topic)
    await log.append(first, [record(now, 500_000)])
  })
})

/** Until older records are out of the way, more may be refused. */
function retryable(error: { code: string }): void {
  assert.equal(error.code, 'LOG_OVERLOADED')
}
