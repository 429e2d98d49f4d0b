/** The relay: all broadcasts of this gateway. It knows no socket and no Kafka: sinks and a log come in. */
import type { Clock } from '../core/clock.ts'
import { type ErrorCode, FramelogError, toFramelogError } from '../errors.ts'
import type { Log, TopicOptions } from '../log/log.ts'
import type { Catalog } from '../media/catalog.ts'
import type { NumberedFrame } from '../media/frame.ts'
import type { BroadcastId, Micros, Millis } from '../units.ts'
import { Broadcast, type BroadcastContext, type PublishRequest } from './broadcast.ts'
import { Directory, type DirectoryEntry } from './directory.ts'
import type { BroadcastState, ViewerSink } from './packet.ts'
import { parsePosition } from './position.ts'
import type { Claim, PublisherSink } from './publication.ts'
import { Viewer } from './viewer.ts'

export interface RelayOptions {
  readonly log: Log
  readonly clock: Clock
  /** Names this gateway. */
  readonly gateway: string
  readonly topicPrefix: string
  readonly topicOptions: TopicOptions
  /** Time a publisher may be gone before its broadcast ends, milliseconds. */
  readonly publisherGrace: number
  random(length: number): string
  /** Something the operator should know; one line. */
  onEvent(event: RelayEvent): void
}

export type RelayEvent =
  | {
      readonly kind: 'state'
      readonly id: BroadcastId
      readonly state: BroadcastState
      readonly viewers: number
    }
  | { readonly kind: 'error'; readonly id: BroadcastId; readonly error: FramelogError }

export interface BroadcastInfo {
  readonly id: BroadcastId
  readonly state: BroadcastState
  readonly startedAt: Millis
  readonly updatedAt: Millis
  /** On this gateway. */
  readonly viewers: number
}

/** A publisher's side of a claim. */
export interface Publishing extends Claim {
  catalog(catalog: Catalog): void
  frame(frame: NumberedFrame): void
  end(reason: string): Promise<void>
  /** The connection is gone. */
  leave(): void
}

/** A viewer's side. */
export interface Watching {
  position(session: string, timestamp: Micros): void
  /** The connection is gone. */
  leave(): void
}

export const relayLimits = {
  /** Broadcasts that are read or waited for at a time: more than there can be viewers, so publishers find room. */
  broadcasts: 50_000,
  viewers: 20_000,
  /** How long a broadcast that nobody uses is still read, milliseconds. */
  idle: 10_000,
  /** Silence after which viewers are told that the publisher is gone for the moment, milliseconds. */
  interrupted: 3000,
  /** Between two looks at the directory, milliseconds. */
  sweep: 5000,
  /** Age past which an entry of a live broadcast is doubted, milliseconds. */
  staleEntry: 15_000,
  opensPerSweep: 16,
} as const

export class Relay {
  readonly #options: RelayOptions
  readonly #broadcasts = new Map<BroadcastId, Broadcast>()
  readonly #context: BroadcastContext
  #directory: Directory | undefined
  #viewers = 0
  #closed = false

  constructor(options: RelayOptions) {
    this.#options = options
    const { log, clock, gateway, topicOptions, publisherGrace, random } = options
    this.#context = {
      log,
      clock,
      gateway,
      topicOptions,
      random,
      silence: { interrupted: Math.min(relayLimits.interrupted, publisherGrace), ended: publisherGrace },
      onState: broadcast => this.#announce(broadcast),
      onClaim: broadcast => this.#write(broadcast),
      onGone: broadcast => {
        if (this.#broadcasts.get(broadcast.id) === broadcast) this.#broadcasts.delete(broadcast.id)
      },
      onIdle: broadcast => clock.after(relayLimits.idle, () => this.#retire(broadcast)),
    }
  }

  /** Reads the directory. @throws what the log throws */
  async start(): Promise<void> {
    const { log, topicPrefix, clock } = this.#options
    this.#directory = await Directory.open(log, `${topicPrefix}_directory`, clock, entry =>
      this.#onDirectory(entry),
    )
    this.#sweep()
  }

  /** @throws what the log throws where it does not answer */
  async check(): Promise<void> {
    await this.#directory?.check()
  }

  list(): BroadcastInfo[] {
    return (this.#directory?.list() ?? []).map(entry => this.#info(entry))
  }

  get(id: BroadcastId): BroadcastInfo | undefined {
    const entry = this.#directory?.get(id)
    return entry && this.#info(entry)
  }

  /** @throws FramelogError BROADCAST_BUSY, TOO_MANY, and what the log throws */
  async publish(id: BroadcastId, request: PublishRequest, sink: PublisherSink): Promise<Publishing> {
    const broadcast = this.#use(id)
    try {
      const { publication, claim } = await broadcast.publish(request, sink)
      return {
        ...claim,
        catalog: catalog => publication.catalog(catalog),
        frame: frame => publication.frame(frame),
        end: reason => publication.end(reason),
        leave: () => broadcast.leave(publication),
      }
    } catch (error) {
      this.#context.onIdle(broadcast)
      throw error
    }
  }

  /**
   * @param from as `parsePosition` takes it
   * @param onError called where reading fails later on
   * @throws FramelogError BAD_POSITION, TOO_MANY
   */
  watch(id: BroadcastId, from: string, sink: ViewerSink): Watching {
    const position = parsePosition(from, this.#options.clock.now())
    if (this.#viewers >= relayLimits.viewers) throw tooMany('viewers', relayLimits.viewers)
    const broadcast = this.#use(id)
    const viewer = new Viewer(sink)
    this.#viewers += 1
    let gone = false
    broadcast.watch(viewer, position).catch((error: unknown) => {
      viewer.fail(this.#report(id, error, 'INTERNAL'))
    })
    return {
      position: (session, timestamp) => viewer.position(session, timestamp),
      leave: () => {
        if (gone) return
        gone = true
        this.#viewers -= 1
        broadcast.forget(viewer)
      },
    }
  }

  /** Removes a broadcast and all its records. @throws FramelogError BROADCAST_NOT_FOUND */
  async delete(id: BroadcastId): Promise<void> {
    const { log, clock } = this.#options
    const topic = await log.find(this.#topicName(id))
    if (topic === undefined) throw new FramelogError('BROADCAST_NOT_FOUND', `There is no broadcast ${id}`)
    await log.delete(topic)
    await this.#directory?.remove(id, clock.now())
  }

  /** Ends all connections; broadcasts stay as they are in the log. */
  close(): void {
    this.#closed = true
    this.#directory?.close()
    const error = new FramelogError('SHUTTING_DOWN', 'The gateway is stopping')
    for (const broadcast of this.#broadcasts.values()) broadcast.close(error)
    this.#broadcasts.clear()
  }

  #use(id: BroadcastId): Broadcast {
    if (this.#closed) throw new FramelogError('SHUTTING_DOWN', 'The gateway is stopping')
    const known = this.#broadcasts.get(id)
    if (known !== undefined) return known
    if (this.#broadcasts.size >= relayLimits.broadcasts) throw tooMany('broadcasts', relayLimits.broadcasts)
    const broadcast = new Broadcast(id, this.#topicName(id), this.#context)
    this.#broadcasts.set(id, broadcast)
    return broadcast
  }

  /** Tells the operator. @param code of an error that has none of its own */
  #report(id: BroadcastId, cause: unknown, code: ErrorCode): FramelogError {
    const error = toFramelogError(cause, code)
    this.#options.onEvent({ kind: 'error', id, error })
    return error
  }

  #topicName(id: BroadcastId): string {
    return this.#options.topicPrefix + id
  }

  #info(entry: DirectoryEntry): BroadcastInfo {
    const { id, state, startedAt, updatedAt } = entry
    const here = this.#broadcasts.get(id)
    const known = here !== undefined && here.state !== 'waiting' ? here.state : state
    return { id, state: known, startedAt, updatedAt, viewers: here?.viewers ?? 0 }
  }

  /** Another gateway, or this one, wrote of a broadcast: who waits for it here can begin to read. */
  #onDirectory(entry: DirectoryEntry): void {
    const waiting = this.#broadcasts.get(entry.id)
    if (waiting === undefined || waiting.topic !== undefined) return
    waiting.open().catch((error: unknown) => void this.#report(entry.id, error, 'LOG_FAILED'))
  }

  #announce(broadcast: Broadcast): void {
    const { id, state } = broadcast
    this.#options.onEvent({ kind: 'state', id, state, viewers: broadcast.viewers })
    this.#write(broadcast)
  }

  /** Only the holder writes, and whoever finds a broadcast ended whose holder is gone. */
  #write(broadcast: Broadcast): void {
    const { id, state, epoch } = broadcast
    const before = this.#directory?.get(id)
    const foundEnded = state === 'ended' && before !== undefined && before.state !== 'ended'
    if (epoch === undefined || !(broadcast.isHeldHere || foundEnded)) return
    const now = this.#options.clock.now()
    const entry: DirectoryEntry = {
      id,
      state: state === 'waiting' ? 'live' : state,
      epoch,
      gateway: this.#options.gateway,
      startedAt: before !== undefined && before.state !== 'ended' ? before.startedAt : now,
      updatedAt: now,
    }
    this.#directory?.put(entry).catch((error: unknown) => void this.#report(id, error, 'LOG_FAILED'))
  }

  /**
   * The holder's entry stays fresh; one that does not may be of a gateway that was killed. Whoever notices reads
   * the broadcast itself: where that is silent too, it is over.
   */
  #sweep(): void {
    if (this.#closed) return
    for (const broadcast of this.#broadcasts.values()) {
      if (broadcast.isPublishedHere && broadcast.state !== 'ended') this.#write(broadcast)
    }
    const stale = this.#options.clock.now() - relayLimits.staleEntry
    let opened = 0
    for (const { id, state, updatedAt } of this.#directory?.list() ?? []) {
      if (state === 'ended' || updatedAt > stale || this.#broadcasts.has(id)) continue
      if (++opened > relayLimits.opensPerSweep || this.#broadcasts.size >= relayLimits.broadcasts) break
      const broadcast = this.#use(id)
      const settle = (): void => {
        if (broadcast.topic === undefined)
          void this.#directory?.remove(id, this.#options.clock.now()).catch(() => {})
        else this.#write(broadcast)
        this.#context.onIdle(broadcast)
      }
      broadcast.open().then(settle, () => this.#context.onIdle(broadcast))
    }
    this.#options.clock.after(relayLimits.sweep, () => this.#sweep())
  }

  #retire(broadcast: Broadcast): void {
    if (
      broadcast.viewers > 0 ||
      broadcast.isPublishedHere ||
      this.#broadcasts.get(broadcast.id) !== broadcast
    )
      return
    this.#broadcasts.delete(broadcast.id)
    broadcast.close(new FramelogError('SHUTTING_DOWN', 'Nobody uses the broadcast here'))
  }
}

const tooMany = (what: string, limit: number): FramelogError =>
  new FramelogError('TOO_MANY', `This gateway serves ${limit} ${what} at a time`)
