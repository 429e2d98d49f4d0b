/** Everybody who watches a broadcast on this gateway, and what whoever joins now is sent at once. */
import type { FramelogError } from '../errors.ts'
import type { Offset } from '../units.ts'
import { CurrentGop } from './gop.ts'
import { type BroadcastState, Packet } from './packet.ts'
import type { Accepted } from './stream.ts'
import type { Viewer } from './viewer.ts'

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

  /** Sends a viewer what is on now. @param catalog the newest one. @param from offset of what is to come */
  join(viewer: Viewer, state: BroadcastState, catalog: Packet | undefined, from: Offset): void {
    const { packets } = this.#gop
    viewer.join(packets.length > 0 || catalog === undefined ? packets : [catalog], from)
    if (state === 'ended') viewer.tell(new Packet({ type: 'end', reason: 'the broadcast is over' }))
  }

  /** A record that counts was read. @param catalog the newest one */
  deliver(accepted: Accepted, catalog: Packet | undefined): void {
    const { entry, record, packet, hole } = accepted
    if (hole !== undefined) this.damaged(hole.packet, record.offset)
    if (entry.kind === 'end') this.forgetGop()
    if (packet === undefined) return
    if (accepted.opensGop && catalog !== undefined) this.#gop.open(catalog, packet)
    else if (entry.kind === 'frame' || entry.kind === 'catalog') this.#gop.add(packet)
    for (const viewer of this.#viewers) viewer.deliver(accepted, packet, catalog)
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

  /** Ends all connections. */
  close(error: FramelogError): void {
    for (const viewer of [...this.#viewers]) viewer.fail(error)
    this.#viewers.clear()
    this.forgetGop()
  }
}
