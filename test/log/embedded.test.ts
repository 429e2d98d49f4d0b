import assert from 'node:assert/strict'
import { randomBytes } from 'node:crypto'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, describe, it } from 'node:test'
import { setImmediate as turn } from 'node:timers/promises'
import { openEmbeddedLog } from '../../src/log/embedded/embedded-log.ts'
import { millis, offset } from '../../src/units.ts'
import { logContract } from './contract.ts'
import { TailReader } from './tail-reader.ts'

const root = mkdtempSync(join(tmpdir(), 'framelog-embedded-'))
after(() => rmSync(root, { recursive: true, force: true }))

logContract('the embedded log', options =>
  openEmbeddedLog({ dir: mkdtempSync(join(root, 'log-')), ...options }),
)

describe('the embedded log', { timeout: 30_000 }, () => {
  const open = (dir: string) => openEmbeddedLog({ dir, trimEvery: 20 })
  const record = (timestamp: number) => ({
    key: 'video',
    value: Buffer.from(String(timestamp)),
    headers: [],
    timestamp: millis(timestamp),
  })

  it('removes what is past its retention, keeps what is not, and goes on counting after a restart', async () => {
    const dir = mkdtempSync(join(root, 'retention-'))
    const now = Date.now()
    const log = await open(dir)
    const topic = await log.create('old', { retention: millis(60_000) })
    await log.append(
      topic,
      Array.from({ length: 7000 }, () => record(now - 120_000)),
    )
    await log.append(topic, [record(now - 1000), record(now)])
    while ((await log.bounds(topic)).first < 7000) await turn()
    assert.deepEqual(await log.bounds(topic), { first: 7000, next: 7002 })
    await assert.rejects(log.read(topic, offset(6999), 100), { code: 'OFFSET_OUT_OF_RANGE' })
    const idle = await log.create('idle', { retention: millis(60_000) })
    await log.append(idle, [record(1), record(2), record(3)])
    while ((await log.bounds(idle)).first < 2) await turn()
    await log[Symbol.asyncDispose]()

    await using again = await open(dir)
    const found = await again.find('idle')
    assert.ok(found)
    assert.deepEqual(await again.bounds(found), { first: 2, next: 3 })
  })

  it('has a single record after a restart, and goes on behind it', async () => {
    const dir = mkdtempSync(join(root, 'single-'))
    for (let round = 0; round < 3; round++) {
      await using log = await open(dir)
      const topic = await log.create('single', {})
      assert.deepEqual(await log.bounds(topic), { first: 0, next: round })
      assert.equal(await log.append(topic, [record(round)]), round)
    }
  })

  it('keeps everything where no retention is asked for', async () => {
    await using log = await open(mkdtempSync(join(root, 'kept-')))
    const topic = await log.create('kept', {})
    const watched = await log.create('watched', { retention: millis(60_000) })
    await log.append(topic, [record(1), record(2)])
    await log.append(watched, [record(1), record(2)])
    while ((await log.bounds(watched)).first < 1) await turn()
    assert.deepEqual(await log.bounds(topic), { first: 0, next: 2 })
  })

  it('lets nothing in behind what it refused, until whoever made that can have heard of it', async () => {
    await using log = await openEmbeddedLog({
      dir: mkdtempSync(join(root, 'refused-')),
      maxWaitingBytes: 100_000,
    })
    const topic = await log.create('a', {})
    const sized = (bytes: number) => ({ ...record(1), value: randomBytes(bytes) })
    const results = [1000, 200_000, 1000, 1000].map(bytes => log.append(topic, [sized(bytes)]))
    const codes = await Promise.all(results.map(result => result.catch(error => error.code)))
    assert.deepEqual(codes, [0, 'LOG_OVERLOADED', 'LOG_OVERLOADED', 'LOG_OVERLOADED'])
    assert.deepEqual(await log.bounds(topic), { first: 0, next: 1 })
    assert.equal(await log.append(topic, [sized(1000)]), 1)
    // However late in the same turn its maker hears.
    const chain = log
      .append(topic, [sized(200_000)])
      .then(() => {})
      .finally(async () => {})
      .finally(async () => {})
      .catch(() => log.append(topic, [sized(1000)]))
    await assert.rejects(chain, { code: 'LOG_OVERLOADED' })
    await turn()
    assert.equal(await log.append(topic, [sized(1000)]), 2)
  })

  it('ends a tail whose receiver throws, and goes on with the others and with appends', async () => {
    await using log = await open(mkdtempSync(join(root, 'throwing-')))
    const topic = await log.create('a', {})
    await log.append(topic, [record(1)])
    const ends: string[] = []
    for (const at of [1, 2]) {
      const { promise, resolve } = Promise.withResolvers<void>()
      log.tail(topic, offset(0), {
        onChunk: chunk => {
          if (chunk.next >= at) throw new Error('a fault of the receiver')
        },
        onEnd: error => {
          ends.push(error.code)
          resolve()
        },
      })
      using other = new TailReader(log, topic, offset(0))
      await other.until(1)
      if (at === 2) await log.append(topic, [record(2)])
      await promise
      await other.until(at)
    }
    assert.deepEqual(ends, ['INTERNAL', 'INTERNAL'])
    assert.equal(await log.append(topic, [record(3)]), 2)
  })
})
