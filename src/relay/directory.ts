/**
 * The directory: what broadcasts there are, on any gateway. A compacted topic holds one record for each, written
 * where something changes by whoever holds the broadcast; every gateway keeps it in memory. It is a hint: the
 * broadcast's own log is the truth.
 */
import type { Clock } from '../core/clock.ts'
import { decodeText, encodeText } from '../core/text.ts'
import type { Damage, Log, LogRecord, Tail, Topic } from '../log/log.ts'
import { catalogLimits } from '../media/catalog.ts'
import { type BroadcastId, isBroadcastId, type Millis, type Offset } from '../units.ts'
import type { Pause } from './packet.ts'

export interface DirectoryEntry {
  readonly id: BroadcastId
  readonly state: 'live' | 'interrupted' | 'ended'
  /** Id of the broadcast's topic: one that was deleted and made again has another. Empty where it is not known. */
  readonly topic: string
  /** Claim that it tells of. */
  readonly epoch: Offset
  /** Names the gateway that wrote it. */
  readonly gateway: string
  readonly startedAt: Millis
  readonly updatedAt: Millis
  /** What it is called, for people. */
  readonly title?: string
  /** When it was over, and went on later in the same topic; the newest. */
  readonly gaps: readonly Pause[]
}

/** Milliseconds between two attempts to read a directory that could not be read. */
const recoverEvery = 1000

export const directoryLimits = { broadcasts: 100_000, gaps: 64 } as const

export interface DirectoryHandler {
  /** An entry was read. */
  onEntry(entry: DirectoryEntry): void
  /** A removal was read that was meant for an earlier broadcast of the id: this entry is still right. */
  onRefuted(entry: DirectoryEntry): void
  /** The topic was deleted by hand, and has been made anew: who holds something writes it again. */
  onLost(): void
  /** Records cannot be read: `onLost` follows, as entries may be in them. */
  onDamage(topic: Topic, span: Damage): void
}

interface Known {
  readonly entry: DirectoryEntry
  /** When it was read, on the monotonic clock. */
  readonly at: number
}

export class Directory {
  readonly #log: Log
  readonly #name: string
  readonly #clock: Clock
  #topic: Topic
  readonly #entries = new Map<BroadcastId, Known>()
  /** Those that are not over. */
  readonly #active = new Set<BroadcastId>()
  /** Those that are, the one that ended first at the front. */
  readonly #ended = new Set<BroadcastId>()
  readonly #handler: DirectoryHandler
  readonly #limit: number
  #tail: Tail | undefined
  #closed = false

  private constructor(log: Log, topic: Topic, clock: Clock, handler: DirectoryHandler, limit: number) {
    this.#log = log
    this.#name = topic.name
    this.#topic = topic
    this.#clock = clock
    this.#handler = handler
    this.#limit = limit
  }

  /** Reads the whole directory. @param name of its topic, which no broadcast's can be */
  static async open(
    log: Log,
    name: string,
    clock: Clock,
    handler: DirectoryHandler,
    limit: number = directoryLimits.broadcasts,
  ): Promise<Directory> {
    const topic = await log.create(name, { compact: true })
    const directory = new Directory(log, topic, clock, handler, limit)
    await directory.#follow()
    return directory
  }

  list(): DirectoryEntry[] {
    return [...this.#entries.values()].map(({ entry }) => entry)
  }

  get(id: BroadcastId): DirectoryEntry | undefined {
    return this.#entries.get(id)?.entry
  }

  /** The broadcasts that are not over. */
  get active(): ReadonlySet<BroadcastId> {
    return this.#active
  }

  /** When a broadcast's entry was read here, on the monotonic clock. */
  readAt(id: BroadcastId): number {
    return this.#entries.get(id)?.at ?? 0
  }

  /** Asks the log something. @throws what the log throws where it does not answer */
  async check(): Promise<void> {
    await this.#log.bounds(this.#topic)
  }

  async put(entry: DirectoryEntry): Promise<void> {
    const { gaps, ...others } = entry
    const value = encodeText(JSON.stringify(gaps.length === 0 ? others : entry))
    await this.#log.append(this.#topic, [
      { key: entry.id, value, headers: [['v', '1']], timestamp: entry.updatedAt },
    ])
  }

  /**
   * Here it is gone as soon as that is written: whoever asked for it finds nothing there any more.
   * @param topic the one that was deleted: a broadcast that began anew meanwhile stays
   */
  async remove(id: BroadcastId, topic: string, now: Millis): Promise<void> {
    const value = encodeText(JSON.stringify({ id, removed: true, topic }))
    await this.#log.append(this.#topic, [{ key: id, value, headers: [['v', '1']], timestamp: now }])
    const known = this.get(id)
    if (known !== undefined && isSame(known.topic, topic)) this.#forget(id)
  }

  close(): void {
    this.#closed = true
    this.#tail?.close()
  }

  async #follow(): Promise<void> {
    const { first, next } = await this.#log.bounds(this.#topic)
    if (this.#closed) return
    const caughtUp = Promise.withResolvers<void>()
    let hasCaughtUp = first >= next
    if (hasCaughtUp) caughtUp.resolve()
    this.#tail = this.#log.tail(this.#topic, first, {
      onChunk: chunk => {
        for (const record of chunk.records) this.#take(record)
        for (const span of chunk.damaged ?? []) this.#handler.onDamage(this.#topic, span)
        if (chunk.damaged !== undefined) this.#handler.onLost()
        if (chunk.next < next) return
        hasCaughtUp = true
        caughtUp.resolve()
      },
      onEnd: error => {
        // Before that, whoever waits for it tries again: were both to, each try would become two.
        if (!hasCaughtUp) caughtUp.reject(error)
        else if (error.code !== 'LOG_CLOSED') this.#recoverLater()
      },
    })
    await caughtUp.promise
  }

  /**
   * The topic was deleted by hand, or may not be read for the moment: what is held stays, and holders write it again.
   * After a while, as a tail may end as soon as it begins.
   */
  #recoverLater(): void {
    this.#clock.after(recoverEvery, () => this.#recover())
  }

  #recover(): void {
    if (this.#closed) return
    const again = async (): Promise<void> => {
      this.#topic = await this.#log.create(this.#name, { compact: true })
      await this.#follow()
      this.#handler.onLost()
    }
    again().catch(() => this.#recoverLater())
  }

  #take(record: LogRecord): void {
    const parsed = parse(record)
    if (parsed === undefined) return
    const { id, topic } = parsed
    const known = this.#entries.get(id)?.entry
    if ('removed' in parsed) {
      if (known === undefined) return
      if (isSame(known.topic, topic)) this.#forget(id)
      else this.#handler.onRefuted(known)
      return
    }
    if (known === undefined && !this.#makeRoom()) return
    this.#entries.set(id, { entry: parsed, at: this.#clock.monotonic() })
    this.#active.delete(id)
    this.#ended.delete(id)
    const group = parsed.state === 'ended' ? this.#ended : this.#active
    group.add(id)
    this.#handler.onEntry(parsed)
  }

  #forget(id: BroadcastId): void {
    this.#entries.delete(id)
    this.#active.delete(id)
    this.#ended.delete(id)
  }

  /** What has been over for longest is forgotten for it: its recording is still there. @returns false where all are on air */
  #makeRoom(): boolean {
    if (this.#entries.size < this.#limit) return true
    for (const oldest of this.#ended) {
      this.#ended.delete(oldest)
      return this.#entries.delete(oldest)
    }
    return false
  }
}

const isSame = (a: string, b: string): boolean => a === b || a === '' || b === ''

interface Removal {
  readonly id: BroadcastId
  readonly removed: true
  readonly topic: string
}

function parse({ key, value }: LogRecord): DirectoryEntry | Removal | undefined {
  if (!isBroadcastId(key) || value.byteLength > 4096) return undefined
  let fields: Record<string, unknown>
  try {
    fields = JSON.parse(decodeText(value)) as Record<string, unknown>
  } catch {
    return undefined
  }
  if (typeof fields !== 'object' || fields === null) return undefined
  const { state, epoch, startedAt, updatedAt, title, gaps } = fields
  const topic = text(fields.topic)
  if (fields.removed === true) return { id: key, removed: true, topic }
  if (state !== 'live' && state !== 'interrupted' && state !== 'ended') return undefined
  if (!isCount(epoch) || !isCount(startedAt) || !isCount(updatedAt)) return undefined
  return {
    id: key,
    state,
    topic,
    epoch: epoch as Offset,
    gateway: text(fields.gateway),
    startedAt: startedAt as Millis,
    updatedAt: updatedAt as Millis,
    ...(typeof title === 'string' && title !== '' ? { title: title.slice(0, catalogLimits.title) } : {}),
    gaps: Array.isArray(gaps) ? gaps.filter(isPause).slice(-directoryLimits.gaps) : [],
  }
}

const isPause = (value: unknown): value is Pause =>
  Array.isArray(value) && value.length === 2 && value.every(isCount) && Number(value[0]) <= Number(value[1])

const text = (value: unknown): string => (typeof value === 'string' ? value.slice(0, 64) : '')
const isCount = (value: unknown): value is number => Number.isSafeInteger(value) && Number(value) >= 0
