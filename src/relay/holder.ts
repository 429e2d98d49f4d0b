/**
 * Who holds a broadcast, seen from one gateway: the claims that are made here, the publication of the one that
 * counts, and the latest claim that the log tells of, which decides.
 */
import type { Clock } from '../core/clock.ts'
import { FramelogError } from '../errors.ts'
import type { Log, TopicOptions } from '../log/log.ts'
import { encodeEntry, type SessionEntry } from '../log/record.ts'
import type { BroadcastId, Offset } from '../units.ts'
import { ClaimAttempt } from './claim-attempt.ts'
import { claimAt } from './entry-point.ts'
import type { HeldBudget, HeldLimits } from './held-frames.ts'
import { Publication, type PublicationHost, type PublisherSink } from './publication.ts'
import type { Claim } from './session-records.ts'
import type { Claimant, RecordStream } from './stream.ts'
import type { TopicReader } from './topic-reader.ts'

export const takeoverLimits = {
  /** Milliseconds that a claim of the same publisher elsewhere has until its first frame must come. */
  proof: 2000,
} as const

/**
 * A session that has counted so far is not gone on with: at 100 frames a second it takes 350 years, so that another
 * program has written numbers into it, and its publisher's own would never count.
 */
const usedUp = 2 ** 40

export interface PublishRequest {
  /** SHA-256 of the resume token, hexadecimal. */
  readonly resumeHash: string
  /** The session that the publisher wants to go on with. */
  readonly session: string | undefined
  /** False once its connection is gone. */
  isWanted(): boolean
}

export interface HolderContext {
  readonly log: Log
  readonly clock: Clock
  /** Names this gateway. */
  readonly gateway: string
  readonly topicOptions: TopicOptions
  /** What all publishers of this gateway may hold back together. */
  readonly budget: HeldBudget
  /** What each of them may. */
  readonly held?: HeldLimits | undefined
  /** Time without frames after which a broadcast counts as interrupted, and as ended, milliseconds. */
  readonly silence: { readonly interrupted: number; readonly ended: number }
  /** `length` random characters of a-z and 0-9. */
  random(length: number): string
}

/** What the holder needs of its broadcast. */
export interface HolderHost extends PublicationHost {
  readonly id: BroadcastId
  readonly topicName: string
  readonly isLive: boolean
  /** Begins to read the topic. @returns undefined where there is none yet */
  read(): Promise<TopicReader | undefined>
  /** A claim of this gateway has been read back. */
  onClaim(): void
  /** The publisher here has lost the broadcast. */
  onLost(): void
}

export class Holder {
  readonly #host: HolderHost
  readonly #context: HolderContext
  #publication: Publication | undefined
  /** Claims that are being made. */
  #publishing = 0
  /** Of the newest claim that was read. */
  #session: string | undefined
  /** A later claim of the same publisher, on another gateway, under which nothing has come yet. */
  #doubted: { readonly epoch: Offset; readonly cancel: () => void } | undefined

  constructor(host: HolderHost, context: HolderContext) {
    this.#host = host
    this.#context = context
  }

  /** Whether a publisher is here, or was a moment ago and may come back. */
  get isHere(): boolean {
    return this.#publishing > 0 || (this.#publication !== undefined && this.#publication.state !== 'closed')
  }

  /** The one that was claimed here last, be it over or not. */
  get publication(): Publication | undefined {
    return this.#publication
  }

  /** Whether its publisher has gone, and the claim waits for it to come back. */
  get isDetached(): boolean {
    return this.#publication?.state === 'detached'
  }

  /** Whether a claim is this gateway's. */
  has(epoch: Offset | undefined): boolean {
    return epoch !== undefined && this.#publication?.epoch === epoch
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
    const attempt = new ClaimAttempt(this.#host.id, this.#context.clock, () => request.isWanted())
    try {
      return await attempt.within(this.#publish(request, sink, attempt))
    } finally {
      this.#publishing -= 1
    }
  }

  /** A claim was read: the latest one holds the broadcast, whoever else believes to. @returns whether a new session begins */
  claimed(entry: SessionEntry, epoch: Offset, stream: RecordStream): boolean {
    const isNew = this.#session !== entry.session
    this.#session = entry.session
    const publication = this.#publication
    if (publication === undefined) return isNew
    if (publication.nonce === entry.nonce) {
      if (publication.state === 'claiming') {
        const next = stream.rule.lastSequence(entry.session) + 1
        publication.begin({ epoch, session: entry.session, next, gop: next > 0 ? stream.gop : undefined })
        this.#host.onClaim()
      } else if (publication.adopt(epoch)) this.#settle()
      else this.#lose(claimedTwice(this.#host.id))
    } else if (publication.state !== 'claiming') {
      // While ours is still to come, an earlier claim changes nothing: ours will be the later one.
      if (entry.resumeHash === publication.resumeHash) this.#doubt(epoch, publication)
      else this.#lose(this.#claimedByAnother())
    }
    return isNew
  }

  /** A frame was read that counts. */
  framed(epoch: Offset): void {
    if (this.#doubted?.epoch === epoch) this.#lose(takenOver('to another gateway'))
  }

  /** A record of a later epoch counted whose claim was not read: somebody else holds the broadcast. */
  check(epoch: Offset | undefined): void {
    const mine = this.#publication?.epoch
    if (mine === undefined || epoch === undefined || epoch <= mine || epoch === this.#doubted?.epoch) return
    this.#lose(this.#claimedByAnother())
  }

  close(error: FramelogError): void {
    this.#settle()
    this.#publication?.close(error)
  }

  /**
   * The same publisher has claimed the broadcast elsewhere. Mostly it is there now, and its frames follow. But a claim
   * that was given up while the log stalled may come late, when the publisher is here again: then it has to claim once
   * more.
   */
  #doubt(epoch: Offset, publication: Publication): void {
    this.#settle()
    publication.suspend()
    const cancel = this.#context.clock.after(takeoverLimits.proof, () => {
      // However little it sends: nobody has sent anything elsewhere.
      this.#lose(publication.isConnected ? lateClaim(this.#host.id) : takenOver('to another gateway'))
    })
    this.#doubted = { epoch, cancel }
  }

  #settle(): void {
    this.#doubted?.cancel()
    this.#doubted = undefined
  }

  async #publish(
    request: PublishRequest,
    sink: PublisherSink,
    attempt: ClaimAttempt,
  ): Promise<{ publication: Publication; claim: Claim }> {
    const { log, clock, random, topicOptions, budget, held, gateway } = this.#context
    const host = this.#host
    await log.create(host.topicName, topicOptions)
    // An opening that was under way may have looked before the topic was there.
    const reader = (await host.read()) ?? (await host.read())
    if (reader === undefined)
      throw new FramelogError('BROADCAST_DELETED', `The broadcast ${host.id} was deleted`)
    const { rule } = reader.stream
    const claimant = await this.#claimant(reader)
    attempt.check()
    const { resumeHash } = request
    this.#refuseWhereBusy(resumeHash, claimant)

    const same = claimant?.resumeHash === resumeHash
    const isLeft = request.session !== undefined && rule.lastSequence(request.session) < usedUp
    const goesOn = same && isLeft && request.session === rule.session
    const session = goesOn ? (request.session as string) : random(8)
    const nonce = random(16)
    const publication = new Publication({ host, sink, clock, resumeHash, nonce, budget, held })
    this.#settle()
    const before = this.#publication
    before?.close(before.resumeHash === resumeHash ? takenOver('again') : this.#claimedByAnother())
    this.#publication = publication
    attempt.publication = publication
    try {
      const record = encodeEntry({ kind: 'session', session, resumeHash, nonce, gateway }, host.timestamp())
      await host.append([record])
      return { publication, claim: await publication.claimed }
    } catch (error) {
      if (this.#publication === publication) this.#publication = undefined
      throw error
    }
  }

  /** Who made the claim that counts; undefined where nothing that is left tells. */
  async #claimant({ stream, topic }: TopicReader): Promise<Claimant | undefined> {
    const known = (): Claimant | undefined =>
      stream.claimant?.session === stream.rule.session ? stream.claimant : undefined
    const { epoch } = stream.rule
    if (known() !== undefined || epoch === undefined) return known()
    const claim = await claimAt(this.#context.log, topic, epoch)
    stream.claimant ??= claim
    return known() ?? claim
  }

  /**
   * One that is connected and sends nothing is in nobody's way, here as on other gateways. Where frames come and
   * nothing tells whose they are, they are another's.
   */
  #refuseWhereBusy(resumeHash: string, claimant: Claimant | undefined): void {
    const mine = this.#publication
    const isHeard = mine?.isHeard(this.#context.silence.interrupted) === true
    const holder = isHeard ? mine.resumeHash : claimant?.resumeHash
    const live = isHeard || this.#host.isLive
    if (live && holder !== resumeHash) {
      throw new FramelogError(
        'BROADCAST_BUSY',
        `The broadcast ${this.#host.id} is live with another publisher`,
      )
    }
  }

  #lose(error: FramelogError): void {
    this.#settle()
    this.#publication?.close(error)
    this.#publication = undefined
    this.#host.onLost()
  }

  #claimedByAnother(): FramelogError {
    return new FramelogError('BROADCAST_BUSY', `Another publisher has claimed ${this.#host.id}`)
  }
}

const takenOver = (where: string): FramelogError =>
  new FramelogError('BROADCAST_TAKEN_OVER', `The publisher has connected ${where}`)

const claimedTwice = (id: BroadcastId): FramelogError =>
  new FramelogError('LOG_OVERLOADED', `The log has written a claim of ${id} twice; it takes another one`)

const lateClaim = (id: BroadcastId): FramelogError =>
  new FramelogError(
    'LOG_OVERLOADED',
    `A claim of ${id} that was given up has come late; it takes another one`,
  )
