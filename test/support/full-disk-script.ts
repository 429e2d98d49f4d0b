/** What the embedded log must do on a full disk; each in a process and on a disk of its own, named by the argument. */
import assert from 'node:assert/strict'
import { randomBytes } from 'node:crypto'
import { mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { setTimeout as wait } from 'node:timers/promises'
import { FramelogError } from '../../src/errors.ts'
import { isCommitEcho, openEmbeddedLog } from '../../src/log/embedded/embedded-log.ts'
import type { Log, Topic } from '../../src/log/log.ts'
import { millis, offset } from '../../src/units.ts'
import { TailReader } from '../log/tail-reader.ts'
import { SmallDisk } from './full-disk.ts'

process.on('unhandledRejection', reason => {
  if (!isCommitEcho(reason)) throw reason
})

const disk = new SmallDisk()
const dir = join(disk.dir, 'data')
mkdirSync(dir)
const open = (): Promise<Log> => openEmbeddedLog({ dir })

type Kept = Map<number, Buffer>

async function append(log: Log, topic: Topic, kept: Kept, bytes = 100_000): Promise<void> {
  const value = randomBytes(bytes)
  const at = await log.append(topic, [{ key: 'video', value, headers: [], timestamp: millis(Date.now()) }])
  kept.set(at, value)
}

function isFull(error: unknown): true {
  assert.ok(error instanceof FramelogError, String(error))
  assert.equal(error.code, 'LOG_FULL', error.toLine())
  assert.ok(error.message.includes(dir), error.message)
  return true
}

async function appendUntilFull(log: Log, topic: Topic, kept: Kept): Promise<void> {
  for (let i = 0; i < 200; i++) {
    const results = await Promise.allSettled([1, 2, 3].map(() => append(log, topic, kept)))
    const failed = results.filter(({ status }) => status === 'rejected')
    for (const { reason } of failed as PromiseRejectedResult[])
      if (reason.code !== 'LOG_OVERLOADED') isFull(reason)
    if (failed.length === results.length) return
  }
  assert.fail('it never was full')
}

/** Space came back a moment ago: the log asks the disk again by itself. */
async function appendSoon(log: Log, topic: Topic, kept: Kept): Promise<void> {
  for (;;) {
    try {
      await append(log, topic, kept)
      return
    } catch (error) {
      if (!(error instanceof FramelogError && error.code === 'LOG_OVERLOADED')) isFull(error)
      await wait(10)
    }
  }
}

async function assertKept(log: Log, topic: Topic, kept: Kept): Promise<void> {
  for (const [at, value] of kept) {
    const [record] = (await log.read(topic, offset(at), 1)).records
    assert.equal(record?.offset, at)
    assert.ok(value.equals(record.value), `offset ${at} is as it was written`)
  }
}

const scenarios: Readonly<Record<string, () => Promise<void>>> = {
  /** All that was acknowledged stays, appends go on by themselves, tails follow, and a restart finds the same. */
  async append() {
    const log = await open()
    const topic = await log.create('a', {})
    const kept: Kept = new Map()
    using tail = new TailReader(log, topic, offset(0))
    await append(log, topic, kept)
    disk.fill(dir, 1_500_000)
    for (let round = 0; round < 3; round++) {
      await appendUntilFull(log, topic, kept)
      await assertKept(log, topic, kept)
      disk.clear()
      await appendSoon(log, topic, kept)
      disk.fill(dir, round === 0 ? 500_000 : 0)
    }
    await tail.until(kept.size)
    assert.deepEqual(
      tail.offsets,
      [...kept.keys()].sort((a, b) => a - b),
    )
    using another = new TailReader(log, topic, offset(0))
    await another.until(kept.size)
    await assert.rejects(
      appendUntilFull(log, topic, kept).then(() => append(log, topic, kept)),
      isFull,
    )
    await log[Symbol.asyncDispose]()
    const again = await open()
    await assertKept(again, topic, kept)
    disk.clear()
    await appendSoon(again, topic, kept)
    await assertKept(again, topic, kept)
    await again[Symbol.asyncDispose]()
  },

  async open() {
    disk.fill(dir)
    await assert.rejects(open(), isFull)
    disk.clear()
    const log = await open()
    const topic = await log.create('a', {})
    await append(log, topic, new Map())
    await log[Symbol.asyncDispose]()
  },

  async create() {
    const log = await open()
    const topic = await log.create('a', {})
    const kept: Kept = new Map()
    disk.fill(dir, 1_500_000)
    await appendUntilFull(log, topic, kept)
    disk.fill(dir)
    const made: Topic[] = []
    const makeMany = async (): Promise<void> => {
      for (let i = 0; i < 2000; i++) made.push(await log.create(`b${i}`, {}))
    }
    await assert.rejects(makeMany(), isFull)
    assert.equal(await log.find(`b${made.length}`), undefined, 'what could not be made is not there')
    disk.clear()
    const last = await log.create('last', {})
    await appendSoon(log, last, new Map())
    await log[Symbol.asyncDispose]()
    const again = await open()
    assert.equal((await again.topics('b')).length, made.length)
    await assertKept(again, topic, kept)
    await again[Symbol.asyncDispose]()
  },

  /** Deleting is what an operator can do: it works, and what it frees is used, also after a restart. */
  async delete() {
    let log = await open()
    let topics = await Promise.all(['a', 'b', 'c', 'd'].map(name => log.create(name, {})))
    const kept = topics.map((): Kept => new Map())
    disk.fill(dir, 2_500_000)
    await assert.rejects(async () => {
      for (;;) for (const [i, topic] of topics.entries()) await append(log, topic, kept[i] as Kept)
    }, isFull)
    disk.fill(dir)
    for (const round of [0, 1]) {
      const [gone, stays] = topics as [Topic, Topic]
      await log.delete(gone)
      assert.equal(await log.find(gone.name), undefined)
      await appendSoon(log, stays, kept[round + 1] as Kept)
      await appendUntilFull(log, stays, kept[round + 1] as Kept)
      await assertKept(log, stays, kept[round + 1] as Kept)
      topics = topics.slice(1)
      if (round === 0) {
        await log[Symbol.asyncDispose]()
        log = await open()
        assert.equal(await log.find(gone.name), undefined)
        disk.fill(dir)
      }
    }
    await log[Symbol.asyncDispose]()
  },

  /** A damaged store that cannot be built anew for want of space stays as it is until there is some. */
  async rebuild() {
    const log = await open()
    const topic = await log.create('a', {})
    const kept: Kept = new Map()
    for (let i = 0; i < 12; i++) await append(log, topic, kept)
    await log[Symbol.asyncDispose]()
    const path = join(dir, 'log.mdb')
    const damaged = readFileSync(path)
    const spoilt = damaged.indexOf(kept.get(9) ?? Buffer.alloc(1))
    damaged.fill(0, spoilt, spoilt + 100)
    writeFileSync(path, damaged)
    // A limit is on each file: the new store must not get as far as the old one.
    disk.fill(dir, disk.isLimit ? 500_000 - damaged.length : 500_000)
    await assert.rejects(open(), isFull)
    assert.ok(readFileSync(path).equals(damaged), 'nothing was changed')
    assert.deepEqual(readdirSync(dir).sort(), ['log.json', 'log.mdb', 'log.mdb-lock'])
    disk.clear()
    const again = await open()
    assert.deepEqual(await again.bounds(topic), { first: 0, next: 9 })
    for (const at of kept.keys()) if (at >= 9) kept.delete(at)
    await assertKept(again, topic, kept)
    await again[Symbol.asyncDispose]()
  },
}

const scenario = scenarios[process.argv[2] ?? '']
if (scenario === undefined) throw new Error('no such scenario')
await scenario()
