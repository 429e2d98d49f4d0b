/**
 * The embedded log: one LMDB store under DATA_DIR, in this process. For one gateway; Kafka is for several.
 *
 * A record is acknowledged once its commit is done: the kernel has it, so a killed process loses nothing. With
 * `sync: 'always'` it is acknowledged once it is on the disk, so that a power cut loses nothing either.
 */
import { randomUUID } from 'node:crypto'
import { resolve } from 'node:path'
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
import { useFolder } from './folder.ts'
import { decodeStored, encodeMark, encodeRecord, markKey, recordKey } from './layout.ts'
import { loadTopic } from './load.ts'
import { lockDirectory } from './lock.ts'
import { readChunk, searchTime } from './reading.ts'
import { reconcile } from './reconcile.ts'
import { prepareStore } from './recover.ts'
import { Retention } from './retention.ts'
import type { Taken } from './room.ts'
import { type Mark, markStep } from './sizes.ts'
import { markFile, readState, type State, StateWriter } from './state.ts'
import { Store, type Sync, storeFile } from './store.ts'
import type { EmbeddedTopic, StoredTopic } from './topic.ts'
import { Turns } from './turns.ts'

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
  useFolder(dir)
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

/**
 * Whether a rejection that nobody handles is LMDB's own echo of a failed commit. It rejects promises of its own
 * beside those it gives out; the append that failed has had its error.
 */
export const isCommitEcho = (reason: unknown): boolean =>
  reason instanceof Error && ('commitError' in reason || /[\\/]lmdb[\\/]/.test(reason.stack ?? ''))

/** An append that is on its way. */
interface Admitted {
  readonly first: number
  readonly next: number
  readonly entries: readonly { readonly key: Buffer; readonly value: Buffer }[]
  readonly bytes: number
  readonly mark: Mark | undefined
  readonly room: Taken
}

class EmbeddedLog implements Log {
  readonly #store: Store
  readonly #lock: AsyncDisposable
  readonly #options: EmbeddedLogOptions
  readonly #topics = new Map<string, EmbeddedTopic>()
  readonly #maxWaitingBytes: number
  readonly #retention: Retention
  readonly #turns = new Turns()
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
      offsetAt: (topic, time) => searchTime(store, topic, time),
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
    found.checkRefusal()
    if (records.length === 0) return found.next as Offset
    let admitted: Admitted
    try {
      admitted = this.#admit(found, records)
    } catch (error) {
      found.refuse(toFramelogError(error))
      throw error
    }
    return this.#commit(found, admitted)
  }

  async bounds(topic: Topic): Promise<Bounds> {
    const found = this.#get(topic)
    return { first: this.#first(found), next: found.end as Offset }
  }

  async offsetAt(topic: Topic, time: Millis): Promise<Offset> {
    const found = this.#get(topic)
    return Math.max(this.#first(found), searchTime(this.#store, found, time)) as Offset
  }

  async read(topic: Topic, from: Offset, maxBytes: number): Promise<Chunk> {
    this.#get(topic)
    await this.#turns.next()
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

  /** @throws FramelogError LOG_OVERLOADED, LOG_FULL, LOG_FAILED */
  #admit(found: EmbeddedTopic, records: readonly NewRecord[]): Admitted {
    const { number, compact } = found.stored
    const first = found.next
    const entries = records.map((record, i) => {
      const key = recordKey(number, first + i)
      return { key, value: encodeRecord(record, key) }
    })
    const bytes = entries.reduce((sum, { value }) => sum + value.byteLength, 0)
    if (found.waitingBytes + bytes > this.#maxWaitingBytes) {
      throw new FramelogError(
        'LOG_OVERLOADED',
        `${found.waitingBytes} bytes of ${found.topic.name} wait for the disk`,
      )
    }
    if (!compact) this.#retention.admit(records.length, bytes)
    const room = this.#store.makeRoom(records.length, bytes)
    found.next = first + records.length
    found.waitingBytes += bytes
    const newest = { bytes: entries.at(-1)?.value.byteLength ?? 0, time: records.at(-1)?.timestamp ?? 0 }
    const mark = compact ? undefined : found.sizes.count(first, bytes, records[0]?.timestamp ?? 0, newest)
    return { first, next: found.next, entries, bytes, mark, room }
  }

  async #commit(
    found: EmbeddedTopic,
    { first, next, entries, bytes, mark, room }: Admitted,
  ): Promise<Offset> {
    const { number, compact } = found.stored
    const written = entries.map(({ value }, i) => decodeStored(value, (first + i) as Offset))
    const error = await this.#store
      .write(room, () => {
        for (const { key, value } of entries) this.#store.records.put(key, value)
        if (mark !== undefined) this.#store.marks.put(...encodeMark(number, mark))
        if (compact) this.#supersede(found, written)
      })
      .then(() => undefined, toFramelogError)
    const isStored = error === undefined
    if (compact) for (const { key, offset } of written) found.keys.settled(key, offset, isStored)
    const failure = await found.settled(
      isStored ? { first, next, records: written } : { first, next, records: [], error },
    )
    found.waitingBytes -= bytes
    found.sizes.settled(mark, bytes, failure === undefined)
    if (failure !== undefined) throw failure
    this.#retention.afterAppend(found)
    return first as Offset
  }

  #read(found: EmbeddedTopic, from: Offset, maxBytes: number): Chunk {
    this.#get(found.topic)
    this.#retention.hideOld(found)
    return readChunk(this.#store, found, from, maxBytes)
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

  #supersede(found: EmbeddedTopic, written: readonly LogRecord[]): void {
    for (const { key, offset } of written)
      for (const older of found.keys.put(key, offset))
        this.#store.records.remove(recordKey(found.stored.number, older))
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
