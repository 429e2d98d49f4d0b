/**
 * Keeps the directory right: whoever holds a broadcast writes its entry where something changes, and again where
 * another's was wrong; an entry whose holder is gone is doubted after a grace, and the broadcast itself is looked at.
 * Several gateways may write the same end: it changes nothing.
 */
import type { Clock } from '../core/clock.ts'
import type { BroadcastId } from '../units.ts'
import type { Broadcast } from './broadcast.ts'
import { type Directory, type DirectoryEntry, directoryLimits } from './directory.ts'
import type { Heartbeats } from './heartbeats.ts'

export const upkeepLimits = {
  /** Between two looks at the directory, milliseconds; a little more or less, so that gateways spread. */
  sweep: 2000,
  /** Broadcasts of gateways that are gone that are looked at in one sweep, and as many that are waited for. */
  opensPerSweep: 16,
  /** Milliseconds within which whoever found a broadcast ended says so: the first one spares the others. */
  spread: 500,
} as const

export interface UpkeepHost {
  /** Those that are read here. */
  readonly broadcasts: ReadonlyMap<BroadcastId, Broadcast>
  /** Begins to read one. @returns undefined where there are too many */
  use(id: BroadcastId): Broadcast | undefined
  /** It is not needed any more. */
  release(broadcast: Broadcast): void
  onError(id: BroadcastId, error: unknown): void
}

export interface UpkeepOptions {
  readonly directory: Directory
  readonly heartbeats: Heartbeats
  readonly clock: Clock
  readonly gateway: string
  /** Milliseconds that a holder may be gone before its broadcasts are looked at. */
  readonly grace: number
  /** `length` random characters of a-z and 0-9. */
  random(length: number): string
}

export class Upkeep {
  readonly #options: UpkeepOptions
  readonly #host: UpkeepHost
  /** Whose entries are on their way to the log. */
  readonly #writing = new Set<BroadcastId>()
  #cancelSweep: () => void = () => {}
  #closed = false

  constructor(options: UpkeepOptions, host: UpkeepHost) {
    this.#options = options
    this.#host = host
    this.#scheduleSweep()
  }

  close(): void {
    this.#closed = true
    this.#cancelSweep()
  }

  /** A broadcast that is read here has changed: only its holder writes, and whoever finds it ended. */
  write(broadcast: Broadcast): void {
    if (broadcast.isHeldHere) this.#put(broadcast)
    else if (this.#isFoundEnded(broadcast)) {
      this.#options.clock.after(this.#random() * upkeepLimits.spread, () => {
        if (this.#isFoundEnded(broadcast)) this.#put(broadcast)
      })
    }
  }

  /** Another's entry was read of a broadcast that is published here. */
  correct(broadcast: Broadcast, entry: DirectoryEntry): void {
    const { epoch = -1, topic } = broadcast
    const isMine = broadcast.isPublishedHere && broadcast.isHeldHere && broadcast.state !== 'ended'
    if (!isMine || entry.gateway === this.#options.gateway) return
    if (entry.topic === topic?.id && entry.epoch <= epoch) this.#put(broadcast)
  }

  /** All entries of what is published here, again. */
  rewrite(): void {
    for (const broadcast of this.#host.broadcasts.values()) {
      if (broadcast.isPublishedHere && broadcast.isHeldHere) this.#put(broadcast)
    }
  }

  async remove(id: BroadcastId, topic: string): Promise<void> {
    await this.#options.directory.remove(id, topic, this.#options.clock.now())
  }

  #isFoundEnded({ id, state, topic, isHeldHere }: Broadcast): boolean {
    if (this.#closed || isHeldHere || state !== 'ended') return false
    const entry = this.#options.directory.get(id)
    return entry !== undefined && entry.state !== 'ended' && (entry.topic === '' || entry.topic === topic?.id)
  }

  #put(broadcast: Broadcast): void {
    const { directory, clock, gateway } = this.#options
    const { id, state, epoch, topic } = broadcast
    if (epoch === undefined || topic === undefined) return
    const before = directory.get(id)
    const goesOn = before !== undefined && before.state !== 'ended' && before.topic === topic.id
    const now = clock.now()
    const same = before !== undefined && before.topic === topic.id ? before : undefined
    const gaps = same === undefined ? [] : goesOn ? same.gaps : [...same.gaps, [same.updatedAt, now] as const]
    // Before its first catalog nothing tells what it is called now.
    const title = broadcast.title ?? (state === 'waiting' ? same?.title : undefined)
    const entry: DirectoryEntry = {
      id,
      state: state === 'waiting' ? 'live' : state,
      topic: topic.id,
      epoch,
      gateway,
      startedAt: goesOn ? before.startedAt : now,
      updatedAt: now,
      ...(title === undefined ? {} : { title }),
      gaps: state === 'ended' ? (same?.gaps ?? []) : gaps.slice(-directoryLimits.gaps),
    }
    this.#writing.add(id)
    directory
      .put(entry)
      .catch((error: unknown) => this.#host.onError(id, error))
      .finally(() => this.#writing.delete(id))
  }

  #scheduleSweep(): void {
    const wait = upkeepLimits.sweep * (0.75 + this.#random() / 2)
    this.#cancelSweep = this.#options.clock.after(wait, () => {
      if (this.#closed) return
      this.#scheduleSweep()
      this.#repair()
      this.#openWaiting()
      this.#doubt()
    })
  }

  /** An entry of what is published here may have been lost, or written over by one that was late. */
  #repair(): void {
    for (const broadcast of this.#host.broadcasts.values()) {
      const { id, state, epoch, topic, title } = broadcast
      if (!broadcast.isPublishedHere || !broadcast.isHeldHere || this.#writing.has(id)) continue
      const entry = this.#options.directory.get(id)
      const isRight =
        entry?.gateway === this.#options.gateway &&
        entry.epoch === epoch &&
        entry.topic === topic?.id &&
        // Before its first catalog nothing tells.
        (state === 'waiting' || entry.title === title) &&
        entry.state === (state === 'waiting' ? 'live' : state)
      if (!isRight) this.#put(broadcast)
    }
  }

  /** Who waits here for what is on air: it could not be read, or its topic not be found, when its entry came. */
  #openWaiting(): void {
    const { directory } = this.#options
    const waiting = [...this.#host.broadcasts.values()].filter(
      ({ id, topic }) => topic === undefined && directory.active.has(id),
    )
    // It was told why when its entry came.
    for (const broadcast of this.#some(waiting)) broadcast.open().catch(() => {})
  }

  /** Looks at some of those that should be on air and that no living gateway holds. */
  #doubt(): void {
    const { directory } = this.#options
    const doubtful = [...directory.active].filter(
      id => !this.#host.broadcasts.has(id) && this.#isDoubtful(id),
    )
    for (const id of this.#some(doubtful)) this.#look(id)
  }

  /** As many as are opened in one sweep, beginning anywhere. */
  #some<Item>(items: readonly Item[]): Item[] {
    const first = Math.floor(this.#random() * items.length)
    return [...items.slice(first), ...items.slice(0, first)].slice(0, upkeepLimits.opensPerSweep)
  }

  #isDoubtful(id: BroadcastId): boolean {
    const { directory, heartbeats, clock, grace } = this.#options
    const entry = directory.get(id)
    if (entry === undefined || !heartbeats.isSettled) return false
    const goneSince = heartbeats.goneSince(entry.gateway)
    if (goneSince === undefined && heartbeats.isHeldBy(entry.gateway, id)) return false
    const since = Math.max(goneSince ?? 0, directory.readAt(id))
    return clock.monotonic() - since >= grace
  }

  /** Reads it: where it is silent or gone, it is over. */
  #look(id: BroadcastId): void {
    const broadcast = this.#host.use(id)
    if (broadcast === undefined) return
    const settle = (): void => {
      const entry = this.#options.directory.get(id)
      if (entry === undefined) return
      const { topic, state, epoch, isPublishedHere } = broadcast
      // Nothing is left of it that could be read, be it deleted or past its retention.
      const isEmpty = state === 'waiting' && epoch === undefined && !isPublishedHere
      if (topic === undefined || isEmpty) this.remove(id, entry.topic).catch(() => {})
      else this.write(broadcast)
    }
    broadcast
      .open()
      .then(settle, () => {})
      .finally(() => this.#host.release(broadcast))
  }

  /** 0 to 1. */
  #random(): number {
    return Number.parseInt(this.#options.random(4), 36) / 36 ** 4
  }
}
