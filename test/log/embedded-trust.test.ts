/** When the embedded log looks at its store before it opens it, and what it takes from older versions. */
import assert from 'node:assert/strict'
import {
  closeSync,
  mkdtempSync,
  openSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  writeFileSync,
  writeSync,
} from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, describe, it } from 'node:test'
import { crc32 } from 'node:zlib'
import { open as openLmdb } from 'lmdb'
import { openEmbeddedLog } from '../../src/log/embedded/embedded-log.ts'
import { recordKey } from '../../src/log/embedded/layout.ts'
import { isTrusted, markFile } from '../../src/log/embedded/state.ts'
import type { Log } from '../../src/log/log.ts'
import { millis, offset } from '../../src/units.ts'
import { PowerWriter } from '../support/power.ts'
import { recordAt, startTime } from '../support/power-load.ts'

const root = mkdtempSync(join(tmpdir(), 'framelog-trust-'))
after(() => rmSync(root, { recursive: true, force: true }))

const newDir = (): string => mkdtempSync(join(root, 'log-'))
const zero = offset(0)

async function open(dir: string, warnings: string[] = []): Promise<Log> {
  return openEmbeddedLog({ dir, onWarning: line => warnings.push(line) })
}

/** A closed store with one topic of so many records. */
async function make(dir: string, count: number): Promise<string> {
  await using log = await open(dir)
  const topic = await log.create('a', {})
  for (let i = 0; i < count; i++) await log.append(topic, [recordAt(topic.id, i, startTime)])
  return topic.id
}

/** Changes one byte of a record's value, wherever it lies: small ones are also on pages that are no longer in use. */
function spoil(dir: string, id: string, at: number): void {
  const path = join(dir, 'log.mdb')
  const { value } = recordAt(id, at, startTime)
  const bytes = readFileSync(path)
  const fd = openSync(path, 'r+')
  let count = 0
  for (let found = bytes.indexOf(value); found >= 0; found = bytes.indexOf(value, found + 1)) {
    writeSync(fd, Buffer.of((value[20] as number) ^ 1), 0, 1, found + 20)
    count += 1
  }
  closeSync(fd)
  assert.ok(count > 0)
}

describe('a store that is opened', { timeout: 60_000 }, () => {
  it('is checked where its file is not as it was when it was closed', async () => {
    const dir = newDir()
    const id = await make(dir, 50)
    spoil(dir, id, 30)
    const warnings: string[] = []
    await using log = await open(dir, warnings)
    const topic = await log.find('a')
    assert.ok(topic)
    assert.equal(topic.id, id)
    assert.deepEqual(await log.bounds(topic), { first: 0, next: 30 })
    assert.equal(warnings.length, 1)
    assert.match(warnings[0] ?? '', /30 records of 1 topics are there again, 19 that were found/)
    const [damaged] = readdirSync(dir).filter(name => name.startsWith('log-damaged-'))
    assert.ok(warnings[0]?.includes(damaged ?? 'a name'), 'the line names the file that was kept')
  })

  it('is not checked after a killed process, but what is not as it was written is not given out', async () => {
    const dir = newDir()
    const writer = new PowerWriter(dir, 'commit', 7)
    await writer.until(200)
    await writer.kill()
    const id = [...writer.written.names].find(([, name]) => name === 'topic-2')?.[0] ?? ''
    spoil(dir, id, 5)
    const warnings: string[] = []
    await using log = await open(dir, warnings)
    assert.deepEqual(warnings, [])
    const topic = await log.find('topic-2')
    assert.ok(topic)
    const { records, damaged } = await log.read(topic, offset(4), 100_000)
    assert.deepEqual(
      records.slice(0, 2).map(each => each.offset),
      [4, 6],
    )
    assert.deepEqual(damaged, [{ from: 5, next: 6 }])
  })

  it('is checked after all where what a start reads of it is not as it was written', async () => {
    const dir = newDir()
    const writer = new PowerWriter(dir, 'commit', 8)
    await writer.until(200)
    await writer.kill()
    const id = [...writer.written.names].find(([, name]) => name === 'topic-3')?.[0] ?? ''
    const last = (writer.written.next.get(id) ?? 0) - 1
    spoil(dir, id, last)
    const warnings: string[] = []
    await using log = await open(dir, warnings)
    assert.equal(warnings.length, 1)
    const topic = await log.find('topic-3')
    assert.equal(topic?.id, id)
    const records = topic === undefined ? [] : (await log.read(topic, zero, 10_000_000)).records
    assert.ok(records.length >= 6)
    assert.ok(records.every(record => record.offset !== last))
  })

  it('is trusted as closed on any boot, as left open on the same boot only, and never as another file', async () => {
    const dir = newDir()
    await make(dir, 3)
    const path = join(dir, 'log.mdb')
    const closed = markFile(path, true)
    const left = markFile(path, false)
    assert.ok(isTrusted(path, closed))
    assert.ok(isTrusted(path, { ...closed, boot: 'another' }))
    assert.ok(isTrusted(path, left))
    assert.ok(!isTrusted(path, { ...left, boot: 'another' }))
    assert.ok(!isTrusted(path, { ...left, boot: '' }))
    assert.ok(!isTrusted(path, { ...left, inode: left.inode + 1 }))
    assert.ok(!isTrusted(path, { ...closed, closed: { size: 1, modified: closed.closed?.modified ?? '' } }))
  })

  it('opens as it is where it is whole, with its topics under their ids', async () => {
    const dir = newDir()
    const id = await make(dir, 50)
    rmSync(join(dir, 'log.json'))
    const warnings: string[] = []
    await using log = await open(dir, warnings)
    const topic = await log.find('a')
    assert.equal(topic?.id, id)
    assert.deepEqual(topic && (await log.bounds(topic)), { first: 0, next: 50 })
    assert.deepEqual(warnings, [])
  })

  it('is empty, and says so, where nothing of it is left', async () => {
    const dir = newDir()
    writeFileSync(join(dir, 'log.mdb'), 'nothing that ever was a store')
    const warnings: string[] = []
    await using log = await open(dir, warnings)
    assert.deepEqual(await log.topics(''), [])
    assert.match(warnings[0] ?? '', /0 records of 0 topics/)
    await log.create('a', {})
  })

  it('reads what the version before wrote, which had no checksums, no marks and no state', async () => {
    const dir = newDir()
    const old = openLmdb({ path: join(dir, 'log.mdb'), maxDbs: 4, cache: false })
    const topics = old.openDB({ name: 'topics', encoding: 'json' })
    const records = old.openDB({ name: 'records', encoding: 'binary', keyEncoding: 'binary' })
    await topics.put('#last', 1)
    await topics.put('/a', { id: 'an-id', number: 1, compact: false, retentionBytes: 10_000_000 })
    for (let i = 0; i < 100; i++)
      await records.put(recordKey(1, i), recordOfVersion1(`value ${i}`, startTime + i))
    await old.close()
    const warnings: string[] = []
    for (const round of [0, 1]) {
      await using log = await open(dir, warnings)
      const topic = await log.find('a')
      assert.equal(topic?.id, 'an-id')
      if (topic === undefined) return
      assert.deepEqual(await log.bounds(topic), { first: 0, next: 100 + round })
      const [, second] = (await log.read(topic, zero, 1000)).records
      assert.deepEqual(second?.headers, [['name', 'text']])
      assert.equal(Buffer.from(second?.value ?? []).toString(), 'value 1')
      assert.equal(await log.offsetAt(topic, millis(startTime + 50)), 50)
      assert.equal(await log.append(topic, [recordAt('an-id', 100, startTime + 1000)]), 100 + round)
    }
    assert.deepEqual(warnings, [])
  })

  it('keeps its topics in a file that is whole or not used', async () => {
    const dir = newDir()
    await make(dir, 3)
    const path = join(dir, 'log.json')
    const [text = '', crc] = readFileSync(path, 'utf8').split('\n')
    assert.equal(crc, String(crc32(text)))
    writeFileSync(path, readFileSync(path).subarray(0, statSync(path).size / 2))
    await using log = await open(dir)
    assert.equal((await log.topics('')).length, 1)
  })
})

function recordOfVersion1(value: string, time: number): Buffer {
  const head = Buffer.alloc(9)
  head.writeUInt8(1)
  head.writeBigInt64BE(BigInt(time), 1)
  const text = (length: number, of: string): Buffer => {
    const size = Buffer.alloc(length)
    size.writeUIntBE(of.length, 0, length)
    return Buffer.concat([size, Buffer.from(of)])
  }
  return Buffer.concat([
    head,
    text(1, 'video'),
    Buffer.of(1),
    text(1, 'name'),
    text(4, 'text'),
    Buffer.from(value),
  ])
}
