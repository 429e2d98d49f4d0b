/** Copies of a store that is being written, damaged as a power cut or a bad disk would, and what must hold of them. */
import assert from 'node:assert/strict'
import { type ChildProcess, spawn } from 'node:child_process'
import {
  copyFileSync,
  cpSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  rmSync,
  truncateSync,
  writeFileSync,
} from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { openEmbeddedLog } from '../../src/log/embedded/embedded-log.ts'
import { readState } from '../../src/log/embedded/state.ts'
import type { Log, Topic } from '../../src/log/log.ts'
import { millis, offset } from '../../src/units.ts'
import { recordAt, startTime } from './power-load.ts'

const pageSize = 4096

/** What the writer has said so far. */
export class Written {
  /** By topic id: the offset behind the last acknowledged record. */
  readonly next = new Map<string, number>()
  readonly names = new Map<string, string>()
  readonly deleted = new Set<string>()

  take(line: string): void {
    const [word, one = '', two = '', three = ''] = line.split(' ')
    if (word === 'made') this.names.set(two, one)
    if (word === 'acknowledged') this.next.set(one, Number(three))
    if (word === 'deleting') this.deleted.add(one)
  }

  copy(): Written {
    const copy = new Written()
    for (const [id, next] of this.next) copy.next.set(id, next)
    for (const [id, name] of this.names) copy.names.set(id, name)
    for (const id of this.deleted) copy.deleted.add(id)
    return copy
  }
}

export type Random = (below: number) => number

/** Reproducible from its seed. */
export function seeded(seed: number): Random {
  let state = seed >>> 0
  return below => {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0
    return Math.floor((state / 2 ** 32) * below)
  }
}

/** A process that writes; killed at the end, whatever comes. */
export class PowerWriter implements AsyncDisposable {
  readonly dir: string
  readonly written: Written
  isGone = false
  readonly #child: ChildProcess
  readonly #closed: Promise<unknown>
  #lines = 0
  #waiting: { readonly lines: number; readonly resolve: () => void } | undefined

  constructor(dir: string, sync: 'commit' | 'always', seed: number, written = new Written()) {
    this.dir = dir
    this.written = written
    const script = join(import.meta.dirname, 'power-writer.ts')
    this.#child = spawn(process.execPath, [script, dir, sync, String(seed)], {
      stdio: ['ignore', 'pipe', 'inherit'],
    })
    this.#closed = new Promise(resolve => this.#child.once('close', resolve))
    const lines = createInterface({ input: this.#child.stdout as NodeJS.ReadableStream })
    lines.on('line', line => {
      written.take(line)
      this.#lines += 1
      if (this.#waiting && this.#lines >= this.#waiting.lines) this.#waiting.resolve()
    })
  }

  /** Resolves when it has said so much more; a writer that ends instead fails the test. */
  async until(more: number): Promise<void> {
    this.#child.kill('SIGCONT')
    const { promise, resolve } = Promise.withResolvers<void>()
    this.#waiting = { lines: this.#lines + more, resolve }
    const ended = this.#closed.then(code => assert.fail(`the writer ended: ${code}`))
    await Promise.race([promise, ended])
  }

  /** It stands still until more is asked of it. */
  pause(): void {
    this.#child.kill('SIGSTOP')
  }

  async kill(): Promise<void> {
    this.isGone = true
    this.#child.kill('SIGKILL')
    await this.#closed
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.kill()
  }
}

export interface Copy {
  readonly dir: string
  /** What was acknowledged before the copy began. */
  readonly before: Written
}

/** Takes a copy as `cp` would. @param parts of the folder: the store alone, or with what is kept beside it */
export function copyStore(from: string, to: string, before: Written, parts: 'store' | 'all'): Copy {
  mkdirSync(to)
  if (parts === 'all' && existsSync(join(from, 'log.json')))
    cpSync(join(from, 'log.json'), join(to, 'log.json'))
  copyFileSync(join(from, 'log.mdb'), join(to, 'log.mdb'))
  return { dir: to, before: before.copy() }
}

/** `unflushed` is what a power cut does to a disk that keeps its word: pages newer than the last flush are lost. */
export const damages = [
  'none',
  'tail',
  'cut',
  'zeroed',
  'unflushed',
  'garbage',
  'older',
  'metas',
  'bits',
] as const
const keepsAll: readonly string[] = ['none', 'tail', 'metas']
export type Damage = (typeof damages)[number]

/** @param older an earlier copy of the same store */
export function damage(copy: Copy, kind: Damage, random: Random, older: Buffer): void {
  const path = join(copy.dir, 'log.mdb')
  const bytes = readFileSync(path)
  const pages = Math.floor(bytes.length / pageSize)
  const changed = changedPages(bytes, older)
  const each = (count: number, change: (page: Buffer, number: number) => void): void => {
    for (let i = 0; i < count; i++) {
      const number = changed[random(changed.length)] ?? random(pages)
      change(bytes.subarray(number * pageSize, (number + 1) * pageSize), number)
    }
  }
  const count = 1 + random(random(2) === 0 ? 3 : 40)
  if (kind === 'cut' || kind === 'tail') {
    truncateSync(path, kind === 'cut' ? random(bytes.length) : usedLength(bytes))
    return
  }
  if (kind === 'zeroed') each(count, page => page.fill(0))
  if (kind === 'unflushed') {
    const flushed = transactionAt(bytes, pageSize / 2)
    for (const number of changed) {
      const page = bytes.subarray(number * pageSize, (number + 1) * pageSize)
      // Of a run only the first page tells its age; what lies behind it is kept, which is a loss as good as another.
      const isPage = page.readBigUInt64LE(0) === BigInt(number)
      if (isPage && page.readBigUInt64LE(8) > flushed && random(2) === 0) page.fill(0)
    }
  }
  if (kind === 'garbage') each(count, page => fill(page, random))
  if (kind === 'older') {
    each(count, (page, number) => {
      const before = older.subarray(number * pageSize, (number + 1) * pageSize)
      if (before.length === pageSize) before.copy(page)
    })
  }
  if (kind === 'metas') {
    for (const number of [[0], [1], [0, 1]][random(3)] ?? [])
      fill(bytes.subarray(number * pageSize, (number + 1) * pageSize), random)
  }
  if (kind === 'bits')
    each(count, page =>
      page.writeUInt8(page.readUInt8(random(pageSize)) ^ (1 << random(8)), random(pageSize)),
    )
  writeFileSync(path, bytes)
}

/** The pages written last: those that the earlier copy has otherwise, and not the meta pages. */
function changedPages(bytes: Buffer, older: Buffer): number[] {
  const changed: number[] = []
  for (let number = 2; (number + 1) * pageSize <= bytes.length; number++) {
    const [from, to] = [number * pageSize, (number + 1) * pageSize]
    if (to > older.length || !bytes.subarray(from, to).equals(older.subarray(from, to))) changed.push(number)
  }
  return changed
}

/** Up to the last page that either meta block names: what lies behind is not in use. */
function usedLength(bytes: Buffer): number {
  const lastPage = (at: number): number => Number(bytes.readBigUInt64LE(at + 24 + 120))
  return Math.min(bytes.length, (Math.max(lastPage(0), lastPage(pageSize)) + 1) * pageSize)
}

const transactionAt = (bytes: Buffer, block: number): bigint => bytes.readBigUInt64LE(block + 24 + 128)

function fill(page: Buffer, random: Random): void {
  for (let at = 0; at < page.length; at += 4) page.writeUInt32LE(random(2 ** 32), at)
}

/**
 * Opens a damaged copy and checks that each topic is a run without holes of what was written, to which more can be
 * appended, and that all of that is so after a restart.
 * @param keeps that nothing acknowledged may be missing
 */
export async function assertConsistent(copy: Copy, all: Written, keeps: boolean): Promise<readonly string[]> {
  const warnings: string[] = []
  const open = (): Promise<Log> =>
    openEmbeddedLog({ dir: copy.dir, trimEvery: 3_600_000, onWarning: line => warnings.push(line) })
  const known = new Map(readState(copy.dir)?.topics.map(({ stored, first }) => [stored.id, first]))
  let ends: Map<string, number>
  {
    await using log = await open()
    ends = await assertTopics(log, copy, all, keeps)
    for (const topic of await log.topics('')) {
      const { first, next } = await log.bounds(topic)
      assert.ok(
        first >= Math.min(next, known.get(topic.id) ?? 0),
        `${topic.name} has nothing back that was removed`,
      )
      const at = await log.append(topic, [recordAt(topic.id, ends.get(topic.id) ?? 0, startTime)])
      assert.equal(at, ends.get(topic.id), `${topic.name} goes on behind its end`)
      ends.set(topic.id, at + 1)
    }
    await log.create('made-after', {})
  }
  const said = warnings.length
  await using again = await open()
  assert.equal(warnings.length, said, 'what was put right stays right')
  for (const topic of await again.topics('topic-')) {
    assert.equal((await again.bounds(topic)).next, ends.get(topic.id))
    await assertRecords(again, topic)
  }
  return warnings
}

async function assertTopics(
  log: Log,
  copy: Copy,
  all: Written,
  keeps: boolean,
): Promise<Map<string, number>> {
  const ends = new Map<string, number>()
  const found = await log.topics('')
  for (const topic of found) {
    assert.equal(all.names.get(topic.id) ?? topic.name, topic.name, 'no topic is invented')
    const { next } = await log.bounds(topic)
    ends.set(topic.id, next)
    await assertRecords(log, topic)
    if (keeps)
      assert.ok(next >= (copy.before.next.get(topic.id) ?? 0), `${topic.name} has what was acknowledged`)
  }
  if (!keeps) return ends
  const ids = new Set(found.map(({ id }) => id))
  for (const id of copy.before.names.keys())
    if (!all.deleted.has(id)) assert.ok(ids.has(id), `the topic ${copy.before.names.get(id)} is there`)
  return ends
}

async function assertRecords(log: Log, topic: Topic): Promise<void> {
  const { first, next } = await log.bounds(topic)
  const isCompact = topic.name === 'topic-3'
  const keys = new Set<string>()
  let expected: number = first
  for (let at: number = first; at < next; ) {
    const chunk = await log.read(topic, offset(at), 1_000_000)
    for (const record of chunk.records) {
      if (!isCompact) assert.equal(record.offset, expected, `${topic.name} has no hole`)
      assert.ok(!isCompact || !keys.has(record.key), 'a compact topic has each key once')
      keys.add(record.key)
      expected = record.offset + 1
      const { value, headers, key } = recordAt(topic.id, record.offset, millis(0))
      assert.equal(record.key, key)
      assert.deepEqual(record.headers, headers)
      assert.ok(
        Buffer.from(value).equals(record.value),
        `${topic.name} ${record.offset} is as it was written`,
      )
    }
    at = chunk.next
  }
  assert.equal(expected, next)
}

export const newRoot = (): string => mkdtempSync(join(tmpdir(), 'framelog-power-'))

/** One store over its life: copies at random moments, kills in between, each copy damaged and opened. */
export async function runLife(
  root: string,
  seed: number,
  cases: number,
  sync: 'commit' | 'always',
  onWarning: (line: string) => void = () => {},
): Promise<void> {
  const random = seeded(seed)
  const dir = join(root, `store-${seed}`)
  const written = new Written()
  let writer = new PowerWriter(dir, sync, seed, written)
  try {
    await writer.until(60)
    let older = readFileSync(join(dir, 'log.mdb'))
    for (let i = 0; i < cases; i++) {
      if (writer.isGone) writer = new PowerWriter(dir, sync, seed + i, written)
      await writer.until(1 + random(80))
      const kind = damages[(i + seed) % damages.length] as Damage
      const isKilled = random(3) === 0
      const what = `seed ${seed}, case ${i}: ${kind}${isKilled ? ' after a kill' : ''}, ${sync}`
      if (isKilled) await writer.kill()
      const copy = copyStore(dir, join(root, `copy-${seed}-${i}`), written, random(3) === 0 ? 'store' : 'all')
      const next = readFileSync(join(copy.dir, 'log.mdb'))
      damage(copy, kind, random, older)
      older = next
      // A copy of a store that nobody writes is whole, and all records are there without its first pages; one taken
      // while it is written may be torn anywhere.
      const keeps = isKilled && (keepsAll.includes(kind) || (kind === 'unflushed' && sync === 'always'))
      if (!isKilled) writer.pause()
      try {
        for (const line of await assertConsistent(copy, written, keeps)) onWarning(line)
      } catch (error) {
        throw new Error(`${what}: ${error instanceof Error ? error.message : error}`, { cause: error })
      }
      rmSync(copy.dir, { recursive: true, force: true })
    }
  } finally {
    await writer[Symbol.asyncDispose]()
  }
}
