/**
 * One viewer of a broadcast, as an explicit state:
 *   joining → replaying → live ⇄ skipping
 * From each of them it may be paused, or seek, which joins anew somewhere else, and be closed.
 * A slow viewer holds up nobody and grows nothing: live frames that its connection does not take are skipped to
 * a keyframe, and it is told how many; a replay waits for it.
 */
import { FramelogError } from '../errors.ts'
import type { Damage, Log, Topic } from '../log/log.ts'
import type { Micros, Offset } from '../units.ts'
import { Approach } from './approach.ts'
import type { EntryPoint } from './entry-point.ts'
import { type BroadcastState, Packet, type ViewerSink } from './packet.ts'
import { Rendition, type Seen } from './rendition.ts'
import { RecordStream } from './stream.ts'

export const viewerLimits = {
  /** Bytes that wait in a live viewer's connection before frames are skipped. */
  buffered: 4 * 1024 * 1024,
  /** Milliseconds that the first of them has waited, likewise: a keyframe that comes now is shown sooner than they are. */
  waited: 2000,
  /** Bytes that wait in a replaying viewer's connection before reading pauses. */
  replayBuffered: 512 * 1024,
  /** Media time that a replay runs ahead of what its viewer shows. */
  replayAhead: 10_000_000,
  /** Bytes of one read of a replay. */
  replayChunk: 256 * 1024,
  /** GOPs skipped in a row before the connection is given up. */
  skippedGops: 30,
} as const

/** What a viewer asks of its broadcast when its replay has come to the end of the log. */
export interface LiveEdge {
  /** Joins the live viewers, where everything before the offset has been read live too. */
  attach(viewer: Viewer, from: Offset): boolean
  /** The replay has met what cannot be read. */
  onDamage(topic: Topic, span: Damage): void
}

type State =
  | { readonly kind: 'joining' }
  | { readonly kind: 'replaying' }
  /** Records before `from` were sent by the replay. */
  | { readonly kind: 'live'; readonly from: Offset }
  | { readonly kind: 'skipping'; readonly frames: number; readonly gops: number }
  | { readonly kind: 'paused' }
  | { readonly kind: 'closed' }

export class Viewer {
  readonly #sink: ViewerSink
  readonly #rendition: Rendition
  #state: State = { kind: 'joining' }
  /** False until a keyframe of the main track was sent: what comes before cannot be decoded. */
  #synchronized = false
  /** The newest one that was sent. */
  #catalog: Packet | undefined
  #ended = false
  /** The seek that is being answered, 0 for the first position. */
  #seek = 0
  /** Goes up with everything that ends a replay: one that was under way sees that it is over. */
  #turn = 0
  #shown: { session: string; timestamp: Micros } | undefined
  #first: { session: string; timestamp: Micros } | undefined
  /** The newest media time that the replay has sent, of the session that `#first` names. */
  #sent: Micros | undefined
  #wake: (() => void) | undefined

  /** @param rendition name of the track that it wants of those that show the same; undefined for all of them */
  constructor(sink: ViewerSink, rendition?: string) {
    this.#sink = sink
    this.#rendition = new Rendition(rendition)
  }

  get state(): State['kind'] {
    return this.#state.kind
  }

  /** Whether the last thing it was told is that no frame follows. */
  get ended(): boolean {
    return this.#ended
  }

  /** The media time that it shows, as it reports it. */
  position(session: string, timestamp: Micros): void {
    this.#shown = { session, timestamp }
    this.#wake?.()
  }

  /** Another rendition, from the next GOP on. @param name of a track */
  want(name: string): void {
    this.#rendition.want(name)
  }

  begin(state: BroadcastState): void {
    if (this.#state.kind !== 'closed') this.#sink.begin(state)
  }

  /** Sends nothing any more, until it seeks. */
  pause(): void {
    if (this.#state.kind !== 'closed') this.#leave({ kind: 'paused' })
  }

  /** What it is sent comes from somewhere else from now on. @param seek names it */
  seek(seek: number): void {
    if (this.#state.kind === 'closed') return
    this.#leave({ kind: 'joining' })
    this.#seek = seek
    this.#rendition.reset()
    this.#synchronized = false
    this.#catalog = undefined
    this.#ended = false
    this.#shown = undefined
    this.#first = undefined
    this.#sent = undefined
  }

  /** Names what it was asked for last: where something else is asked for meanwhile, that is over. */
  get turn(): number {
    return this.#turn
  }

  /** Whether it has asked for something since it came. */
  get hasSought(): boolean {
    return this.#seek > 0
  }

  /** Waits until its connection has room for a GOP: whoever asks for one after the other gets them as it takes them. */
  async ready(): Promise<void> {
    if (this.#sink.buffered > viewerLimits.replayBuffered)
      await this.#sink.drained(viewerLimits.replayBuffered / 2)
  }

  /**
   * Sends the current GOP and goes on live.
   * @param topic that offsets are of. @param wanted what it has asked for: before that is only to be decoded
   */
  join(packets: readonly Packet[], from: Offset, topic: string | undefined, wanted?: Offset): void {
    if (this.#state.kind !== 'joining') return
    const gop = this.#rendition.ofGop(packets)
    this.#sink.place({ seek: this.#seek, isLive: true, topic, wanted })
    // The keyframe goes ahead of the rest: what it takes to show a picture does not grow with the GOP.
    for (const packet of gop.slice(0, 2)) this.#send(packet)
    if (gop.length > 2) this.#sink.sendAll(gop.slice(2))
    this.#catalog = gop.findLast(isCatalog)
    this.#synchronized = gop.length > 1
    this.#state = { kind: 'live', from }
  }

  /** Goes on live after a replay, which sent everything before the offset. */
  goLive(from: Offset, topic: string): void {
    if (this.#state.kind !== 'replaying') return
    this.#sink.place({ seek: this.#seek, isLive: true, topic })
    this.#state = { kind: 'live', from }
  }

  /** A record came live. */
  deliver(record: Seen): void {
    const seen = this.#rendition.see(record)
    if (seen === undefined) return
    const isFull = this.#isBehind(1)
    // Data is no reason to skip frames, and none is missing without it.
    if (isData(seen.packet) && (isFull || this.#state.kind === 'skipping')) return
    if (this.#state.kind === 'live') {
      if (seen.accepted.record.offset < this.#state.from) return
      if (!isFull) this.#forward(seen)
      else this.#skip({ kind: 'skipping', frames: 0, gops: 0 }, seen)
    } else if (this.#state.kind === 'skipping') {
      this.#skip(this.#state, seen)
    }
  }

  /** Records are missing at an offset: what follows does not decode before the next keyframe. */
  damaged(packet: Packet, at: Offset): void {
    if (this.#state.kind === 'skipping') this.#send(packet)
    else if (this.#state.kind === 'live' && at >= this.#state.from) this.#break(packet)
  }

  /** Something that concerns no single record: the state of the broadcast, its end. */
  tell(packet: Packet): void {
    if (this.#state.kind === 'live' || this.#state.kind === 'skipping') this.#send(packet)
  }

  /** From when to when it may seek: where it is does not matter to that. */
  tellSpan(packet: Packet): void {
    if (this.#state.kind !== 'paused' && this.#state.kind !== 'closed') this.#sink.send(packet)
  }

  /** Reads from an entry point on, no faster than the viewer plays, until it has come to the live edge. */
  async replay(log: Log, topic: Topic, point: EntryPoint, edge: LiveEdge): Promise<void> {
    if (this.#state.kind !== 'joining') return
    const turn = this.#turn
    const isOver = (): boolean => this.#turn !== turn
    this.#sink.place({ seek: this.#seek, isLive: false, topic: topic.id, wanted: point.wanted })
    const onDamage = (span: Damage): void => edge.onDamage(topic, span)
    this.#state = { kind: 'replaying' }
    const stream = new RecordStream(point.floor)
    const approach = new Approach()
    let at = point.from
    while (!isOver()) {
      let chunk: Awaited<ReturnType<Log['read']>>
      try {
        chunk = await log.read(topic, at, viewerLimits.replayChunk)
        if (isOver()) return
      } catch (error) {
        if (isOver()) return
        if (!(error instanceof FramelogError) || error.code !== 'OFFSET_OUT_OF_RANGE') throw error
        const { first } = await log.bounds(topic)
        if (first <= at) throw error
        this.#break(new Packet({ type: 'gap', frames: 0, reason: 'retention removed what was to come next' }))
        at = first
        continue
      }
      for (const met of stream.read(chunk)) {
        const broken = 'damage' in met ? met : met.hole
        if (broken !== undefined) {
          // What is held of its GOP is of no use any more.
          approach.rest()
          this.#break(broken.packet)
        }
        if ('damage' in met) onDamage(met.damage)
        else if (met.packet !== undefined) {
          const step = this.#rendition.see({ accepted: met, packet: met.packet, catalog: stream.catalog })
          if (step === undefined) continue
          if (met.record.offset < (point.wanted ?? 0)) await this.#give(approach.take(step), turn)
          else {
            await this.#give(approach.rest(), turn)
            await this.#pace(met.packet, turn)
            await this.#give([step], turn)
          }
        }
        if (isOver()) return
      }
      at = chunk.next
      if (at < chunk.end) continue
      await this.#give(approach.rest(), turn)
      if (isOver() || edge.attach(this, at)) return
    }
  }

  close(): void {
    this.#leave({ kind: 'closed' })
  }

  /** Ends the connection too. */
  fail(error: FramelogError): void {
    if (this.#state.kind === 'closed') return
    this.close()
    this.#sink.close(error)
  }

  /** What was under way for it is over. */
  #leave(state: State): void {
    this.#turn += 1
    this.#state = state
    this.#wake?.()
  }

  #forward({ accepted, packet, catalog }: Seen): void {
    if (isData(packet) && !this.#synchronized) return
    // A viewer that was told of the end is told of what comes by a catalog.
    if (isFrame(packet) && this.#ended && catalog !== undefined) this.#send(catalog)
    if (accepted.opensGop && catalog !== undefined) {
      if (this.#catalog !== catalog) this.#send(catalog)
      this.#synchronized = true
    } else if (isFrame(packet) && !this.#synchronized) {
      if (!accepted.standsAlone || this.#catalog === undefined) return
    }
    this.#send(packet)
  }

  #skip(state: State & { kind: 'skipping' }, seen: Seen): void {
    const { accepted, packet } = seen
    this.#state = state
    if (!isFrame(packet)) {
      // Whoever is told that nothing follows is told before what is missing.
      if (packet.event.type === 'end' && state.frames > 0) {
        this.#sendGap(state.frames)
        this.#state = { ...state, frames: 0 }
      }
      this.#send(packet)
      return
    }
    if (!accepted.opensGop) {
      this.#state = { ...state, frames: state.frames + 1 }
      return
    }
    if (!this.#isBehind(1 / 2)) {
      if (state.frames > 0) this.#sendGap(state.frames)
      this.#state = { kind: 'live', from: accepted.record.offset }
      this.#synchronized = false
      this.#forward(seen)
    } else if (state.gops + 1 >= viewerLimits.skippedGops) {
      this.fail(
        new FramelogError('VIEWER_TOO_SLOW', `The connection took nothing for ${state.gops + 1} GOPs`),
      )
    } else {
      this.#state = { kind: 'skipping', frames: state.frames + 1, gops: state.gops + 1 }
    }
  }

  /** @param share of what may wait */
  #isBehind(share: number): boolean {
    const { buffered, waited } = this.#sink
    return buffered > viewerLimits.buffered * share || waited > viewerLimits.waited * share
  }

  #break(packet: Packet): void {
    this.#send(packet)
    this.#synchronized = false
  }

  #sendGap(frames: number): void {
    this.#send(new Packet({ type: 'gap', frames, reason: 'the connection is too slow' }))
  }

  #send(packet: Packet): void {
    const { type } = packet.event
    if (type === 'catalog') this.#catalog = packet
    if (type === 'end') this.#ended = true
    else if (type === 'frame' || type === 'catalog') this.#ended = false
    this.#sink.send(packet)
  }

  /** Sends as the connection has room. @param turn of the replay: where it is over, nothing more of it is sent */
  async #give(steps: readonly Seen[], turn: number): Promise<void> {
    for (const step of steps) {
      if (this.#sink.buffered > viewerLimits.replayBuffered)
        await this.#sink.drained(viewerLimits.replayBuffered / 2)
      if (this.#turn !== turn) return
      this.#forward(step)
    }
  }

  /** Waits until the viewer has come near enough. */
  async #pace({ event }: Packet, turn: number): Promise<void> {
    if (event.type !== 'frame' || this.#turn !== turn) return
    const { timestamp } = event.frame
    if (this.#first?.session !== event.session) {
      this.#first = { session: event.session, timestamp }
      this.#sent = undefined
    }
    while (this.#turn === turn) {
      const shown = this.#shown?.session === event.session ? this.#shown : this.#first
      // A viewer that has shown all it was sent waits for whatever comes, be it after a hole in the media time.
      const isStarved = this.#sent === undefined || shown.timestamp >= this.#sent
      if (timestamp - shown.timestamp <= viewerLimits.replayAhead || isStarved) break
      await new Promise<void>(resolve => {
        this.#wake = resolve
      })
      this.#wake = undefined
    }
    if (this.#turn === turn) this.#sent = Math.max(this.#sent ?? timestamp, timestamp) as Micros
  }
}

const isFrame = (packet: Packet): boolean => packet.event.type === 'frame'
const isData = (packet: Packet): boolean => packet.event.type === 'data'
const isCatalog = (packet: Packet): boolean => packet.event.type === 'catalog'
