import assert from 'node:assert/strict'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, describe, it } from 'node:test'
import { setImmediate as turn } from 'node:timers/promises'
import { openEmbeddedLog } from '../../src/log/embedded/embedded-log.ts'
import { millis, offset } from '../../src/units.ts'
import { logContract } from './contract.ts'

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
})
