/**
 * The embedded log: one LMDB store under DATA_DIR, in this process. For one gateway; Kafka is for several.
 *
 * A record is acknowledged once its commit is done: the kernel has it, so a killed process loses nothing. With
 * `sync: 'always'` it is acknowledged once it is on the disk, so that a power cut loses nothing either.
 */
import { randomUUID } from 'node:crypto'
import { accessSync, constants, existsSync, mkdirSync } from 'node:fs'
import { dirname, resolve } from 'node:path'
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
  decodeIntact,
  decodeStored,
  encodeMark,
  encodeRecord,
  markKey,
  offsetOfKey,
  recordKey,
  timestampOfStored,
} from './layout.ts'
import { loadTopic } from './load.ts'
import { lockDirectory } from './lock.ts'
import { reconcile } from './reconcile.ts'
import { prepareStore } from './recover.ts'
import { Retention } from './retention.ts'
import { markStep } from './sizes.ts'
import { markFile, readState, type State, StateWriter } from './state.ts'
import { Store, type Sync, storeFile } from './store.ts'
import type { EmbeddedTopic, StoredTopic } from './topic.ts'

export interface EmbeddedLogOptions {
  /** Made where it does not exist. */
  readonly dir: string
  readonly sync?: Sync
  /** Bytes that may wait for their commit, per topic. */
  readonly maxWaitingBytes?: number
  /** Bytes in use past which the oldest records of all topics go; undefined: no limit. */
  readonly limit?: number | undefined
  /** Milliseconds between two looks for records past their retention. */
  readonly trimEvery?: number
  /** Gets one line for the operator where the store was damaged: what is there again, and what is not. */
  readonly onWarning?: (line: string) => void
}

const tailChunkBytes = 1024 * 1024

/** @throws FramelogError DATA_DIR_UNUSABLE, LOG_FULL */
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
    return await openStore(dir, lock, options, true)
  } catch (error) {
    await lock[Symbol.asyncDispose]()
    throw error
  }
}

/** @param mayTrust whether what was left by this boot's kernel needs no look */
async function openStore(
  dir: string,
  lock: AsyncDisposable,
  options: EmbeddedLogOptions,
  mayTrust: boolean,
): Promise<Log> {
  const state = readState(dir)
  const isAsKnown = await prepareStore(dir, state, mayTrust, options.onWarning ?? (() => {}))
  const store = new Store(dir, storeFile(dir), options.sync ?? 'commit')
  try {
    if (state !== undefined && !isAsKnown) reconcile(store, state)
    const log = new EmbeddedLog(store, state, lock, options)
    await log.saveState()
    return log
  } catch (error) {
    await store.close()
    // What a start reads is not as it was written: what else is broken only a check tells.
    const isCorrupt = error instanceof FramelogError && error.code === 'LOG_CORRUPT'
    if (isCorrupt && isAsKnown) return openStore(dir, lock, options, false)
    throw error
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
  readonly #store: Store
  readonly #lock: AsyncDisposable
  readonly #options: EmbeddedLogOptions
  readonly #topics = new Map<string, EmbeddedTopic>()
  readonly #maxWaitingBytes: number
  readonly #retention: Retention
  readonly #state: StateWriter
  /** Number of the newest topic ever made here. */
  #lastNumber: number
  #closed = false

  constructor(store: Store, known: State | undefined, lock: AsyncDisposable, options: EmbeddedLogOptions) {
    this.#store = store
    this.#lock = lock
    this.#options = options
    this.#maxWaitingBytes = options.maxWaitingBytes ?? 64 * 1024 * 1024
    const last = store.topics.get('#last')
    this.#lastNumber = typeof last === 'number' ? last : 0
    for (const { key, value } of store.topics.getRange()) {
      if (typeof value !== 'number') this.#load(key.slice(1), value)
    }
    for (const { name, stored, first } of known?.topics ?? []) {
      const topic = this.#topics.get(name)
      if (topic?.stored.id === stored.id) topic.moveFirst(first)
    }
    this.#state = new StateWriter(store.dir, () => this.#currentState())
    this.#purgeDeleted()
    this.#retention = new Retention({
      store,
      topics: () => this.#topics.values(),
      offsetAt: (topic, time) => this.#search(topic, time),
      limit: options.limit,
      every: options.trimEvery ?? 30_000,
      onMove: () => this.saveState(),
    })
  }

  /** Keeps beside the store what is to be known of it at the next start. */
  saveState(): Promise<void> {
    return this.#state.write()
  }

  async describe(): Promise<LogDescription> {
    const what = this.#options.sync === 'always' ? 'a power cut' : 'a killed process, not a power cut'
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
    const { compact = false, retention, retentionBytes } = options
    const stored: StoredTopic = {
      id: randomUUID(),
      number,
      compact,
      ...(retention === undefined ? {} : { retention }),
      ...(retentionBytes === undefined ? {} : { retentionBytes }),
    }
    const topic = this.#load(name, stored)
    try {
      await this.#store.write(this.#store.makeRoom(2, 1024), () => {
        this.#store.topics.put('#last', number)
        this.#store.topics.put(`/${name}`, stored)
      })
    } catch (error) {
      this.#topics.delete(name)
      throw error
    }
    await this.saveState()
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
    const keys = records.map((_, i) => recordKey(number, first + i))
    const encoded = records.map((record, i) => encodeRecord(record, keys[i] as Buffer))
    const bytes = encoded.reduce((sum, { byteLength }) => sum + byteLength, 0)
    if (found.waitingBytes + bytes > this.#maxWaitingBytes) {
      throw new FramelogError(
        'LOG_OVERLOADED',
        `${found.waitingBytes} bytes of ${topic.name} wait for the disk`,
      )
    }
    if (!compact) this.#retention.admit(records.length, bytes)
    const room = this.#store.makeRoom(records.length, bytes)
    const next = first + records.length
    found.next = next
    found.waitingBytes += bytes
    const written = encoded.map((value, i) => decodeStored(value, (first + i) as Offset))
    const newest = { bytes: encoded.at(-1)?.byteLength ?? 0, time: records.at(-1)?.timestamp ?? 0 }
    const mark = compact ? undefined : found.sizes.count(first, bytes, records[0]?.timestamp ?? 0, newest)
    try {
      await this.#store.write(room, () => {
        for (const [i, value] of encoded.entries()) this.#store.records.put(keys[i] as Buffer, value)
        if (mark !== undefined) this.#store.marks.put(markKey(number, mark.offset), encodeMark(mark))
        if (compact) this.#supersede(found, written)
      })
    } catch (error) {
      found.waitingBytes -= bytes
      found.sizes.settled(mark, bytes, false)
      await found.settled(first, next, [])
      throw error
    }
    found.sizes.settled(mark, bytes, true)
    await found.settled(first, next, written)
    found.waitingBytes -= bytes
    this.#retention.afterAppend(found)
    return first as Offset
  }

  async bounds(topic: Topic): Promise<Bounds> {
    const found = this.#get(topic)
    return { first: this.#first(found), next: found.end as Offset }
  }

  async offsetAt(topic: Topic, time: Millis): Promise<Offset> {
    const found = this.#get(topic)
    return Math.max(this.#first(found), this.#search(found, time)) as Offset
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
    await this.#store.free(() => {
      this.#store.topics.remove(`/${topic.name}`)
    })
    await this.saveState()
    await this.#purge(found.stored.number)
  }

  async [Symbol.asyncDispose](): Promise<void> {
    if (this.#closed) return
    this.#closed = true
    this.#retention[Symbol.dispose]()
    const closed = new FramelogError('LOG_CLOSED', 'The embedded log was closed')
    for (const topic of this.#topics.values()) topic.finish(closed)
    await this.#store.close()
    await this.saveState()
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
    for (const { key, value } of this.#store.records.getRange(range)) {
      // The store lends the bytes until its next read; the record owns this copy.
      const record = decodeIntact(key, Buffer.from(new Uint8Array(value).buffer))
      if (records.length > 0 && bytes + record.value.byteLength > maxBytes) {
        return { records, next: record.offset, end: found.end as Offset }
      }
      bytes += record.value.byteLength
      records.push(record)
      if (bytes >= maxBytes) return { records, next: (record.offset + 1) as Offset, end: found.end as Offset }
    }
    return { records, next: found.end as Offset, end: found.end as Offset }
  }

  #currentState(): State {
    return {
      file: markFile(storeFile(this.#store.dir), this.#store.isClosed),
      last: this.#lastNumber,
      topics: [...this.#topics.values()].map(({ topic, stored, first }) => ({
        name: topic.name,
        stored,
        first,
      })),
    }
  }

  #first(found: EmbeddedTopic): Offset {
    this.#retention.hideOld(found)
    return found.first as Offset
  }

  /** The first offset whose record is not older than a time, else the end. Timestamps rise within a topic. */
  #search(found: EmbeddedTopic, time: number): number {
    const { number } = found.stored
    let low = found.first
    let high = found.end
    while (low < high) {
      const middle = Math.floor((low + high) / 2)
      const [entry] = this.#store.records.getRange({
        start: recordKey(number, middle),
        end: recordKey(number, high),
        limit: 1,
      })
      if (entry !== undefined && timestampOfStored(entry.value) < time) low = offsetOfKey(entry.key) + 1
      else high = middle
    }
    return low
  }

  #supersede(found: EmbeddedTopic, written: readonly LogRecord[]): void {
    for (const { key, offset } of written) {
      const older = found.offsetOfKey.get(key)
      if (older !== undefined) this.#store.records.remove(recordKey(found.stored.number, older))
      found.offsetOfKey.set(key, offset)
    }
  }

  #load(name: string, stored: StoredTopic): EmbeddedTopic {
    const step = markStep(stored.retentionBytes, this.#options.limit)
    const topic = loadTopic(this.#store, name, stored, step)
    this.#topics.set(name, topic)
    return topic
  }

  /** A deletion that a crash cut short goes on at the next start. */
  #purgeDeleted(): void {
    const known = new Set([...this.#topics.values()].map(({ stored }) => stored.number))
    for (let number = 1; number <= this.#lastNumber; number++) {
      const range = { start: recordKey(number, 0), end: recordKey(number + 1, 0), limit: 1 }
      if (known.has(number)) continue
      for (const _ of this.#store.records.getKeys(range)) void this.#purge(number).catch(() => {})
    }
  }

  async #purge(number: number): Promise<void> {
    const store = this.#store
    await store.remove(store.records, recordKey(number, 0), recordKey(number + 1, 0))
    await store.remove(store.marks, markKey(number, 0), markKey(number + 1, 0))
    if (!this.#closed) this.#retention.freed()
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
