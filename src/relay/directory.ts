/**
 * The directory: what broadcasts there are, on any gateway. A compacted topic holds one record for each, written
 * by whoever holds the broadcast; every gateway keeps it in memory. It is a hint: the broadcast's own log is the
 * truth.
 */
import type { Clock } from '../core/clock.ts'
import { decodeText, encodeText } from '../core/text.ts'
import type { Log, LogRecord, Tail, Topic } from '../log/log.ts'
import { type BroadcastId, isBroadcastId, type Millis, type Offset } from '../units.ts'

export interface DirectoryEntry {
  readonly id: BroadcastId
  readonly state: 'live' | 'interrupted' | 'ended'
  /** Claim of the gateway that wrote it. */
  readonly epoch: Offset
  readonly gateway: string
  readonly startedAt: Millis
  readonly updatedAt: Millis
}

/** Milliseconds between two attempts to read a directory that could not be read. */
const recoverEvery = 1000

export const directoryLimits = { broadcasts: 100_000 } as const

export class Directory {
  readonly #log: Log
  readonly #name: string
  readonly #clock: Clock
  #topic: Topic
  readonly #entries = new Map<BroadcastId, DirectoryEntry>()
  readonly #onChange: (entry: DirectoryEntry) => void
  #tail: Tail | undefined
  #closed = false

  constructor(log: Log, topic: Topic, clock: Clock, onChange: (entry: DirectoryEntry) => void) {
    this.#log = log
    this.#name = topic.name
    this.#topic = topic
    this.#clock = clock
    this.#onChange = onChange
  }

  /** Reads the whole directory. @param name of its topic, which no broadcast's can be */
  static async open(
    log: Log,
    name: string,
    clock: Clock,
    onChange: (entry: DirectoryEntry) => void,
  ): Promise<Directory> {
    const topic = await log.create(name, { compact: true })
    const directory = new Directory(log, topic, clock, onChange)
    await directory.#follow()
    return directory
  }

  list(): DirectoryEntry[] {
    return [...this.#entries.values()]
  }

  get(id: BroadcastId): DirectoryEntry | undefined {
    return this.#entries.get(id)
  }

  /** Asks the log something. @throws what the log throws where it does not answer */
  async check(): Promise<void> {
    await this.#log.bounds(this.#topic)
  }

  async put(entry: DirectoryEntry): Promise<void> {
    const value = encodeText(JSON.stringify(entry))
    await this.#log.append(this.#topic, [
      { key: entry.id, value, headers: [['v', '1']], timestamp: entry.updatedAt },
    ])
  }

  async remove(id: BroadcastId, now: Millis): Promise<void> {
    this.#entries.delete(id)
    const value = encodeText(JSON.stringify({ id, removed: true }))
    await this.#log.append(this.#topic, [{ key: id, value, headers: [['v', '1']], timestamp: now }])
  }

  close(): void {
    this.#closed = true
    this.#tail?.close()
  }

  async #follow(): Promise<void> {
    const { first, next } = await this.#log.bounds(this.#topic)
    const caughtUp = Promise.withResolvers<void>()
    if (first >= next) caughtUp.resolve()
    this.#tail = this.#log.tail(this.#topic, first, {
      onChunk: chunk => {
        for (const record of chunk.records) this.#take(record)
        if (chunk.next >= next) caughtUp.resolve()
      },
      onEnd: error => {
        caughtUp.reject(error)
        if (error.code !== 'LOG_CLOSED') this.#recover()
      },
    })
    await caughtUp.promise
  }

  /** The topic was deleted by hand: what is held stays, and holders write it again as broadcasts go on. */
  #recover(): void {
    if (this.#closed) return
    const again = async (): Promise<void> => {
      this.#topic = await this.#log.create(this.#name, { compact: true })
      await this.#follow()
    }
    again().catch(() => this.#clock.after(recoverEvery, () => this.#recover()))
  }

  #take(record: LogRecord): void {
    const parsed = parse(record)
    if (parsed === undefined) return
    if ('removed' in parsed) {
      this.#entries.delete(parsed.id)
      return
    }
    const known = this.#entries.get(parsed.id)
    if (known === undefined && this.#entries.size >= directoryLimits.broadcasts) return
    this.#entries.set(parsed.id, parsed)
    this.#onChange(parsed)
  }
}

function parse({ key, value }: LogRecord): DirectoryEntry | { id: BroadcastId; removed: true } | undefined {
  if (!isBroadcastId(key) || value.byteLength > 4096) return undefined
  let fields: Record<string, unknown>
  try {
    fields = JSON.parse(decodeText(value)) as Record<string, unknown>
  } catch {
    return undefined
  }
  if (typeof fields !== 'object' || fields === null) return undefined
  if (fields.removed === true) return { id: key, removed: true }
  const { state, epoch, gateway, startedAt, updatedAt } = fields
  if (state !== 'live' && state !== 'interrupted' && state !== 'ended') return undefined
  if (!isCount(epoch) || !isCount(startedAt) || !isCount(updatedAt)) return undefined
  return {
    id: key,
    state,
    epoch: epoch as Offset,
    gateway: typeof gateway === 'string' ? gateway.slice(0, 64) : '',
    startedAt: startedAt as Millis,
    updatedAt: updatedAt as Millis,
  }
}

const isCount = (value: unknown): value is number => Number.isSafeInteger(value) && Number(value) >= 0
