/**
 * One broadcast on this gateway: one reader of its topic however many watch, the current GOP, its viewers, and
 * its publisher where that is connected here. What viewers get has been read from the log, also when the
 * publisher is on this very gateway: what is seen is what is stored.
 */
import type { Clock } from '../core/clock.ts'
import { FramelogError } from '../errors.ts'
import type { Chunk, Log, NewRecord, Topic, TopicOptions } from '../log/log.ts'
import { encodeEntry, type SessionEntry } from '../log/record.ts'
import type { BroadcastId, Millis, Offset } from '../units.ts'
import { Audience } from './audience.ts'
import { ClaimAttempt } from './claim-attempt.ts'
import { claimAt, entryPointOf } from './entry-point.ts'
import type { HeldBudget, HeldLimits } from './held-frames.ts'
import { type BroadcastState, Packet } from './packet.ts'
import type { Position } from './position.ts'
import { type Claim, Publication, type PublicationHost, type PublisherSink } from './publication.ts'
import { Silence } from './silence.ts'
import type { Accepted, RecordStream } from './stream.ts'
import { TopicReader } from './topic-reader.ts'
import type { LiveEdge, Viewer } from './viewer.ts'

export interface BroadcastContext {
  readonly log: Log
  readonly clock: Clock
  /** Names this gateway. */
  readonly gateway: string
  readonly topicOptions: TopicOptions
  /** Time without frames after which a broadcast counts as interrupted, and as ended. */
  readonly silence: { readonly interrupted: number; readonly ended: number }
  /** What all publishers of this gateway may hold back together. */
  readonly budget: HeldBudget
  /** What each of them may. */
  readonly held?: HeldLimits | undefined
  /** `length` random characters of a-z and 0-9. */
  random(length: number): string
  /** Whether another gateway that is alive holds it. */
  isHeldElsewhere(id: BroadcastId): boolean
  /** Its state has changed. */
  onState(broadcast: Broadcast): void
  /** This gateway has claimed it. */
  onClaim(broadcast: Broadcast): void
  /** Nobody watches or publishes any more. */
  onIdle(broadcast: Broadcast): void
  /** The topic is gone: whoever comes next begins with another broadcast. */
  onGone(broadcast: Broadcast): void
}

/** Milliseconds without frames after which a broadcast whose gateway is gone is interrupted. */
const goneSilence = 1000

export interface PublishRequest {
  /** SHA-256 of the resume token, hexadecimal. */
  readonly resumeHash: string
  /** The session that the publisher wants to go on with. */
  readonly session: string | undefined
  /** False once its connection is gone. */
  isWanted(): boolean
}

export class Broadcast implements LiveEdge, PublicationHost {
  readonly id: BroadcastId
  readonly topicName: string
  readonly #context: BroadcastContext
  readonly #audience = new Audience()
  #source: TopicReader | undefined
  #opening: Promise<boolean> | undefined
  #isClosed = false
  #publication: Publication | undefined
  /** Claims that are being made. */
  #publishing = 0
  #claim: SessionEntry | undefined
  #state: BroadcastState = 'waiting'
  #lastTimestamp = 0
  readonly #silence: Silence

  constructor(id: BroadcastId, topicName: string, context: BroadcastContext) {
    this.id = id
    this.topicName = topicName
    this.#context = context
    this.#silence = new Silence(context.clock, () => this.#judgeSilence())
  }

  get state(): BroadcastState {
    return this.#state
  }

  get viewers(): number {
    return this.#audience.size
  }

  get topic(): Topic | undefined {
    return this.#source?.topic
  }

  /** Whether this gateway holds the broadcast. */
  get isPublishedHere(): boolean {
    return this.#publishing > 0 || (this.#publication !== undefined && this.#publication.state !== 'closed')
  }

  /** Whether the latest claim read is this gateway's, be it over or not. */
  get isHeldHere(): boolean {
    return this.#publication?.epoch !== undefined && this.#publication.epoch === this.epoch
  }

  /** The latest claim that was read. */
  get epoch(): Offset | undefined {
    return this.#source?.stream.rule.epoch
  }

  get end(): Offset {
    return this.#source?.next ?? (0 as Offset)
  }

  timestamp(): Millis {
    this.#lastTimestamp = Math.max(this.#lastTimestamp, this.#context.clock.now())
    return this.#lastTimestamp as Millis
  }

  append(records: readonly NewRecord[]): Promise<Offset> {
    const topic = this.topic
    if (topic === undefined) return Promise.reject(deleted(this.id))
    return this.#context.log.append(topic, records)
  }

  /** Begins to read the topic and catches up with it. @returns false where there is none yet */
  open(): Promise<boolean> {
    if (this.#source !== undefined) return this.#opening ?? Promise.resolve(true)
    this.#opening ??= this.#open()
      .catch((error: unknown) => {
        // Retention may overtake the reader between looking and reading: once more from where the topic begins now.
        const isOvertaken = error instanceof FramelogError && error.code === 'OFFSET_OUT_OF_RANGE'
        return isOvertaken ? this.#open() : Promise.reject(error)
      })
      .finally(() => {
        this.#opening = undefined
      })
    return this.#opening
  }

  /**
   * Claims the broadcast for a publisher.
   * @throws FramelogError BROADCAST_BUSY, and what the log throws, LOG_UNREACHABLE where it takes too long
   */
  async publish(
    request: PublishRequest,
    sink: PublisherSink,
  ): Promise<{ publication: Publication; claim: Claim }> {
    this.#publishing += 1
    const attempt = new ClaimAttempt(this.id, this.#context.clock, () => request.isWanted())
    try {
      return await attempt.within(this.#publish(request, sink, attempt))
    } finally {
      this.#publishing -= 1
    }
  }

  async #publish(
    request: PublishRequest,
    sink: PublisherSink,
    attempt: ClaimAttempt,
  ): Promise<{ publication: Publication; claim: Claim }> {
    const { log, clock, random, topicOptions, budget, held, gateway } = this.#context
    await log.create(this.topicName, topicOptions)
    // An opening that was under way may have looked before the topic was there.
    if (!(await this.open())) await this.open()
    const source = this.#source
    if (source === undefined) throw deleted(this.id)
    await this.#knowClaim(source)
    attempt.check()
    const { resumeHash } = request
    const same = this.#claim?.resumeHash === resumeHash
    this.#refuseWhereBusy(resumeHash)

    const goesOn = same && request.session !== undefined && request.session === source.stream.rule.session
    const session = goesOn ? (request.session as string) : random(8)
    const nonce = random(16)
    const publication = new Publication({ host: this, sink, clock, resumeHash, nonce, budget, held })
    this.#publication?.close(new FramelogError('BROADCAST_TAKEN_OVER', 'The publisher has connected again'))
    this.#publication = publication
    attempt.publication = publication
    try {
      await this.append([
        encodeEntry({ kind: 'session', session, resumeHash, nonce, gateway }, this.timestamp()),
      ])
      return { publication, claim: await publication.claimed }
    } catch (error) {
      if (this.#publication === publication) this.#publication = undefined
      throw error
    }
  }

  /** The publisher's connection is gone without an end: it may come back. */
  leave(publication: Publication): void {
    const isOver = publication.state === 'closed' || publication.state === 'ending'
    if (isOver || this.#publication !== publication) {
      this.#leaveIfIdle()
      return
    }
    publication.detach()
    this.#setState('interrupted', 'the publisher reconnects')
    this.#silence.watch()
  }

  /** @throws what the log throws; the viewer is then not attached */
  async watch(viewer: Viewer, position: Position): Promise<void> {
    this.#audience.add(viewer)
    try {
      const opened = await this.open()
      viewer.begin(this.#state)
      if (!opened) {
        viewer.join([], 0 as Offset)
        return
      }
      const { log } = this.#context
      const isOver = this.#state === 'ended'
      const point = this.topic && (await entryPointOf(log, this.topic, position, isOver))
      const source = this.#source
      if (source === undefined || point === undefined) {
        this.#audience.join(viewer, this.#state, source?.stream.catalog, this.end)
        return
      }
      await viewer.replay(log, source.topic, point, this)
    } catch (error) {
      // Whoever asked tells the viewer why.
      this.#audience.delete(viewer)
      this.#leaveIfIdle()
      throw error
    }
  }

  attach(viewer: Viewer, from: Offset): boolean {
    if (this.#source === undefined || from < this.#source.next) return false
    viewer.goLive(from)
    viewer.tell(new Packet({ type: 'state', state: this.#state }))
    if (this.#state === 'ended' && !viewer.ended) {
      viewer.tell(new Packet({ type: 'end', reason: 'the publisher was lost' }))
    }
    return true
  }

  forget(viewer: Viewer): void {
    viewer.close()
    this.#audience.delete(viewer)
    this.#leaveIfIdle()
  }

  #leaveIfIdle(): void {
    if (this.#audience.size === 0 && !this.isPublishedHere) this.#context.onIdle(this)
  }

  /** Stops reading and ends all connections. */
  close(error: FramelogError): void {
    this.#silence.stop()
    this.#isClosed = true
    this.#source?.close(error)
    this.#source = undefined
    this.#publication?.close(error)
    this.#audience.close(error)
  }

  async #open(): Promise<boolean> {
    const reader = await TopicReader.find(this.#context.log, this.topicName)
    if (reader === undefined) return false
    if (this.#isClosed) throw new FramelogError('SHUTTING_DOWN', 'Nobody uses the broadcast here')
    this.#source = reader
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
      throw error
    }
    const { time } = reader.stream
    // The stamps are another gateway's, by its clock; from here on it is what comes that counts.
    if (time !== undefined) this.#silence.heard(Math.max(0, this.#context.clock.now() - time))
    this.#judgeSilence()
    return true
  }

  #read(source: TopicReader, chunk: Chunk): void {
    for (const record of chunk.records) {
      source.next = (record.offset + 1) as Offset
      const accepted = source.stream.take(record)
      if (accepted === undefined) continue
      this.#lastTimestamp = Math.max(this.#lastTimestamp, record.timestamp)
      this.#accept(source, accepted)
    }
    source.next = chunk.next
    this.#checkHeld(source)
    this.#publication?.flush()
  }

  #accept({ stream }: TopicReader, accepted: Accepted): void {
    const { entry, record } = accepted
    const isMine = 'epoch' in entry && this.#publication?.epoch === entry.epoch
    if (entry.kind === 'session') this.#claimed(entry, record.offset, stream)
    else if (entry.kind === 'frame') {
      this.#silence.heard()
      if (isMine) this.#publication?.confirm(entry.sequence)
      if (this.#state !== 'live' && this.#publication?.state !== 'detached') this.#setState('live')
    } else if (entry.kind === 'gap' && isMine) this.#publication?.confirm(entry.to)
    this.#audience.deliver(accepted, stream.catalog)
    if (entry.kind === 'end') {
      if (isMine) this.#publication?.confirmEnd()
      this.#setState('ended', entry.reason)
      this.#leaveIfIdle()
    }
  }

  /** A record of a later epoch counted whose claim was not read: somebody else holds the broadcast. */
  #checkHeld({ stream }: TopicReader): void {
    const mine = this.#publication?.epoch
    if (mine === undefined || stream.rule.epoch === undefined || stream.rule.epoch <= mine) return
    this.#lose(this.#claimedByAnother())
  }

  /** The publisher here has lost the broadcast. */
  #lose(error: FramelogError): void {
    this.#publication?.close(error)
    this.#publication = undefined
    this.#leaveIfIdle()
  }

  #claimedByAnother(): FramelogError {
    return new FramelogError('BROADCAST_BUSY', `Another publisher has claimed ${this.id}`)
  }

  /** A claim was read: the latest one holds the broadcast, whoever else believes to. */
  #claimed(entry: SessionEntry, epoch: Offset, stream: RecordStream): void {
    if (this.#claim?.session !== entry.session) this.#audience.forgetGop()
    this.#claim = entry
    const publication = this.#publication
    if (publication === undefined) return
    if (publication.nonce === entry.nonce && publication.state === 'claiming') {
      const next = stream.rule.lastSequence(entry.session) + 1
      publication.begin({
        epoch,
        session: entry.session,
        next,
        gop: next > 0 ? stream.gop : undefined,
      })
      this.#silence.heard()
      // On air again as soon as frames come; whoever waits elsewhere can begin to read.
      if (this.#state === 'ended') this.#state = 'waiting'
      this.#context.onClaim(this)
    } else if (publication.state !== 'claiming') {
      // While ours is still to come, an earlier claim changes nothing: ours will be the later one.
      const same = entry.resumeHash === publication.resumeHash
      this.#lose(
        same
          ? new FramelogError('BROADCAST_TAKEN_OVER', 'The publisher has connected to another gateway')
          : this.#claimedByAnother(),
      )
    }
  }

  /** Reads the latest claim's record where the reader began behind it. */
  async #knowClaim({ stream, topic }: TopicReader): Promise<void> {
    const { epoch } = stream.rule
    if (this.#claim === undefined && epoch !== undefined)
      this.#claim = await claimAt(this.#context.log, topic, epoch)
  }

  #refuseWhereBusy(resumeHash: string): void {
    const mine = this.#publication
    const heldHere = mine !== undefined && mine.state !== 'closed' && mine.state !== 'detached'
    const holder = heldHere ? mine.resumeHash : this.#claim?.resumeHash
    const live = heldHere || this.#state === 'live'
    if (live && holder !== undefined && holder !== resumeHash) {
      throw new FramelogError('BROADCAST_BUSY', `The broadcast ${this.id} is live with another publisher`)
    }
  }

  #setState(state: BroadcastState, reason?: string): void {
    if (this.#state === state) return
    this.#state = state
    this.#audience.tell(new Packet({ type: 'state', state, ...(reason === undefined ? {} : { reason }) }))
    this.#context.onState(this)
    if (state === 'live' || state === 'interrupted') this.#silence.watch()
  }

  /** The gateway that held it is gone: a moment without frames is enough to say so. */
  holderGone(): void {
    if (this.#state === 'live' && !this.isPublishedHere && (this.#silence.count() ?? 0) >= goneSilence)
      this.#setState('interrupted', 'its gateway is gone')
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
    const silent = this.#silence.count()
    if (this.#source === undefined || this.#state === 'ended' || silent === undefined) return
    const { interrupted, ended } = this.#context.silence
    const publication = this.#publication
    const isDetached = publication?.state === 'detached'
    const isHeld = (this.isPublishedHere && !isDetached) || this.#context.isHeldElsewhere(this.id)
    const isLost = silent >= ended && !isHeld
    if (isLost && isDetached) {
      // Read back, the record ends it for everybody. Where it cannot be written, the next look ends it here.
      void publication.end('the publisher was lost').catch(() => {})
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
    if (error.code === 'OFFSET_OUT_OF_RANGE') {
      this.#audience.forgetGop()
      void this.open().catch(() => this.close(error))
      return
    }
    this.close(error.code === 'TOPIC_NOT_FOUND' ? deleted(this.id) : error)
    this.#context.onGone(this)
  }
}

const deleted = (id: BroadcastId): FramelogError =>
  new FramelogError('BROADCAST_DELETED', `The broadcast ${id} was deleted`)
