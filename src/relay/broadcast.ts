/**
 * One broadcast on this gateway: one reader of its topic however many watch, the current GOP, its viewers, and
 * its publisher where that is connected here. What viewers get has been read from the log, also when the
 * publisher is on this very gateway: what is seen is what is stored.
 */
import { FramelogError, toFramelogError } from '../errors.ts'
import type { Chunk, Damage, Topic } from '../log/log.ts'
import { encodeEntry } from '../log/record.ts'
import { addHops, sinceCapture } from '../media/hops.ts'
import type { BroadcastId, Millis, Offset } from '../units.ts'
import { Audience } from './audience.ts'
import { DataWriter } from './data-writer.ts'
import { type EntryPoint, entryPointOf, keyframeBeside } from './entry-point.ts'
import type { HeldBudget } from './held-frames.ts'
import { Holder, type HolderContext, type HolderHost, type PublishRequest } from './holder.ts'
import { type BroadcastState, Packet, type Pause } from './packet.ts'
import type { Position } from './position.ts'
import type { FrameStage, Publication, PublisherSink, Written } from './publication.ts'
import type { Claim } from './session-records.ts'
import { Silence } from './silence.ts'
import { SpanNews } from './span.ts'
import type { Accepted } from './stream.ts'
import { TopicReader } from './topic-reader.ts'
import type { LiveEdge, Viewer } from './viewer.ts'

export interface BroadcastContext extends HolderContext {
  /** Of timed data that waits for the log, of all who write it on this gateway. */
  readonly dataBudget: HeldBudget
  /** Whether the log answers: while it does not, nobody is silent for good. */
  isLogCurrent(): boolean
  /** Whether another gateway that is alive holds it. */
  isHeldElsewhere(id: BroadcastId): boolean
  /** Whether the directory says that the broadcast in this topic is over. */
  isOver(id: BroadcastId, topic: Topic): boolean
  /** When the broadcast in this topic was over, and went on later, as the directory says. */
  gapsOf(id: BroadcastId, topic: Topic | undefined): readonly Pause[]
  /** Its state has changed. */
  onState(broadcast: Broadcast): void
  /** This gateway has claimed it. */
  onClaim(broadcast: Broadcast): void
  /** @param time from a frame's receipt on, milliseconds */
  onMeasured(stage: FrameStage, time: number): void
  /** Nobody watches, publishes or writes any more. */
  onIdle(broadcast: Broadcast): void
  /** Records were met that cannot be read. */
  onDamage(topic: Topic, span: Damage): void
  /** The topic is gone: whoever comes next begins with another broadcast. */
  onGone(broadcast: Broadcast): void
}

/** Milliseconds without frames after which a broadcast whose gateway is gone is interrupted. */
const goneSilence = 1000

export class Broadcast implements LiveEdge {
  readonly id: BroadcastId
  readonly topicName: string
  readonly #context: BroadcastContext
  readonly #audience = new Audience()
  #source: TopicReader | undefined
  #opening: Promise<boolean> | undefined
  /** What its state was is read again: nobody hears of that, only of where it has led to. */
  #isCatchingUp = false
  /** Why it is over; undefined while it is not. */
  #closedBy: FramelogError | undefined
  readonly #holder: Holder
  /** Who write timed data on connections of their own. */
  #writers = 0
  #state: BroadcastState = 'waiting'
  #lastTimestamp = 0
  readonly #silence: Silence
  readonly #spans: SpanNews

  constructor(id: BroadcastId, topicName: string, context: BroadcastContext) {
    this.id = id
    this.topicName = topicName
    this.#context = context
    this.#silence = new Silence(context.clock, () => this.#judgeSilence())
    this.#holder = new Holder(this.#host(), context)
    this.#spans = new SpanNews(context.log, context.clock, {
      topic: () => this.topic,
      newest: () => this.#source?.stream.time,
      gaps: () => context.gapsOf(id, this.topic),
      isOver: () => this.#state === 'ended',
      isWatched: () => this.#audience.size > 0,
      tell: packet => this.#audience.tellSpan(packet),
    })
  }

  get state(): BroadcastState {
    return this.#state
  }

  get viewers(): number {
    return this.#audience.size
  }

  /** Whether anybody watches, publishes or writes here. */
  get isUsed(): boolean {
    return this.#audience.size > 0 || this.isPublishedHere || this.#writers > 0
  }

  get topic(): Topic | undefined {
    return this.#source?.topic
  }

  /** What it is called, for people. */
  get title(): string | undefined {
    const event = this.#source?.stream.catalog?.event
    return event?.type === 'catalog' ? event.catalog.title : undefined
  }

  /** Whether a publisher is on this gateway, or was a moment ago and may come back. */
  get isPublishedHere(): boolean {
    return this.#holder.isHere
  }

  /** Whether a publisher is on this gateway, and connected. */
  get hasPublisher(): boolean {
    return this.#holder.isHere && !this.#holder.isDetached
  }

  /** Whether the latest claim read is this gateway's, be it over or not. */
  get isHeldHere(): boolean {
    return this.#holder.has(this.epoch)
  }

  /** The latest claim that was read. */
  get epoch(): Offset | undefined {
    return this.#source?.stream.rule.epoch
  }

  /** Begins to read the topic and catches up with it. @returns false where there is none yet */
  open(): Promise<boolean> {
    if (this.#source !== undefined) return this.#opening ?? Promise.resolve(true)
    this.#opening ??= this.#open()
      .catch((error: unknown) => {
        // Retention may overtake the reader between looking and reading: once more from where the topic begins now.
        return isOvertaken(error) ? this.#open() : Promise.reject(error)
      })
      .catch((cause: unknown) => {
        if (!isOvertaken(cause)) throw cause
        const message = `Retention removes ${this.id} faster than it is read`
        throw new FramelogError('LOG_OVERLOADED', message, { cause })
      })
      .finally(() => {
        this.#opening = undefined
      })
    return this.#opening
  }

  /** @throws FramelogError see `Holder.publish` */
  publish(request: PublishRequest, sink: PublisherSink): Promise<{ publication: Publication; claim: Claim }> {
    return this.#holder.publish(request, sink)
  }

  /** No frame follows. @throws what `Publication.end` throws */
  async end(publication: Publication, reason: string): Promise<void> {
    try {
      await publication.end(reason)
    } finally {
      // While it lasted nobody could let the broadcast go, and nobody comes back to ask.
      this.#leaveIfIdle()
    }
  }

  /** The publisher's connection is gone without an end: it may come back. */
  leave(publication: Publication): void {
    const isOver = publication.state === 'closed' || publication.state === 'ending'
    if (isOver || this.#holder.publication !== publication) {
      this.#leaveIfIdle()
      return
    }
    publication.detach()
    this.#setState('interrupted', 'the publisher reconnects')
    this.#silence.watch()
  }

  /**
   * Takes in one who writes timed data, until `leaveWriter`.
   * @throws FramelogError BROADCAST_NOT_FOUND, BROADCAST_NOT_LIVE, and what the log throws; it is then not taken in
   */
  async joinWriter(): Promise<DataWriter> {
    this.#writers += 1
    try {
      if (!(await this.open()))
        throw new FramelogError('BROADCAST_NOT_FOUND', `There is no broadcast ${this.id}`)
      this.#refuseWhereOver()
      return this.writer()
    } catch (error) {
      this.leaveWriter()
      throw error
    }
  }

  leaveWriter(): void {
    this.#writers -= 1
    this.#leaveIfIdle()
  }

  /** For whoever publishes here, or was taken in to write. */
  writer(): DataWriter {
    const { append, timestamp } = this.#host()
    return new DataWriter(this.#context.dataBudget, async record => {
      this.#refuseWhereOver()
      await append([encodeEntry({ kind: 'data', record }, timestamp())])
    })
  }

  #refuseWhereOver(): void {
    if (this.#state === 'ended')
      throw new FramelogError('BROADCAST_NOT_LIVE', `The broadcast ${this.id} is over`)
  }

  /**
   * @param of id of the topic that an offset is of; undefined for whichever is there
   * @throws what the log throws; the viewer is then not attached
   */
  async watch(viewer: Viewer, asked: Position, of?: string): Promise<void> {
    this.#audience.add(viewer)
    await this.#holding(viewer, async () => {
      const opened = await this.open()
      viewer.begin(this.#state)
      this.#spans.greet(viewer)
      // An offset of a broadcast that was deleted says nothing about the one that has its name now.
      const isElsewhere = asked.kind === 'offset' && of !== undefined && of !== this.topic?.id
      if (opened) await this.#place(viewer, isElsewhere ? { kind: 'live' } : asked)
      else viewer.join([], 0 as Offset, undefined)
    })
  }

  /** The viewer must have left where it was. @param step the keyframe before or behind. @throws as `watch` does */
  async seek(viewer: Viewer, position: Position, step: -1 | 0 | 1): Promise<void> {
    await this.#holding(viewer, () => this.#place(viewer, position, step))
  }

  async #holding(viewer: Viewer, work: () => Promise<void>): Promise<void> {
    const { turn } = viewer
    try {
      await work()
    } catch (error) {
      // It has asked for something else meanwhile.
      if (viewer.turn !== turn) return
      // Whoever asked tells the viewer why.
      this.#audience.delete(viewer)
      this.#leaveIfIdle()
      throw error
    }
  }

  /** Begins to send what a viewer has asked for, unless it asks for something else meanwhile. */
  async #place(viewer: Viewer, position: Position, step: -1 | 0 | 1 = 0): Promise<void> {
    const { turn } = viewer
    const { topic } = this
    const { log } = this.#context
    const isOver = this.#state === 'ended'
    const isAtHand = position.kind === 'offset' && !isOver && this.#audience.has(position.offset)
    if (topic !== undefined && (step !== 0 || !isAtHand)) {
      const find = (): Promise<EntryPoint | undefined> =>
        step === 0
          ? entryPointOf(log, topic, position, isOver)
          : keyframeBeside(log, topic, position, step, isOver)
      // Retention may go on between looking and reading.
      const point = await find().catch((error: unknown) =>
        isOvertaken(error) ? find() : Promise.reject(error),
      )
      if (viewer.turn !== turn) return
      const source = this.#source
      if (point !== undefined && source !== undefined) {
        await viewer.replay(log, source.topic, isOver ? endingWith(point, source.stream.newest) : point, this)
        return
      }
    }
    if (viewer.hasSought) await viewer.ready()
    if (viewer.turn !== turn) return
    const source = this.#source
    const next = source?.next ?? (0 as Offset)
    const wanted = position.kind === 'offset' ? { wanted: Math.min(position.offset, next) as Offset } : {}
    const catalog = source?.stream.catalog
    this.#audience.join(viewer, this.#state, { catalog, next, topic: source?.topic.id, ...wanted })
  }

  attach(viewer: Viewer, from: Offset): boolean {
    if (this.#source === undefined || from < this.#source.next) return false
    viewer.goLive(from, this.#source.topic.id)
    viewer.tell(new Packet({ type: 'state', state: this.#state }))
    if (this.#state === 'ended' && !viewer.ended) {
      const reason = this.epoch === undefined ? 'its recording is past retention' : 'the publisher was lost'
      viewer.tell(new Packet({ type: 'end', reason }))
    }
    return true
  }

  onDamage(topic: Topic, span: Damage): void {
    this.#context.onDamage(topic, span)
  }

  forget(viewer: Viewer): void {
    viewer.close()
    this.#audience.delete(viewer)
    this.#leaveIfIdle()
  }

  #leaveIfIdle(): void {
    if (!this.isUsed) this.#context.onIdle(this)
  }

  /** Stops reading and ends all connections. */
  close(error: FramelogError): void {
    this.#silence.stop()
    this.#spans.close()
    this.#closedBy ??= error
    this.#source?.close(error)
    this.#source = undefined
    this.#holder.close(error)
    this.#audience.close(error)
  }

  async #open(): Promise<boolean> {
    const reader = await TopicReader.find(this.#context.log, this.topicName)
    if (reader === undefined) return false
    if (this.#closedBy !== undefined) throw this.#closedBy
    this.#source = reader
    const before = this.#state
    this.#isCatchingUp = true
    reader.start({
      onChunk: (source, chunk) => {
        if (this.#source === source) this.#read(source, chunk)
      },
      onLost: (source, error) => {
        if (this.#source === source) this.#lost(error)
      },
    })
    try {
      await reader.caughtUp
    } catch (error) {
      if (this.#source === reader) this.#source = undefined
      this.#isCatchingUp = false
      throw error
    }
    const { time } = reader.stream
    // The stamps are another gateway's, by its clock; from here on it is what comes that counts.
    if (time !== undefined) this.#silence.heard(Math.max(0, this.#context.clock.now() - time))
    this.#judgeSilence()
    // Where retention has taken all of it, nothing in the topic says so.
    const isEmpty = this.#state === 'waiting' && this.epoch === undefined && !this.isPublishedHere
    if (isEmpty && this.#context.isOver(this.id, reader.topic)) this.#state = 'ended'
    this.#isCatchingUp = false
    if (this.#state !== before) this.#context.onState(this)
    this.#spans.want()
    return true
  }

  #read(source: TopicReader, chunk: Chunk): void {
    for (const met of source.stream.read(chunk)) {
      if ('damage' in met) {
        source.next = met.damage.next
        this.#audience.damaged(met.packet, met.damage.from)
        this.#context.onDamage(source.topic, met.damage)
        continue
      }
      source.next = (met.record.offset + 1) as Offset
      // Anybody stamps data: a clock that is wrong elsewhere must not stamp the frames to come.
      if (met.entry.kind !== 'data') this.#lastTimestamp = Math.max(this.#lastTimestamp, met.record.timestamp)
      this.#accept(source, met)
    }
    source.next = chunk.next
    this.#holder.check(source.stream.rule.epoch)
    this.#holder.publication?.flush()
  }

  #accept({ stream }: TopicReader, accepted: Accepted): void {
    const { entry, record, hole } = accepted
    const mine = 'epoch' in entry && this.#holder.has(entry.epoch) ? this.#holder.publication : undefined
    if (hole !== undefined) mine?.lost({ from: hole.from, to: hole.to })
    if (entry.kind === 'session') {
      if (this.#holder.claimed(entry, record.offset, stream)) this.#audience.forgetGop()
    } else if (entry.kind === 'frame') {
      this.#silence.heard()
      this.#trace(accepted.packet, mine?.confirm(entry.sequence))
      this.#holder.framed(entry.epoch)
      if (this.#state !== 'live' && !this.#holder.isDetached) this.#setState('live')
    } else if (entry.kind === 'gap') mine?.confirm(entry.to)
    this.#audience.deliver(accepted, stream.catalog)
    if (entry.kind === 'end') {
      mine?.confirmEnd()
      this.#setState('ended', entry.reason)
      this.#leaveIfIdle()
    }
  }

  /** A frame was read as it came. @param written by whom, where that was this gateway: then one clock tells */
  #trace(packet: Packet | undefined, written: Written | undefined): void {
    if (packet?.event.type !== 'frame') return
    const { clock } = this.#context
    const { hops, capturedAt } = packet.event.frame
    if (capturedAt === undefined) return
    const readAt = clock.monotonic()
    const since = (at: number | undefined): number | undefined =>
      at === undefined || written === undefined || hops?.received === undefined
        ? undefined
        : hops.received + (at - written.receivedAt) * 1000
    const read = since(readAt) ?? sinceCapture(capturedAt, clock.now())
    packet.way = { hops: addHops(hops, { appended: since(written?.appendedAt), read }), readAt }
  }

  /** What the holder sees of this. */
  #host(): HolderHost {
    const end = (): Offset => this.#source?.next ?? (0 as Offset)
    const isLive = (): boolean => this.#state === 'live'
    return {
      id: this.id,
      topicName: this.topicName,
      get end() {
        return end()
      },
      get isLive() {
        return isLive()
      },
      // What is on its way counts for nothing: a clock that was wrong for a moment would be believed for ever.
      timestamp: () => Math.max(this.#lastTimestamp, this.#context.clock.now()) as Millis,
      measured: (stage, time) => this.#context.onMeasured(stage, time),
      append: records => {
        const { topic } = this
        if (topic !== undefined) return this.#context.log.append(topic, records)
        const opening = new FramelogError('LOG_UNREACHABLE', `${this.id} is being read anew`)
        return Promise.reject(this.#closedBy ?? opening)
      },
      read: async () => ((await this.open()) ? this.#source : undefined),
      onClaim: () => {
        this.#silence.heard()
        // On air again as soon as frames come; whoever waits elsewhere can begin to read.
        if (this.#state === 'ended') this.#state = 'waiting'
        this.#context.onClaim(this)
      },
      onLost: () => this.#leaveIfIdle(),
    }
  }

  #setState(state: BroadcastState, reason?: string): void {
    if (this.#state === state) return
    const wasOver = this.#spans.isOver
    this.#state = state
    this.#audience.tell(new Packet({ type: 'state', state, ...(reason === undefined ? {} : { reason }) }))
    if (!this.#isCatchingUp) this.#context.onState(this)
    // That it grows, or does not, and when it was over in between.
    if (state === 'ended' || wasOver) this.#spans.want()
    if (state === 'live' || state === 'interrupted') this.#silence.watch()
  }

  /** The gateway that held it is gone: a moment without frames is enough to say so. */
  holderGone(): void {
    if (this.#state === 'live' && !this.isPublishedHere && (this.#silence.count() ?? 0) >= goneSilence)
      this.#setState('interrupted', 'its gateway is gone')
  }

  /** The directory says something new of it, be it when it was over. */
  entryRead(): void {
    this.#spans.want()
  }

  /** Whether the topic that is read is still the one of that name; where it is not, this is over. */
  async checkTopic(): Promise<void> {
    const source = this.#source
    const found = await this.#context.log.find(this.topicName)
    if (source === undefined || this.#source !== source || found?.id === source.topic.id) return
    source.close(deleted(this.id))
    this.#lost(deleted(this.id))
  }

  /**
   * A publisher that vanished writes no end: silence tells, wherever it was connected. One that is connected and
   * silent is only interrupted, however long: its gateway says that it is there.
   */
  #judgeSilence(): void {
    const { interrupted, ended } = this.#context.silence
    const silent = this.#silence.count(this.#context.isLogCurrent() ? undefined : interrupted)
    if (this.#source === undefined || this.#state === 'ended' || silent === undefined) return
    const { isDetached, publication } = this.#holder
    const isHeld = (this.isPublishedHere && !isDetached) || this.#context.isHeldElsewhere(this.id)
    const isLost = silent >= ended && !isHeld
    if (isLost && isDetached && publication !== undefined) {
      // Read back, the record ends it for everybody. Where it cannot be written, the next look ends it here.
      this.end(publication, 'the publisher was lost').catch(() => {})
    } else if (isLost) {
      this.#audience.tell(new Packet({ type: 'end', reason: 'the publisher was lost' }))
      this.#audience.forgetGop()
      this.#setState('ended', 'the publisher was lost')
      this.#leaveIfIdle()
      return
    }
    if (silent >= interrupted) this.#setState('interrupted', 'no frames arrive')
    else if (this.#state === 'waiting') this.#setState('live')
    this.#silence.watch()
  }

  /** The reader is over: the topic was deleted, the log was closed, or retention overtook the reader. */
  #lost(error: FramelogError): void {
    this.#source = undefined
    if (isOvertaken(error)) {
      this.#audience.forgetGop()
      this.open().then(
        found => (found ? undefined : this.#giveUp(deleted(this.id))),
        (cause: unknown) => this.#giveUp(toFramelogError(cause)),
      )
    } else this.#giveUp(error.code === 'TOPIC_NOT_FOUND' ? deleted(this.id) : error)
  }

  /** All connections end, and whoever comes next begins with another one. */
  #giveUp(error: FramelogError): void {
    this.close(error)
    this.#context.onGone(this)
  }
}

/** Behind the last picture there is nothing to be shown, and nothing comes: it is shown. */
const endingWith = (point: EntryPoint, newest: Offset | undefined): EntryPoint =>
  point.wanted === undefined || newest === undefined || point.wanted <= newest
    ? point
    : { ...point, wanted: newest }

const isOvertaken = (error: unknown): boolean =>
  error instanceof FramelogError && error.code === 'OFFSET_OUT_OF_RANGE'

const deleted = (id: BroadcastId): FramelogError =>
  new FramelogError('BROADCAST_DELETED', `The broadcast ${id} was deleted`)
