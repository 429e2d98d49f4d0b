/**
 * One claim of one publisher on a broadcast: takes its frames in order, appends them, and acknowledges what the
 * gateway has read back as accepted by the readers' rule. Its whole life:
 *   claiming → open ⇄ holding → detached → ending → closed
 * It holds frames back where too much is on its way, or has been on its way for too long: then the claim may be
 * lost, and nothing is appended until what was has been read back.
 */
import type { Clock } from '../core/clock.ts'
import { BoundedQueue } from '../core/queue.ts'
import { FramelogError, toFramelogError } from '../errors.ts'
import type { NewRecord } from '../log/log.ts'
import { encodeEntry, sequenceLimit, type WrittenEntry } from '../log/record.ts'
import { type Catalog, encodeCatalog, mainTrack } from '../media/catalog.ts'
import type { NumberedFrame } from '../media/frame.ts'
import { addHops, sinceCapture } from '../media/hops.ts'
import type { Millis, Offset } from '../units.ts'
import {
  type Dropped,
  type HeldBudget,
  HeldFrames,
  type HeldLimits,
  type ReceivedFrame,
  type TrackSet,
} from './held-frames.ts'
import { type Claim, type GapReason, gapReasons, SessionRecords } from './session-records.ts'

export const publicationLimits = {
  /** Data of one frame. Topics are made with room for 8 MiB records, headers included. */
  frameBytes: 8 * 1024 * 1024 - 64 * 1024,
  /** Frames appended and not yet read back, in number and bytes, past which more are held back. */
  unconfirmed: { items: 8192, bytes: 32 * 1024 * 1024 },
  /** Age of the oldest frame not read back past which nothing is appended: the claim may be lost. */
  staleAfter: 2000,
  /** How long an end waits for the log, milliseconds. */
  endTimeout: 30_000,
} as const

/** A publisher's connection, as the relay sees it. */
export interface PublisherSink {
  /** All numbers up to this one are in the log and count. */
  acknowledge(sequence: number): void
  /** The log does not answer, and frames are held back; or it does again, and all of them are on their way. */
  stalled(isStalled: boolean): void
  /** Numbers were given up: they will never be in the log. @param isTooLarge as the log does not take frames so large */
  dropped(numbers: Dropped, reason: string, isTooLarge: boolean): void
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
  /** @param time from a frame's receipt on, milliseconds */
  measured(stage: FrameStage, time: number): void
}

/** What has become of a frame: the log has acknowledged it; it was read back and counts. */
export type FrameStage = 'appended' | 'readBack'

/** A frame of this claim that was read back: when it was received, and acknowledged by the log, on the monotonic clock. */
export interface Written {
  readonly receivedAt: number
  readonly appendedAt: number | undefined
}

export interface PublicationOptions {
  readonly host: PublicationHost
  readonly sink: PublisherSink
  readonly clock: Clock
  readonly resumeHash: string
  readonly nonce: string
  readonly budget: HeldBudget
  readonly held?: HeldLimits | undefined
}

interface Unconfirmed extends Written {
  readonly sequence: number
  readonly size: number
  readonly at: number
  /** Where the log has put it; undefined until it says so. */
  offset: Offset | undefined
  appendedAt: number | undefined
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
  /** Undefined until the claim was read back. */
  #records: SessionRecords | undefined
  /** Number of the next frame to be received. */
  #expected = 0
  #confirmed = -1
  #acknowledged = -1
  #tracks: TrackSet | undefined
  #isStalled = false
  #isSuspended = false
  /** When the claim was made or the newest frame was received, on the monotonic clock. */
  #heardAt: number
  /** Goes up where appends that were under way are given up: whatever becomes of them, it is known. */
  #course = 0
  #endReason: string | undefined
  readonly #held: HeldFrames
  readonly #unconfirmed = new BoundedQueue<Unconfirmed>(
    {
      items: publicationLimits.unconfirmed.items,
      bytes: publicationLimits.unconfirmed.bytes + publicationLimits.frameBytes,
    },
    ({ size }) => size,
  )

  constructor({ host, sink, clock, resumeHash, nonce, budget, held }: PublicationOptions) {
    this.#host = host
    this.#sink = sink
    this.#clock = clock
    this.resumeHash = resumeHash
    this.nonce = nonce
    this.#held = new HeldFrames(budget, held)
    this.#heardAt = clock.monotonic()
    this.#claimed.promise.catch(() => {})
    this.#ended.promise.catch(() => {})
  }

  get state(): State {
    return this.#state
  }

  get epoch(): Offset | undefined {
    return this.#records?.epoch
  }

  /** Whether its publisher is connected and has said something within so many milliseconds. */
  isHeard(within: number): boolean {
    return this.isConnected && this.#clock.monotonic() - this.#heardAt < within
  }

  get isConnected(): boolean {
    return this.#state !== 'closed' && this.#state !== 'detached'
  }

  /** Settles when the claim's own record has been read back, or the claim was lost before. */
  get claimed(): Promise<Claim> {
    return this.#claimed.promise
  }

  /** The claim's record was read back. */
  begin(claim: Claim): void {
    if (this.#state !== 'claiming') return
    this.#state = 'open'
    this.#records = new SessionRecords(claim, this.resumeHash)
    this.#expected = claim.next
    this.#acknowledged = claim.next - 1
    this.#claimed.resolve(claim)
  }

  /**
   * The claim's record was read back once more: a retry wrote it twice, and the later one counts.
   * @returns false where something was written under the first, which is lost by that
   */
  adopt(epoch: Offset): boolean {
    const isOver = this.#state === 'closed' || this.#state === 'ending'
    if (isOver || this.#records?.adopt(epoch) !== true) return false
    this.#isSuspended = false
    return true
  }

  /** The tracks to come. Its record is written before the next frame, and before every GOP. */
  catalog(catalog: Catalog): void {
    const bytes = encodeCatalog(catalog)
    const main = mainTrack(catalog)
    const tracks = new Set(catalog.tracks.map(track => track.name))
    this.#tracks = { bytes, tracks, main: main?.name, video: main?.kind === 'video' }
  }

  /** @throws FramelogError BAD_MESSAGE, FRAME_TOO_LARGE, OUT_OF_ORDER */
  frame(frame: NumberedFrame): void {
    const tracks = this.#tracks
    if (tracks === undefined) throw new FramelogError('OUT_OF_ORDER', 'A frame before any catalog')
    if (!tracks.tracks.has(frame.track)) {
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
    if (frame.sequence > sequenceLimit) {
      throw new FramelogError('BAD_MESSAGE', `A frame with the number ${frame.sequence}`)
    }
    // Sent again after a reconnection, though it had arrived.
    if (frame.sequence < this.#expected) return
    if (this.#state !== 'open' && this.#state !== 'holding') return
    this.#expected = frame.sequence + 1
    this.#heardAt = this.#clock.monotonic()
    const received = { frame: this.#received(frame), tracks, at: this.#heardAt }
    const isCutOff = this.#held.isCutOff(received)
    if (this.#state === 'open' && this.#mayAppend() && !isCutOff) this.#append(received)
    else this.#hold(received)
  }

  /**
   * A frame of this claim, or a gap up to this number, was read back and counts. One that was not written here is
   * another program's, under this claim: nothing is in the log by that.
   * @returns undefined for a gap, and for what was not written here
   */
  confirm(sequence: number): Written | undefined {
    if (this.#records === undefined || sequence >= this.#records.next) return undefined
    this.#confirmed = Math.max(this.#confirmed, sequence)
    let last: Unconfirmed | undefined
    while ((this.#unconfirmed.peek()?.sequence ?? Number.POSITIVE_INFINITY) <= sequence)
      last = this.#unconfirmed.shift()
    if (last?.sequence !== sequence) return undefined
    this.#host.measured('readBack', this.#clock.monotonic() - last.receivedAt)
    return last
  }

  /** Numbers are not in the log, and a later one counts: they cannot come any more. To be called before `confirm`. */
  lost(numbers: Dropped): void {
    this.#tellDropped(numbers, 'lost')
  }

  /** To be called once after each batch of `confirm`: one acknowledgement covers them all. */
  flush(): void {
    this.#checkPassed()
    if (this.#confirmed > this.#acknowledged) {
      this.#acknowledged = this.#confirmed
      if (this.#state === 'open' || this.#state === 'holding' || this.#state === 'ending') {
        this.#sink.acknowledge(this.#confirmed)
      }
    }
    if (this.#state === 'holding' || (this.#state === 'ending' && this.#endReason !== undefined))
      this.#drain()
  }

  /**
   * Writes what is held, and that no frame follows; resolves when all of it was read back.
   * @throws what the log throws, LOG_UNREACHABLE where it takes too long
   */
  async end(reason: string): Promise<void> {
    if (this.#records === undefined || this.#state === 'closed' || this.#state === 'ending') return
    this.#state = 'ending'
    this.#endReason = reason
    const seconds = publicationLimits.endTimeout / 1000
    const late = new FramelogError('LOG_UNREACHABLE', `The log has not taken the end within ${seconds} s`)
    const cancel = this.#clock.after(publicationLimits.endTimeout, () => this.#ended.reject(late))
    try {
      this.#drain()
      await this.#ended.promise
    } finally {
      cancel()
      this.#state = 'closed'
      this.#held.clear()
    }
  }

  /** The record of its end was read back: everything before it was, too. */
  confirmEnd(): void {
    const first = this.#unconfirmed.peek()?.sequence
    if (first !== undefined && this.#records) this.lost({ from: first, to: this.#records.next - 1 })
    this.#unconfirmed.clear()
    this.flush()
    this.#ended.resolve()
  }

  /** Another claim was read, and may be one that nobody wants any more: what comes is held until that is known. */
  suspend(): void {
    this.#isSuspended = true
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
    this.#ended.reject(error)
    this.#held.clear()
    if (!detached) this.#sink.close(error)
  }

  get #session(): SessionRecords {
    if (this.#records === undefined) throw new Error('Nothing is written before the claim was read back')
    return this.#records
  }

  /** What its publisher says of its way ends here. */
  #received(frame: NumberedFrame): NumberedFrame {
    const { capturedAt, hops, ...rest } = frame
    if (capturedAt === undefined) return rest
    const received = sinceCapture(capturedAt, this.#clock.now())
    const { encoded, sent } = hops ?? {}
    return { ...rest, capturedAt, hops: addHops(undefined, { encoded, sent, received }) }
  }

  #append(received: ReceivedFrame): void {
    const { frame } = received
    const records = this.#session
    const from = records.next
    const entries = records.ofFrame(received, this.#host.end)
    const size = frame.data.byteLength
    const { sequence } = frame
    const sent: Unconfirmed = {
      sequence,
      size,
      at: this.#clock.monotonic(),
      receivedAt: received.at,
      appendedAt: undefined,
      offset: undefined,
    }
    this.#unconfirmed.push(sent)
    const course = this.#course
    this.#host.append(entries.map(entry => this.#record(entry))).then(
      first => {
        sent.offset = (first + entries.length - 1) as Offset
        sent.appendedAt = this.#clock.monotonic()
        this.#host.measured('appended', sent.appendedAt - sent.receivedAt)
        this.#checkPassed()
      },
      (error: unknown) => {
        if (course === this.#course) this.#failed(from, toFramelogError(error, 'LOG_FAILED'))
      },
    )
  }

  /** @param from the first number that was in it. All that was handed over behind it has failed, or will, as the log promises */
  #failed(from: number, error: FramelogError): void {
    if (error.code !== 'FRAME_TOO_LARGE' || this.#state === 'claiming') {
      this.close(error)
      return
    }
    if (this.#state === 'closed') return
    this.#course += 1
    const records = this.#session
    const to = Math.max(records.next - 1, this.#held.cutOff() ?? -1)
    const kept = [...this.#unconfirmed].filter(({ sequence }) => sequence < from)
    this.#unconfirmed.clear()
    for (const sent of kept) this.#unconfirmed.push(sent)
    records.rewind(from)
    this.#giveUp({ from, to }, 'tooLarge')
    if (this.#state === 'open') this.#state = 'holding'
    this.#drainSoon()
  }

  /** In a later turn: what is handed over in this one fails like what was refused. */
  #drainSoon(): void {
    this.#clock.after(0, () => {
      if (this.#state !== 'closed') this.#drain()
    })
  }

  #giveUp(numbers: Dropped, reason: GapReason): void {
    this.#session.giveUp(numbers, reason)
    this.#tellDropped(numbers, reason)
  }

  #tellDropped(numbers: Dropped, reason: GapReason): void {
    if (this.isConnected) this.#sink.dropped(numbers, gapReasons[reason], reason === 'tooLarge')
  }

  /**
   * The log took a frame, and reading has passed where it put it without its counting: it is damaged, or the log has
   * lost its end and the claim with it. Nothing would ever confirm it; the next claim tells what is there.
   */
  #checkPassed(): void {
    const { offset, sequence } = this.#unconfirmed.peek() ?? {}
    // Where another claim is in doubt, it is not the frame's fault.
    if (offset === undefined || offset >= this.#host.end || this.#isSuspended) return
    const message = `Frame ${sequence} was appended at offset ${offset}, and cannot be read there`
    this.close(new FramelogError('LOG_FAILED', message))
  }

  #hold(received: ReceivedFrame): void {
    this.#state = 'holding'
    if (this.#isStale()) this.#tellStalled(true)
    const dropped = this.#held.push(received)
    // What is cut off behind a frame that was too large goes for the same reason.
    if (dropped !== undefined) this.#giveUp(dropped, this.#session.reasonBefore(dropped.from) ?? 'stalled')
    this.#drain()
  }

  /** Appends what is held, as far as may be; all of it gone, the publication is open again, or ends. */
  #drain(): void {
    while (this.#held.length > 0 && this.#mayAppend()) this.#append(this.#held.shift() as ReceivedFrame)
    if (this.#held.length > 0 || this.#isSuspended || this.#isStale()) return
    this.#tellStalled(false)
    if (this.#state === 'holding') this.#state = 'open'
    else if (this.#state === 'ending') this.#writeEnd()
  }

  #writeEnd(): void {
    const reason = this.#endReason
    if (reason === undefined) return
    this.#endReason = undefined
    const entries = this.#session.ofEnd(reason)
    const course = this.#course
    this.#host.append(entries.map(entry => this.#record(entry))).catch((error: unknown) => {
      const failure = toFramelogError(error, 'LOG_FAILED')
      if (failure.code !== 'FRAME_TOO_LARGE' || course === this.#course) {
        this.#ended.reject(failure)
        return
      }
      // A frame before it was too large, and it failed with that.
      this.#endReason = reason
      this.#drainSoon()
    })
  }

  #tellStalled(isStalled: boolean): void {
    if (this.#isStalled === isStalled) return
    this.#isStalled = isStalled
    if (this.#state === 'open' || this.#state === 'holding') this.#sink.stalled(isStalled)
  }

  #mayAppend(): boolean {
    const { items, bytes } = publicationLimits.unconfirmed
    const hasRoom = this.#unconfirmed.length < items && this.#unconfirmed.bytes < bytes
    return hasRoom && !this.#isSuspended && !this.#isStale()
  }

  #isStale(): boolean {
    const oldest = this.#unconfirmed.peek()
    return oldest !== undefined && this.#clock.monotonic() - oldest.at > publicationLimits.staleAfter
  }

  #record(entry: WrittenEntry): NewRecord {
    return encodeEntry(entry, this.#host.timestamp())
  }
}
