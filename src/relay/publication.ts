/**
 * One claim of one publisher on a broadcast: takes its frames in order, appends them, and acknowledges what the
 * gateway has read back as accepted by the readers' rule. Its whole life:
 *   claiming → open ⇄ holding → detached → ending → closed
 */
import type { Clock } from '../core/clock.ts'
import { BoundedQueue } from '../core/queue.ts'
import { FramelogError, toFramelogError } from '../errors.ts'
import type { NewRecord } from '../log/log.ts'
import { encodeEntry, type WrittenEntry } from '../log/record.ts'
import { type Catalog, encodeCatalog, mainTrack } from '../media/catalog.ts'
import type { NumberedFrame } from '../media/frame.ts'
import type { Millis, Offset, TrackName } from '../units.ts'

export const publicationLimits = {
  /** Data of one frame. Topics are made with room for 8 MiB records, headers included. */
  frameBytes: 8 * 1024 * 1024 - 64 * 1024,
  /** Frames held back while the log is stale, in bytes and number. */
  held: { items: 4096, bytes: 64 * 1024 * 1024 },
  /** Frames appended and not yet read back. */
  unconfirmed: 16_384,
  /** Age of the oldest frame not read back past which nothing is appended: the claim may be lost. */
  staleAfter: 2000,
  /** How long an end waits to be read back, milliseconds. */
  endTimeout: 5000,
  /** Largest number of a frame: what follows it is still a safe integer. */
  sequence: 2 ** 52,
  /** Media time after which an audio-only broadcast gets its next catalog. */
  catalogEvery: 2_000_000,
} as const

/** A publisher's connection, as the relay sees it. */
export interface PublisherSink {
  /** All numbers up to this one are in the log and count. */
  acknowledge(sequence: number): void
  /** Ends the connection; the publisher is told why. */
  close(error: FramelogError): void
}

/** What a publication needs of its broadcast. */
export interface PublicationHost {
  append(records: readonly NewRecord[]): Promise<Offset>
  /** The log's end as known from reading. */
  readonly end: Offset
  /** A timestamp for a record written now. */
  timestamp(): Millis
}

/** Where a GOP began in the log, and under which claim. */
export interface GopOrigin {
  readonly start: Offset
  readonly epoch: Offset
}

export interface Claim {
  readonly epoch: Offset
  readonly session: string
  /** Number of the first frame to come. */
  readonly next: number
  /** Where the GOP began that the session goes on with. */
  readonly gop: GopOrigin | undefined
}

interface CurrentCatalog {
  readonly bytes: Uint8Array
  readonly tracks: ReadonlySet<TrackName>
  readonly main: TrackName | undefined
  readonly video: boolean
}

type State = 'claiming' | 'open' | 'holding' | 'detached' | 'ending' | 'closed'

export class Publication {
  readonly resumeHash: string
  readonly nonce: string
  readonly #host: PublicationHost
  readonly #sink: PublisherSink
  readonly #clock: Clock
  readonly #ended = Promise.withResolvers<void>()
  readonly #claimed = Promise.withResolvers<Claim>()
  #state: State = 'claiming'
  #claim: Claim | undefined
  #next = 0
  #confirmed = -1
  #acknowledged = -1
  #catalog: CurrentCatalog | undefined
  #catalogDue = false
  #catalogTime = Number.NEGATIVE_INFINITY
  #gop: GopOrigin | undefined
  readonly #held = new BoundedQueue<NumberedFrame>(publicationLimits.held, ({ data }) => data.byteLength)
  readonly #unconfirmed = new BoundedQueue<{ sequence: number; at: Millis }>(
    { items: publicationLimits.unconfirmed, bytes: Number.POSITIVE_INFINITY },
    () => 0,
  )

  constructor(host: PublicationHost, sink: PublisherSink, clock: Clock, resumeHash: string, nonce: string) {
    this.#host = host
    this.#sink = sink
    this.#clock = clock
    this.resumeHash = resumeHash
    this.nonce = nonce
    this.#claimed.promise.catch(() => {})
  }

  get state(): State {
    return this.#state
  }

  get epoch(): Offset | undefined {
    return this.#claim?.epoch
  }

  /** Settles when the claim's own record has been read back, or the claim was lost before. */
  get claimed(): Promise<Claim> {
    return this.#claimed.promise
  }

  /** The claim's record was read back. */
  begin(claim: Claim): void {
    if (this.#state !== 'claiming') return
    this.#state = 'open'
    this.#claim = claim
    this.#next = claim.next
    this.#acknowledged = claim.next - 1
    this.#gop = claim.gop
    this.#claimed.resolve(claim)
  }

  /** The tracks to come. Its record is written before the next frame, and before every GOP. */
  catalog(catalog: Catalog): void {
    const bytes = encodeCatalog(catalog)
    const main = mainTrack(catalog)
    const tracks = new Set(catalog.tracks.map(track => track.name))
    this.#catalog = { bytes, tracks, main: main?.name, video: main?.kind === 'video' }
    this.#catalogDue = true
  }

  /** @throws FramelogError BAD_MESSAGE, FRAME_TOO_LARGE, OUT_OF_ORDER, LOG_OVERLOADED */
  frame(frame: NumberedFrame): void {
    if (this.#catalog === undefined) throw new FramelogError('OUT_OF_ORDER', 'A frame before any catalog')
    if (!this.#catalog.tracks.has(frame.track)) {
      throw new FramelogError(
        'BAD_MESSAGE',
        `A frame of the track ${frame.track}, which the catalog does not name`,
      )
    }
    if (frame.data.byteLength > publicationLimits.frameBytes) {
      const limit = publicationLimits.frameBytes
      throw new FramelogError(
        'FRAME_TOO_LARGE',
        `A frame of ${frame.data.byteLength} bytes; the limit is ${limit}`,
      )
    }
    if (frame.sequence > publicationLimits.sequence) {
      throw new FramelogError('BAD_MESSAGE', `A frame with the number ${frame.sequence}`)
    }
    // Sent again after a reconnection, though it had arrived.
    if (frame.sequence < this.#next) return
    if (this.#state !== 'open' && this.#state !== 'holding') return
    if (this.#state === 'holding' || this.#isStale()) this.#hold(frame)
    else this.#append(frame)
  }

  /** A frame of this claim was read back and counts. */
  confirm(sequence: number): void {
    this.#confirmed = Math.max(this.#confirmed, sequence)
    while ((this.#unconfirmed.peek()?.sequence ?? Number.POSITIVE_INFINITY) <= sequence)
      this.#unconfirmed.shift()
  }

  /** To be called once after each batch of `confirm`: one acknowledgement covers them all. */
  flush(): void {
    if (this.#confirmed > this.#acknowledged) {
      this.#acknowledged = this.#confirmed
      if (this.#state === 'open' || this.#state === 'holding' || this.#state === 'ending') {
        this.#sink.acknowledge(this.#confirmed)
      }
    }
    if (this.#state === 'holding' && !this.#isStale()) {
      this.#state = 'open'
      while (this.state === 'open' && this.#held.length > 0) this.#append(this.#held.shift() as NumberedFrame)
    }
  }

  /** Writes what is held, and that no frame follows; resolves when all of it was read back. */
  async end(reason: string): Promise<void> {
    const claim = this.#claim
    if (claim === undefined || this.#state === 'closed' || this.#state === 'ending') return
    this.#state = 'ending'
    while (this.#held.length > 0) this.#append(this.#held.shift() as NumberedFrame)
    const { epoch, session } = claim
    const start = this.#start(epoch)
    const cancel = this.#clock.after(publicationLimits.endTimeout, () => this.#ended.resolve())
    try {
      await this.#host.append([this.#record({ kind: 'end', epoch, session, reason, ...start })])
      await this.#ended.promise
    } finally {
      cancel()
      this.#state = 'closed'
    }
  }

  /** The record of its end was read back: everything before it was, too. */
  confirmEnd(): void {
    this.flush()
    this.#ended.resolve()
  }

  /** Its connection is gone; the claim stays for a while. */
  detach(): void {
    if (this.#state !== 'closed' && this.#state !== 'ending') this.#state = 'detached'
  }

  /** The claim is over. */
  close(error: FramelogError): void {
    if (this.#state === 'closed') return
    const detached = this.#state === 'detached'
    this.#state = 'closed'
    this.#claimed.reject(error)
    this.#ended.resolve()
    this.#held.clear()
    if (!detached) this.#sink.close(error)
  }

  #append(frame: NumberedFrame): void {
    const { epoch, session } = this.#claim as Claim
    const catalog = this.#catalog as CurrentCatalog
    const entries: WrittenEntry[] = []
    if (frame.sequence > this.#next) {
      const reason = 'the publisher dropped them'
      entries.push({ kind: 'gap', epoch, session, from: this.#next, to: frame.sequence - 1, reason })
    }
    const opensGop = this.#opensGop(frame)
    if (this.#catalogDue || opensGop) {
      // A catalog between two keyframes changes nothing about where its GOP began.
      if (opensGop || this.#gop === undefined) this.#gop = { start: this.#host.end, epoch }
      this.#catalogDue = false
      this.#catalogTime = frame.timestamp
      entries.push({ kind: 'catalog', epoch, session, catalog: catalog.bytes, ...this.#start(epoch) })
    }
    const start = this.#start(epoch)
    entries.push({ kind: 'frame', epoch, session, sequence: frame.sequence, frame, ...start })
    this.#next = frame.sequence + 1
    if (!this.#unconfirmed.push({ sequence: frame.sequence, at: this.#clock.now() })) {
      throw new FramelogError('LOG_OVERLOADED', 'Too many frames wait to be read back')
    }
    this.#host.append(entries.map(entry => this.#record(entry))).catch((error: unknown) => {
      this.close(toFramelogError(error, 'LOG_FAILED'))
    })
  }

  #start(epoch: Offset): { start?: Offset; startEpoch?: Offset } {
    const gop = this.#gop
    if (gop === undefined) return {}
    return gop.epoch === epoch ? { start: gop.start } : { start: gop.start, startEpoch: gop.epoch }
  }

  /** A video GOP opens with a keyframe; in sound alone every frame is one, so time decides. */
  #opensGop(frame: NumberedFrame): boolean {
    const catalog = this.#catalog
    if (frame.track !== catalog?.main || !frame.keyframe) return false
    return catalog.video || frame.timestamp - this.#catalogTime >= publicationLimits.catalogEvery
  }

  #hold(frame: NumberedFrame): void {
    this.#state = 'holding'
    if (this.#held.push(frame)) return
    throw new FramelogError(
      'LOG_OVERLOADED',
      `${this.#held.length} frames wait for a log that does not answer`,
    )
  }

  #isStale(): boolean {
    const oldest = this.#unconfirmed.peek()
    return oldest !== undefined && this.#clock.now() - oldest.at > publicationLimits.staleAfter
  }

  #record(entry: WrittenEntry): NewRecord {
    return encodeEntry(entry, this.#host.timestamp())
  }
}
