/** Everybody who watches a broadcast on this gateway, and what whoever joins now is sent at once. */
import type { FramelogError } from '../errors.ts'
import type { Offset } from '../units.ts'
import { CurrentGop } from './gop.ts'
import { type BroadcastState, Packet } from './packet.ts'
import type { Accepted } from './stream.ts'
import type { Viewer } from './viewer.ts'

/** Where reading has come to. */
export interface Edge {
  /** The newest one. */
  readonly catalog: Packet | undefined
  /** Offset of what is to come. */
  readonly next: Offset
  /** Id of the topic, where there is one. */
  readonly topic: string | undefined
  /** What the viewer has asked for, where it is not just what is on. */
  readonly wanted?: Offset | undefined
}

export class Audience {
  readonly #viewers = new Set<Viewer>()
  readonly #gop = new CurrentGop()

  get size(): number {
    return this.#viewers.size
  }

  add(viewer: Viewer): void {
    this.#viewers.add(viewer)
  }

  delete(viewer: Viewer): void {
    this.#viewers.delete(viewer)
  }

  /** Whether what is on now begins no later than an offset: whoever goes on there needs nothing of the log. */
  has(offset: Offset): boolean {
    const { from } = this.#gop
    return from !== undefined && from <= offset
  }

  /** Sends a viewer what is on now. */
  join(viewer: Viewer, state: BroadcastState, { catalog, next, topic, wanted }: Edge): void {
    const { packets } = this.#gop
    viewer.join(packets.length > 0 || catalog === undefined ? packets : [catalog], next, topic, wanted)
    // What changed while it was elsewhere was not told.
    if (viewer.hasSought) viewer.tell(new Packet({ type: 'state', state }))
    if (state === 'ended') viewer.tell(new Packet({ type: 'end', reason: 'the broadcast is over' }))
  }

  /** A record that counts was read. @param catalog the newest one */
  deliver(accepted: Accepted, catalog: Packet | undefined): void {
    const { entry, record, packet, hole } = accepted
    if (hole !== undefined) this.damaged(hole.packet, record.offset)
    if (entry.kind === 'end') this.forgetGop()
    if (packet === undefined) return
    if (accepted.opensGop && catalog !== undefined) this.#gop.open(catalog, packet)
    else if (entry.kind === 'frame' || entry.kind === 'catalog' || entry.kind === 'data')
      this.#gop.add(packet)
    const seen = { accepted, packet, catalog }
    for (const viewer of this.#viewers) viewer.deliver(seen)
  }

  /** Something is missing from here on: what follows does not decode before the next keyframe. @param packet says so */
  damaged(packet: Packet, at: Offset): void {
    this.forgetGop()
    for (const viewer of this.#viewers) viewer.damaged(packet, at)
  }

  /** What was on belongs to nothing that is still to come. */
  forgetGop(): void {
    this.#gop.clear()
  }

  tell(packet: Packet): void {
    for (const viewer of this.#viewers) viewer.tell(packet)
  }

  /** From when to when it can be watched, for all that are past their beginning. */
  tellSpan(packet: Packet): void {
    for (const viewer of this.#viewers) viewer.tellSpan(packet)
  }

  /** Ends all connections. */
  close(error: FramelogError): void {
    for (const viewer of [...this.#viewers]) viewer.fail(error)
    this.#viewers.clear()
    this.forgetGop()
  }
}
