/** The relay: all broadcasts of this gateway. It knows no socket and no Kafka: sinks and a log come in. */
import type { Clock } from '../core/clock.ts'
import { type ErrorCode, FramelogError, toFramelogError } from '../errors.ts'
import type { Log, TopicOptions } from '../log/log.ts'
import type { Catalog } from '../media/catalog.ts'
import type { NumberedFrame } from '../media/frame.ts'
import type { TimedData } from '../media/timed-data.ts'
import type { BroadcastId, Micros, Millis } from '../units.ts'
import { Addresses } from './addresses.ts'
import { Broadcast, type BroadcastContext } from './broadcast.ts'
import { DamageNotes, type DamageNotice } from './damage-notes.ts'
import { dataWriterLimits } from './data-writer.ts'
import { Directory, type DirectoryEntry } from './directory.ts'
import type { GatewayAddress, Snapshot } from './heartbeat-record.ts'
import { Heartbeats } from './heartbeats.ts'
import { HeldBudget, type HeldLimits } from './held-frames.ts'
import type { PublishRequest } from './holder.ts'
import type { BroadcastState, ViewerSink } from './packet.ts'
import { parsePosition } from './position.ts'
import type { FrameStage, PublisherSink } from './publication.ts'
import { Recording } from './recording.ts'
import { Seeks } from './seeks.ts'
import type { Claim } from './session-records.ts'
import { type Thumbnail, Thumbnails } from './thumbnails.ts'
import { Upkeep } from './upkeep.ts'
import { Viewer } from './viewer.ts'

export interface RelayOptions {
  readonly log: Log
  readonly clock: Clock
  /** Names this gateway: no other one, at no other time, has the name. */
  readonly gateway: string
  readonly topicPrefix: string
  readonly topicOptions: TopicOptions
  /** Time a publisher may be gone before its broadcast ends, milliseconds. */
  readonly publisherGrace: number
  /** What a publisher's frames may wait in while the log does not answer. */
  readonly held?: HeldLimits
  random(length: number): string
  /** What has become of a frame of a publisher here. @param time from its receipt on, milliseconds */
  onMeasured?(stage: FrameStage, time: number): void
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
  | ({ readonly kind: 'damage' } & DamageNotice)

export interface BroadcastInfo {
  readonly id: BroadcastId
  readonly state: BroadcastState
  readonly startedAt: Millis
  readonly updatedAt: Millis
  /** On all gateways that are alive. */
  readonly viewers: number
  /** What it is called, for people. */
  readonly title?: string
}

/** A publisher's side of a claim. */
export interface Publishing extends Claim {
  catalog(catalog: Catalog): void
  frame(frame: NumberedFrame): void
  /** Written as `Writing` does, or left out: no picture ends for want of a thumbnail. */
  data(record: TimedData): void
  end(reason: string): Promise<void>
  /** The connection is gone. */
  leave(): void
}

/** The side of one who writes timed data. */
export interface Writing {
  /**
   * Resolves when the log has it.
   * @param record borrowed until then
   * @throws FramelogError see `DataWriter.write`
   */
  write(record: TimedData): Promise<void>
  /** The connection is gone. */
  leave(): void
}

export interface WatchRequest {
  /** As `parsePosition` takes it. */
  readonly from: string
  /** Id of the topic that an offset is of; undefined for whichever is there. */
  readonly topic?: string | undefined
  /** The rendition that is wanted, by its track's name; one that is not there is the main one. Undefined for all tracks. */
  readonly rendition?: string | undefined
}

/** A viewer's side. */
export interface Watching {
  position(session: string, timestamp: Micros): void
  /** Another rendition, from the next GOP on; of no effect where all tracks were asked for. @param name of a track */
  want(name: string): void
  /** It is sent nothing any more, until it seeks. */
  pause(): void
  /**
   * It is sent what follows from somewhere else.
   * @param seek names it in the place that it is told
   * @param from as `parsePosition` takes it
   * @param step the keyframe before or behind that position
   * @throws FramelogError BAD_POSITION
   */
  seek(seek: number, from: string, step: -1 | 0 | 1): void
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
} as const

export class Relay {
  readonly #options: RelayOptions
  readonly #broadcasts = new Map<BroadcastId, Broadcast>()
  readonly #context: BroadcastContext
  readonly #damage: DamageNotes
  readonly #thumbnails: Thumbnails
  #directory: Directory | undefined
  #heartbeats: Heartbeats | undefined
  #upkeep: Upkeep | undefined
  #viewers = 0
  #closed = false
  readonly #addresses: Addresses
  #isDraining = false
  /** Called where other gateways have come, or gone. */
  onElsewhere: () => void = () => {}

  constructor(options: RelayOptions) {
    this.#options = options
    const { log, clock, gateway, topicOptions, publisherGrace, random } = options
    this.#addresses = new Addresses(() => Number.parseInt(random(4), 36) / 36 ** 4)
    this.#damage = new DamageNotes(clock, notice => options.onEvent({ kind: 'damage', ...notice }))
    this.#thumbnails = new Thumbnails(log, clock, id => this.#topicName(id))
    this.#context = {
      log,
      clock,
      gateway,
      topicOptions,
      random,
      budget: new HeldBudget(),
      dataBudget: new HeldBudget(dataWriterLimits.bytes),
      held: options.held,
      silence: { interrupted: Math.min(relayLimits.interrupted, publisherGrace), ended: publisherGrace },
      onState: broadcast => this.#announce(broadcast),
      isLogCurrent: () => this.#heartbeats?.isCurrent ?? true,
      isHeldElsewhere: id => this.#isHeldElsewhere(id),
      isOver: (id, topic) => {
        const entry = this.#directory?.get(id)
        return entry?.state === 'ended' && entry.topic === topic.id
      },
      onDamage: (topic, span) => this.#damage.add(topic, span),
      onMeasured: (stage, time) => options.onMeasured?.(stage, time),
      onClaim: broadcast => this.#upkeep?.write(broadcast),
      gapsOf: (id, topic) => {
        const entry = this.#directory?.get(id)
        return entry !== undefined && entry.topic === topic?.id ? entry.gaps : []
      },
      onGone: broadcast => {
        if (this.#broadcasts.get(broadcast.id) === broadcast) this.#broadcasts.delete(broadcast.id)
      },
      onIdle: broadcast => clock.after(relayLimits.idle, () => this.#retire(broadcast)),
    }
  }

  /** Reads the directory, and begins to listen to the other gateways. @throws what the log throws */
  async start(): Promise<void> {
    const { log, topicPrefix, clock, gateway, publisherGrace, random } = this.#options
    const directory = await Directory.open(log, `${topicPrefix}_directory`, clock, {
      onEntry: entry => this.#onEntry(entry),
      onRefuted: ({ id }) => this.#onRefuted(id),
      onLost: () => this.#upkeep?.rewrite(),
      onDamage: this.#context.onDamage,
    })
    this.#directory = directory
    const heartbeats = await Heartbeats.open({
      log,
      clock,
      gateway,
      topicName: `${topicPrefix}_gateways`,
      snapshot: () => this.#snapshot(),
      onGone: name => this.#onGone(name),
      onAddress: address => this.#addresses.remember(address),
      onElsewhere: () => this.onElsewhere(),
      onDamage: this.#context.onDamage,
    })
    this.#heartbeats = heartbeats
    const options = { directory, heartbeats, clock, gateway, grace: publisherGrace, random }
    this.#upkeep = new Upkeep(options, {
      broadcasts: this.#broadcasts,
      use: id => (this.#broadcasts.size < relayLimits.broadcasts ? this.#use(id) : undefined),
      release: broadcast => this.#context.onIdle(broadcast),
      onError: (id, error) => void this.#report(id, error, 'LOG_FAILED'),
    })
  }

  /** Tells the other gateways where pages reach this one. */
  announce(address: GatewayAddress): void {
    this.#addresses.own = address
    this.#addresses.remember(address)
    this.#heartbeats?.sayNow()
  }

  /** Origins of other gateways that a page may go on with, in an order of its own for each call. */
  elsewhere(): string[] {
    return this.#addresses.forPage(this.#heartbeats?.elsewhere ?? [])
  }

  /** Whether it is about to stop. */
  get isDraining(): boolean {
    return this.#isDraining
  }

  /** Whether its pages should go on elsewhere: it is about to stop, and there is another one. */
  get sendsAway(): boolean {
    return this.#isDraining && this.hasOthers
  }

  /** Whether another gateway serves this log, be it behind the same address. */
  get hasOthers(): boolean {
    return this.#heartbeats?.hasOthers ?? false
  }

  /** Whether pages of an origin are those of a gateway of this log, be it gone. */
  isKnownOrigin(origin: string): boolean {
    return this.#addresses.isKnown(origin)
  }

  /** Tells the other gateways that this one is about to stop: they send nobody here any more. */
  drain(): void {
    this.#isDraining = true
    this.#heartbeats?.sayNow()
  }

  /** @throws FramelogError SHUTTING_DOWN where it is about to stop, and what the log throws where it does not answer */
  async check(): Promise<void> {
    if (this.#isDraining) throw new FramelogError('SHUTTING_DOWN', 'The gateway is stopping')
    await this.#directory?.check()
  }

  list(): BroadcastInfo[] {
    return (this.#directory?.list() ?? []).map(entry => this.#info(entry))
  }

  get(id: BroadcastId): BroadcastInfo | undefined {
    const entry = this.#directory?.get(id)
    return entry && this.#info(entry)
  }

  /** Of this gateway alone. */
  get counts(): { broadcasts: number; publishers: number; viewers: number } {
    const publishers = [...this.#broadcasts.values()].filter(({ hasPublisher }) => hasPublisher).length
    return { broadcasts: this.#broadcasts.size, publishers, viewers: this.#viewers }
  }

  /** @returns undefined where there is none. @throws FramelogError TOO_MANY, and what the log throws */
  thumbnail(id: BroadcastId): Promise<Thumbnail | undefined> {
    return this.#thumbnails.of(id)
  }

  /** What is kept of a broadcast. @throws FramelogError BROADCAST_NOT_FOUND, and what the log throws */
  async recording(id: BroadcastId): Promise<Recording> {
    const { log } = this.#options
    const topic = await log.find(this.#topicName(id))
    if (topic === undefined) throw new FramelogError('BROADCAST_NOT_FOUND', `There is no broadcast ${id}`)
    return new Recording(log, topic)
  }

  /** @throws FramelogError BROADCAST_BUSY, TOO_MANY, and what the log throws */
  async publish(id: BroadcastId, request: PublishRequest, sink: PublisherSink): Promise<Publishing> {
    const broadcast = this.#use(id)
    try {
      const { publication, claim } = await broadcast.publish(request, sink)
      const writer = broadcast.writer()
      return {
        ...claim,
        catalog: catalog => publication.catalog(catalog),
        frame: frame => publication.frame(frame),
        data: record => void writer.write(record).catch(() => {}),
        end: reason => broadcast.end(publication, reason),
        leave: () => broadcast.leave(publication),
      }
    } catch (error) {
      this.#context.onIdle(broadcast)
      throw error
    }
  }

  /** @throws FramelogError BROADCAST_NOT_FOUND, BROADCAST_NOT_LIVE, TOO_MANY, and what the log throws */
  async write(id: BroadcastId): Promise<Writing> {
    const broadcast = this.#use(id)
    try {
      const writer = await broadcast.joinWriter()
      let gone = false
      return {
        write: record => writer.write(record),
        leave: () => {
          if (gone) return
          gone = true
          broadcast.leaveWriter()
        },
      }
    } catch (error) {
      // Names that nobody publishes under cost nothing when they were refused.
      if (broadcast.topic === undefined) this.#retire(broadcast)
      throw error
    }
  }

  /**
   * @throws FramelogError BAD_POSITION, TOO_MANY
   */
  watch(id: BroadcastId, { from, topic, rendition }: WatchRequest, sink: ViewerSink): Watching {
    const position = parsePosition(from, this.#options.clock.now())
    if (this.#viewers >= relayLimits.viewers) throw tooMany('viewers', relayLimits.viewers)
    const broadcast = this.#use(id)
    const viewer = new Viewer(sink, rendition)
    this.#viewers += 1
    let gone = false
    const fail = (error: unknown): void => viewer.fail(this.#report(id, error, 'INTERNAL'))
    const seeks = new Seeks(broadcast.watch(viewer, position, topic))
    seeks.done.catch(fail)
    return {
      position: (session, timestamp) => viewer.position(session, timestamp),
      want: name => viewer.want(name),
      pause: () => viewer.pause(),
      seek: (seek, text, step) => {
        const to = parsePosition(text, this.#options.clock.now())
        viewer.seek(seek)
        seeks.next(() => broadcast.seek(viewer, to, step)).catch(fail)
      },
      leave: () => {
        if (gone) return
        gone = true
        this.#viewers -= 1
        broadcast.forget(viewer)
      },
    }
  }

  /** Removes a broadcast and all its records. @throws FramelogError BROADCAST_NOT_FOUND, and what the log throws */
  async delete(id: BroadcastId): Promise<void> {
    const { log } = this.#options
    const found = await log.find(this.#topicName(id))
    // Its topic may have been deleted by hand, and the directory not know it.
    const topic = found?.id ?? this.#directory?.get(id)?.topic
    if (topic === undefined) throw new FramelogError('BROADCAST_NOT_FOUND', `There is no broadcast ${id}`)
    if (found !== undefined) await log.delete(found)
    await this.#upkeep?.remove(id, topic)
  }

  /** Ends all connections and tells the other gateways; broadcasts stay as they are in the log. */
  async close(): Promise<void> {
    this.#closed = true
    this.#upkeep?.close()
    this.#damage.close()
    this.#directory?.close()
    const error = new FramelogError('SHUTTING_DOWN', 'The gateway is stopping')
    for (const broadcast of this.#broadcasts.values()) broadcast.close(error)
    this.#broadcasts.clear()
    await this.#heartbeats?.close()
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
    const { id, startedAt, updatedAt } = entry
    const title = entry.title === undefined ? {} : { title: entry.title }
    const read = this.#broadcasts.get(id)
    const here = read?.topic?.id === entry.topic && read.state !== 'waiting' ? read : undefined
    const isGone = this.#heartbeats?.goneSince(entry.gateway) !== undefined
    const told = entry.state === 'live' && isGone ? 'interrupted' : entry.state
    const viewers = (read?.viewers ?? 0) + (this.#heartbeats?.viewersElsewhere(id) ?? 0)
    return { id, state: here?.state ?? told, startedAt, updatedAt, viewers, ...title }
  }

  /** What this gateway tells the others twice a second: only of what is used here. */
  #snapshot(): Snapshot {
    const all = [...this.#broadcasts.values()]
    return {
      holds: all.filter(({ isPublishedHere }) => isPublishedHere).map(({ id }) => id),
      viewers: all.map(({ id, viewers }) => [id, viewers] as const),
      address: this.#addresses.own,
      draining: this.#isDraining,
    }
  }

  /** Before it is known who is alive, the directory is believed. */
  #isHeldElsewhere(id: BroadcastId): boolean {
    const heartbeats = this.#heartbeats
    const entry = this.#directory?.get(id)
    if (heartbeats === undefined || entry === undefined) return false
    return heartbeats.isSettled ? heartbeats.isHeldElsewhere(id) : entry.state !== 'ended'
  }

  /** Another gateway is gone: whoever watches what it held hears of it before the silence tells. */
  #onGone(gateway: string): void {
    for (const broadcast of this.#broadcasts.values()) {
      if (this.#directory?.get(broadcast.id)?.gateway === gateway) broadcast.holderGone()
    }
  }

  /** Another gateway, or this one, wrote of a broadcast: who waits for it here can begin to read. */
  #onEntry(entry: DirectoryEntry): void {
    const { id } = entry
    const here = this.#broadcasts.get(id)
    if (here === undefined) return
    const report = (error: unknown): void => void this.#report(id, error, 'LOG_FAILED')
    if (here.topic === undefined) here.open().catch(report)
    else if (entry.topic !== '' && here.topic.id !== entry.topic) here.checkTopic().catch(report)
    else {
      this.#upkeep?.correct(here, entry)
      here.entryRead()
    }
  }

  #onRefuted(id: BroadcastId): void {
    const here = this.#broadcasts.get(id)
    if (here?.isPublishedHere) this.#upkeep?.write(here)
  }

  #announce(broadcast: Broadcast): void {
    const { id, state } = broadcast
    this.#options.onEvent({ kind: 'state', id, state, viewers: broadcast.viewers })
    this.#upkeep?.write(broadcast)
  }

  #retire(broadcast: Broadcast): void {
    if (broadcast.isUsed || this.#broadcasts.get(broadcast.id) !== broadcast) return
    this.#broadcasts.delete(broadcast.id)
    broadcast.close(new FramelogError('SHUTTING_DOWN', 'Nobody uses the broadcast here'))
  }
}

const tooMany = (what: string, limit: number): FramelogError =>
  new FramelogError('TOO_MANY', `This gateway serves ${limit} ${what} at a time`)
