/**
 * A stream from outside that becomes a broadcast, whatever it comes by. Who reads it hands over tracks and frames as they are
 * demuxed, and waits in between until there is room: what the log does not take holds up the sender, not this process's memory.
 *   unclaimed → open → closed
 */
import { createHash } from 'node:crypto'
import type { DemuxHandler } from '../container/demuxer.ts'
import { FramelogError } from '../errors.ts'
import { type Catalog, catalogLimits } from '../media/catalog.ts'
import type { Frame } from '../media/frame.ts'
import type { Publishing, Relay } from '../relay/relay.ts'
import type { BroadcastId } from '../units.ts'

export const ingestLimits = {
  /** Frames that the log has not acknowledged, and their bytes, from which on nothing more is taken. */
  unacknowledged: { items: 2048, bytes: 8 * 1024 * 1024 },
  /** Streams at a time. */
  streams: 1000,
} as const

export interface IngestOptions {
  readonly relay: Relay
  readonly id: BroadcastId
  /** Who has the same takes over at once; undefined where the sender names nothing. */
  readonly token: string | undefined
  /** What the broadcast is called, for people. */
  readonly title: string | undefined
}

export interface IngestReport {
  readonly broadcast: BroadcastId
  /** Frames and their bytes that the log has. */
  readonly frames: number
  readonly bytes: number
  /** Frames that were given up. */
  readonly dropped: number
}

type Event =
  | { readonly kind: 'tracks'; readonly tracks: Catalog['tracks'] }
  | { readonly kind: 'frame'; readonly frame: Frame }

interface Sent {
  readonly sequence: number
  readonly size: number
}

export class Ingest implements DemuxHandler {
  readonly #options: IngestOptions
  /** What one push has brought: handed over before the next. */
  #events: Event[] = []
  #publishing: Publishing | undefined
  #sequence = 0
  #unacknowledged: Sent[] = []
  #waitingBytes = 0
  #frames = 0
  #bytes = 0
  #dropped = 0
  #isClosed = false
  #error: FramelogError | undefined
  #wake: (() => void) | undefined
  /** What `flow` has returned, until it settles: what comes meanwhile is handed over with the next call. */
  #waiting: Promise<void> | undefined
  /** Called once, where it is ended from this side: its connection waits for nothing any more. */
  onFailed: (error: FramelogError) => void = () => {}

  constructor(options: IngestOptions) {
    this.#options = options
  }

  get report(): IngestReport {
    const { id } = this.#options
    return { broadcast: id, frames: this.#frames, bytes: this.#bytes, dropped: this.#dropped }
  }

  onTracks(tracks: Catalog['tracks']): void {
    this.#events.push({ kind: 'tracks', tracks })
  }

  onFrame(frame: Frame): void {
    this.#events.push({ kind: 'frame', frame })
  }

  /**
   * Hands over what has come.
   * @returns undefined where more may come at once, else what resolves when it may
   * @throws FramelogError why it is over, as what is returned does: BROADCAST_BUSY, BROADCAST_TAKEN_OVER, and what the log throws
   */
  flow(): Promise<void> | undefined {
    if (this.#waiting !== undefined) return this.#waiting
    const isNew = this.#events.length > 0 && this.#publishing === undefined
    const wait = isNew ? this.#claim().then(() => this.#handOver()) : this.#handOver()
    if (wait === undefined) return undefined
    const done = (): void => {
      this.#waiting = undefined
    }
    wait.then(done, done)
    this.#waiting = wait
    return wait
  }

  /** Hands over what came before something that ends it; resolves when that is on its way, or cannot be. */
  async rest(): Promise<void> {
    try {
      do await this.flow()
      while (this.#events.length > 0 && !this.#isClosed)
    } catch {
      // What ends it is known already.
    }
  }

  #handOver(): Promise<void> | undefined {
    const events = this.#events
    this.#events = []
    for (const event of events) this.#give(event)
    return this.#isClosed || this.#isRoomy ? undefined : this.#room()
  }

  /** No frame follows. @throws what `flow` throws, and what `Publishing.end` does; BAD_CONTAINER where there was none at all */
  async end(reason: string): Promise<void> {
    do await this.flow()
    while (this.#events.length > 0)
    const publishing = this.#publishing
    this.#publishing = undefined
    if (publishing === undefined)
      throw new FramelogError('BAD_CONTAINER', 'The stream has ended before its first frame')
    try {
      await publishing.end(reason)
      this.#acknowledge(this.#sequence - 1)
    } finally {
      this.#isClosed = true
      publishing.leave()
    }
  }

  /** The sender is gone, and may come back. Idempotent. */
  leave(): void {
    this.#isClosed = true
    this.#publishing?.leave()
    this.#publishing = undefined
    this.#wake?.()
  }

  /** Ends it from this side: whoever waits in `flow` is told why. */
  fail(error: FramelogError): void {
    if (this.#error !== undefined || this.#isClosed) return
    this.#error = error
    this.#wake?.()
    this.onFailed(error)
  }

  get #isRoomy(): boolean {
    const { items, bytes } = ingestLimits.unacknowledged
    return this.#unacknowledged.length < items && this.#waitingBytes < bytes
  }

  async #claim(): Promise<void> {
    const { relay, id, token } = this.#options
    // Whoever sends without a token is whoever sent without one before: an encoder that lost its connection comes back so.
    const resumeHash = createHash('sha256')
      .update(`ingest ${token ?? ''}`)
      .digest('hex')
    const publishing = await relay.publish(
      id,
      { resumeHash, session: undefined, isWanted: () => !this.#isClosed },
      {
        acknowledge: sequence => this.#acknowledge(sequence),
        stalled: () => {},
        dropped: ({ from, to }) => this.#drop(from, to),
        close: error => this.fail(error),
      },
    )
    if (this.#isClosed) {
      publishing.leave()
      return
    }
    this.#publishing = publishing
    this.#sequence = publishing.next
  }

  #give(event: Event): void {
    if (this.#error !== undefined) throw this.#error
    const publishing = this.#publishing
    if (publishing === undefined) return
    if (event.kind === 'tracks') {
      const { title } = this.#options
      publishing.catalog({ version: 1, ...(title === undefined ? {} : { title }), tracks: event.tracks })
      return
    }
    const sequence = this.#sequence++
    const size = event.frame.data.byteLength
    this.#unacknowledged.push({ sequence, size })
    this.#waitingBytes += size
    publishing.frame({ ...event.frame, sequence })
  }

  #acknowledge(sequence: number): void {
    while ((this.#unacknowledged[0]?.sequence ?? Number.POSITIVE_INFINITY) <= sequence) {
      const { size = 0 } = this.#unacknowledged.shift() ?? {}
      this.#waitingBytes -= size
      this.#frames += 1
      this.#bytes += size
    }
    if (this.#isRoomy) this.#wake?.()
  }

  #drop(from: number, to: number): void {
    const kept = this.#unacknowledged.filter(({ sequence }) => sequence < from || sequence > to)
    this.#dropped += this.#unacknowledged.length - kept.length
    this.#unacknowledged = kept
    this.#waitingBytes = kept.reduce((sum, { size }) => sum + size, 0)
    if (this.#isRoomy) this.#wake?.()
  }

  async #room(): Promise<void> {
    while (!this.#isClosed && !this.#isRoomy) {
      if (this.#error !== undefined) throw this.#error
      await new Promise<void>(resolve => {
        this.#wake = resolve
      })
      this.#wake = undefined
    }
  }
}

/** All streams that come into this gateway, by whatever protocol. */
export class Ingests {
  readonly #relay: Relay
  readonly #open = new Set<Ingest>()

  constructor(relay: Relay) {
    this.#relay = relay
  }

  /** @throws FramelogError SHUTTING_DOWN, TOO_MANY, BAD_CATALOG */
  open({ id, token, title }: Omit<IngestOptions, 'relay'>): Ingest {
    if (this.#relay.isDraining) throw new FramelogError('SHUTTING_DOWN', 'The gateway is stopping')
    if (this.#open.size >= ingestLimits.streams)
      throw new FramelogError('TOO_MANY', `${ingestLimits.streams} streams come in, which is the limit`)
    // Of several in a query there is a list.
    if (title !== undefined && (typeof title !== 'string' || title.length > catalogLimits.title))
      throw new FramelogError(
        'BAD_CATALOG',
        `The title is not one of at most ${catalogLimits.title} characters`,
      )
    const ingest = new Ingest({ relay: this.#relay, id, token, title })
    this.#open.add(ingest)
    return ingest
  }

  /** Its connection is gone. Idempotent. */
  release(ingest: Ingest): void {
    ingest.leave()
    this.#open.delete(ingest)
  }

  /** Ends all of them: whoever sends finds another gateway by connecting again. */
  close(): void {
    const error = new FramelogError('SHUTTING_DOWN', 'The gateway is stopping')
    for (const ingest of this.#open) ingest.fail(error)
  }
}
