/**
 * The embedded log: one LMDB store under DATA_DIR, in this process. For one gateway; Kafka is for several.
 *
 * A record is acknowledged once its commit is done: the kernel has it, so a killed process loses nothing. With
 * `sync: 'always'` it is acknowledged once it is on the disk, so that a power cut loses nothing either.
 */
import { randomUUID } from 'node:crypto'
import { accessSync, constants, existsSync, mkdirSync, statfsSync } from 'node:fs'
import { dirname, resolve } from 'node:path'
import { type Database, open, type RootDatabase } from 'lmdb'
import { FramelogError, toFramelogError } from '../../errors.ts'
import type { Millis, Offset } from '../../units.ts'
import type {
  Bounds,
  Chunk,
  Log,
  LogDescription,
  LogRecord,
  NewRecord,
  Tail,
  TailSink,
  Topic,
  TopicOptions,
} from '../log.ts'
import {
  decodeStored,
  encodeRecord,
  offsetOfKey,
  recordKey,
  timestampOfStored,
  topicOfKey,
} from './layout.ts'
import { lockDirectory } from './lock.ts'
import { EmbeddedTopic, type StoredTopic } from './topic.ts'

export interface EmbeddedLogOptions {
  /** Made where it does not exist. */
  readonly dir: string
  readonly sync?: 'commit' | 'always'
  /** Bytes that may wait for their commit, per topic. */
  readonly maxWaitingBytes?: number
  /** Milliseconds between two looks for records past their retention. */
  readonly trimEvery?: number
}

const tailChunkBytes = 1024 * 1024
/** Bytes left on the disk below which a failed write counts as a full disk. */
const fullBelow = 1024 * 1024

/** @throws FramelogError DATA_DIR_UNUSABLE */
export async function openEmbeddedLog(options: EmbeddedLogOptions): Promise<Log> {
  const dir = resolve(options.dir)
  try {
    makeDirectory(dir)
    accessSync(dir, constants.R_OK | constants.W_OK | constants.X_OK)
  } catch (cause) {
    const reason = cause instanceof Error && 'code' in cause ? String(cause.code) : 'unknown reason'
    throw new FramelogError('DATA_DIR_UNUSABLE', `The data folder ${dir} cannot be written (${reason})`, {
      cause,
    })
  }
  const lock = await lockDirectory(dir)
  try {
    const root = open({ path: resolve(dir, 'log.mdb'), maxDbs: 4, cache: false })
    return new EmbeddedLog(root, dir, lock, options)
  } catch (cause) {
    await lock[Symbol.asyncDispose]()
    throw new FramelogError('DATA_DIR_UNUSABLE', `The store in ${dir} cannot be opened: ${String(cause)}`, {
      cause,
    })
  }
}

/** Node's own recursive mkdir never returns where the system refuses a name, as under /proc. */
function makeDirectory(dir: string): void {
  if (existsSync(dir)) return
  const parent = dirname(dir)
  if (parent !== dir) makeDirectory(parent)
  mkdirSync(dir)
}

/**
 * Whether a rejection that nobody handles is LMDB's own echo of a failed commit. It rejects promises of its own
 * beside those it gives out; the append that failed has had its error.
 */
export const isCommitEcho = (reason: unknown): boolean =>
  reason instanceof Error && ('commitError' in reason || /[\\/]lmdb[\\/]/.test(reason.stack ?? ''))

class EmbeddedLog implements Log {
  readonly #root: RootDatabase
  readonly #dir: string
  readonly #lock: AsyncDisposable
  readonly #meta: Database<StoredTopic | number, string>
  readonly #records: Database<Buffer, Buffer>
  readonly #topics = new Map<string, EmbeddedTopic>()
  readonly #sync: 'commit' | 'always'
  readonly #maxWaitingBytes: number
  /** Number of the newest topic ever made here. */
  #lastNumber: number
  readonly #trimTimer: NodeJS.Timeout
  #trimming = false
  #closed = false

  constructor(root: RootDatabase, dir: string, lock: AsyncDisposable, options: EmbeddedLogOptions) {
    this.#root = root
    this.#dir = dir
    this.#lock = lock
    this.#sync = options.sync ?? 'commit'
    this.#maxWaitingBytes = options.maxWaitingBytes ?? 64 * 1024 * 1024
    this.#meta = root.openDB({ name: 'topics', encoding: 'json' })
    this.#records = root.openDB({ name: 'records', encoding: 'binary', keyEncoding: 'binary' })
    const last = this.#meta.get('#last')
    this.#lastNumber = typeof last === 'number' ? last : 0
    for (const { key, value } of this.#meta.getRange()) {
      if (typeof value !== 'number') this.#load(key.slice(1), value)
    }
    this.#purgeDeleted()
    this.#trimTimer = setInterval(() => this.#trim(), options.trimEvery ?? 30_000)
    this.#trimTimer.unref()
  }

  async describe(): Promise<LogDescription> {
    const what = this.#sync === 'always' ? 'a power cut' : 'a killed process, not a power cut'
    return {
      backend: 'embedded',
      durability: `one copy on this machine; what is acknowledged survives ${what}`,
      beyond: '',
    }
  }

  async create(name: string, options: TopicOptions): Promise<Topic> {
    this.#checkOpen()
    const existing = this.#topics.get(name)
    if (existing) return existing.topic
    this.#lastNumber += 1
    const number = this.#lastNumber
    const { compact = false, retention } = options
    const stored: StoredTopic = {
      id: randomUUID(),
      number,
      compact,
      ...(retention === undefined ? {} : { retention }),
    }
    const topic = this.#load(name, stored)
    try {
      await this.#settle(
        this.#meta.batch(() => {
          this.#meta.put('#last', number)
          this.#meta.put(`/${name}`, stored)
        }),
      )
    } catch (error) {
      this.#topics.delete(name)
      throw error
    }
    return topic.topic
  }

  async find(name: string): Promise<Topic | undefined> {
    this.#checkOpen()
    return this.#topics.get(name)?.topic
  }

  async topics(prefix: string): Promise<readonly Topic[]> {
    this.#checkOpen()
    return [...this.#topics.values()]
      .filter(({ topic }) => topic.name.startsWith(prefix))
      .map(({ topic }) => topic)
  }

  async append(topic: Topic, records: readonly NewRecord[]): Promise<Offset> {
    const found = this.#get(topic)
    const { number, compact } = found.stored
    const first = found.next
    if (records.length === 0) return first as Offset
    const encoded = records.map(encodeRecord)
    const bytes = encoded.reduce((sum, { byteLength }) => sum + byteLength, 0)
    if (found.waitingBytes + bytes > this.#maxWaitingBytes) {
      throw new FramelogError(
        'LOG_OVERLOADED',
        `${found.waitingBytes} bytes of ${topic.name} wait for the disk`,
      )
    }
    const next = first + records.length
    found.next = next
    found.waitingBytes += bytes
    const written = encoded.map((value, i) => decodeStored(value, (first + i) as Offset))
    try {
      await this.#settle(
        this.#records.batch(() => {
          for (const [i, value] of encoded.entries()) this.#records.put(recordKey(number, first + i), value)
          if (compact) this.#supersede(found, written)
        }),
      )
    } catch (error) {
      found.waitingBytes -= bytes
      await found.settled(first, next, [])
      throw error
    }
    await found.settled(first, next, written)
    found.waitingBytes -= bytes
    return first as Offset
  }

  async bounds(topic: Topic): Promise<Bounds> {
    const found = this.#get(topic)
    return { first: this.#first(found), next: found.end as Offset }
  }

  async offsetAt(topic: Topic, time: Millis): Promise<Offset> {
    const found = this.#get(topic)
    let low: number = this.#first(found)
    let high = found.end
    while (low < high) {
      const middle = Math.floor((low + high) / 2)
      const [entry] = this.#records.getRange({
        start: recordKey(found.stored.number, middle),
        end: recordKey(found.stored.number, high),
        limit: 1,
      })
      if (entry !== undefined && timestampOfStored(entry.value) < time) low = offsetOfKey(entry.key) + 1
      else high = middle
    }
    return low as Offset
  }

  async read(topic: Topic, from: Offset, maxBytes: number): Promise<Chunk> {
    return this.#read(this.#get(topic), from, maxBytes)
  }

  tail(topic: Topic, from: Offset, sink: TailSink): Tail {
    try {
      const found = this.#get(topic)
      return found.follow(from, sink, next => this.#read(found, next, tailChunkBytes))
    } catch (error) {
      const timer = setImmediate(() => sink.onEnd(toFramelogError(error)))
      return { close: () => clearImmediate(timer) }
    }
  }

  async delete(topic: Topic): Promise<void> {
    this.#checkOpen()
    const found = this.#topics.get(topic.name)
    if (found === undefined || found.topic.id !== topic.id) return
    this.#topics.delete(topic.name)
    found.finish(notFound(topic.name))
    await this.#settle(this.#meta.remove(`/${topic.name}`))
    await this.#purge(recordKey(found.stored.number, 0), recordKey(found.stored.number + 1, 0))
  }

  async [Symbol.asyncDispose](): Promise<void> {
    if (this.#closed) return
    this.#closed = true
    clearInterval(this.#trimTimer)
    const closed = new FramelogError('LOG_CLOSED', 'The embedded log was closed')
    for (const topic of this.#topics.values()) topic.finish(closed)
    await this.#root.flushed
    await this.#root.close()
    await this.#lock[Symbol.asyncDispose]()
  }

  #read(found: EmbeddedTopic, from: Offset, maxBytes: number): Chunk {
    this.#get(found.topic)
    const { number } = found.stored
    const first = this.#first(found)
    if (from < first || from > found.end) {
      throw new FramelogError(
        'OFFSET_OUT_OF_RANGE',
        `Offset ${from} is not in ${first} to ${found.end} of ${found.topic.name}`,
      )
    }
    const records: LogRecord[] = []
    let bytes = 0
    const range = { start: recordKey(number, from), end: recordKey(number, found.end) }
    for (const { key, value } of this.#records.getRange(range)) {
      // The store lends the bytes until its next read; the record owns this copy.
      const record = decodeStored(Uint8Array.from(value), offsetOfKey(key))
      if (records.length > 0 && bytes + record.value.byteLength > maxBytes) {
        return { records, next: record.offset, end: found.end as Offset }
      }
      bytes += record.value.byteLength
      records.push(record)
      if (bytes >= maxBytes) return { records, next: (record.offset + 1) as Offset, end: found.end as Offset }
    }
    return { records, next: found.end as Offset, end: found.end as Offset }
  }

  #first({ stored, end }: EmbeddedTopic): Offset {
    const range = { start: recordKey(stored.number, 0), end: recordKey(stored.number, end), limit: 1 }
    for (const key of this.#records.getKeys(range)) return stored.compact ? (0 as Offset) : offsetOfKey(key)
    return (stored.compact ? 0 : end) as Offset
  }

  #supersede(found: EmbeddedTopic, written: readonly LogRecord[]): void {
    for (const { key, offset } of written) {
      const older = found.offsetOfKey.get(key)
      if (older !== undefined) this.#records.remove(recordKey(found.stored.number, older))
      found.offsetOfKey.set(key, offset)
    }
  }

  #load(name: string, stored: StoredTopic): EmbeddedTopic {
    const newest = this.#records.getKeys({
      start: recordKey(stored.number, Number.MAX_SAFE_INTEGER),
      // A reverse range leaves its end out, and the record may be the one at offset 0.
      end: recordKey(stored.number - 1, Number.MAX_SAFE_INTEGER),
      reverse: true,
      limit: 1,
    })
    let next = 0
    for (const key of newest) if (topicOfKey(key) === stored.number) next = offsetOfKey(key) + 1
    const topic = new EmbeddedTopic({ name, id: stored.id }, stored, next)
    if (stored.compact) {
      const range = { start: recordKey(stored.number, 0), end: recordKey(stored.number, next) }
      for (const { key, value } of this.#records.getRange(range)) {
        const { key: name, offset } = decodeStored(Uint8Array.from(value), offsetOfKey(key))
        topic.offsetOfKey.set(name, offset)
      }
    }
    this.#topics.set(name, topic)
    return topic
  }

  /** A deletion that a crash cut short goes on at the next start. */
  #purgeDeleted(): void {
    const known = new Set([...this.#topics.values()].map(({ stored }) => stored.number))
    for (let number = 1; number <= this.#lastNumber; number++) {
      const range = { start: recordKey(number, 0), end: recordKey(number + 1, 0), limit: 1 }
      if (known.has(number)) continue
      for (const _ of this.#records.getKeys(range)) void this.#purge(range.start, range.end).catch(() => {})
    }
  }

  /** Removes what is past its retention. The newest record stays: it tells which offset comes next. */
  #trim(): void {
    if (this.#trimming) return
    this.#trimming = true
    const trimAll = async (): Promise<void> => {
      for (const found of [...this.#topics.values()]) {
        const { retention, number } = found.stored
        if (retention === undefined || this.#closed) continue
        const from = this.#first(found)
        const kept = Math.min(
          await this.offsetAt(found.topic, (Date.now() - retention) as Millis),
          found.end - 1,
        )
        if (kept > from) await this.#purge(recordKey(number, from), recordKey(number, kept))
      }
    }
    // A topic deleted meanwhile, or a full disk: the next look tries again.
    trimAll()
      .catch(() => {})
      .finally(() => {
        this.#trimming = false
      })
  }

  async #purge(start: Buffer, end: Buffer): Promise<void> {
    const range = { start, end, limit: 5000 }
    while (!this.#closed) {
      const keys = [...this.#records.getKeys(range)]
      if (keys.length === 0) return
      await this.#settle(
        this.#records.batch(() => {
          for (const key of keys) this.#records.remove(key)
        }),
      )
    }
  }

  async #settle(write: Promise<unknown>): Promise<void> {
    try {
      await write
      if (this.#sync === 'always') await this.#root.flushed
    } catch (cause) {
      // LMDB reports a full disk as an input/output error: what is left tells which it was.
      const { bavail, bsize } = statfsSync(this.#dir)
      if (bavail * bsize < fullBelow)
        throw new FramelogError('LOG_FULL', `No space is left in ${this.#dir}`, { cause })
      const message = cause instanceof Error ? cause.message : String(cause)
      throw new FramelogError('LOG_FAILED', `The embedded log cannot write: ${message}`, { cause })
    }
  }

  #get(topic: Topic): EmbeddedTopic {
    this.#checkOpen()
    const found = this.#topics.get(topic.name)
    if (found === undefined || found.topic.id !== topic.id) throw notFound(topic.name)
    return found
  }

  #checkOpen(): void {
    if (this.#closed) throw new FramelogError('LOG_CLOSED', 'The embedded log is closed')
  }
}

const notFound = (name: string): FramelogError =>
  new FramelogError('TOPIC_NOT_FOUND', `There is no topic ${name}`)
