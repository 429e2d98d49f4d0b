/**
 * Which of several sizes of the same picture a viewer is sent. It is given a catalog that names only that one, so a change of
 * it is what any change of the tracks is: another catalog, and a keyframe. Changes come where GOPs begin.
 */
import { renditionsOf, withRendition } from '../media/catalog.ts'
import type { TrackName } from '../units.ts'
import { Packet } from './packet.ts'
import type { Accepted } from './stream.ts'

/** A record as one viewer sees it. */
export interface Seen {
  readonly accepted: Accepted
  readonly packet: Packet
  /** The newest one. */
  readonly catalog: Packet | undefined
  /** As those see it who take one rendition, made for the first of them. */
  views?: Map<TrackName, Seen>
}

export class Rendition {
  /** The name of a track; where there is none of that name, it is the main one. Undefined for all that there is. */
  #wish: string | undefined
  /** Of the catalog that was seen last; none where there is nothing to choose. */
  #names: readonly TrackName[] = []
  #catalog: Packet | undefined
  #active: TrackName | undefined
  /** Whether a keyframe of the active one has come since it was chosen; and whether a GOP has begun in which it should have. */
  #hasBegun = false
  #isDue = false

  constructor(wish: string | undefined) {
    this.#wish = wish
  }

  /** To be sent from the next GOP on. Whoever takes all there is goes on with that. */
  want(name: string): void {
    if (this.#wish !== undefined) this.#wish = name
  }

  /** What comes is of somewhere else. */
  reset(): void {
    this.#active = undefined
    this.#hasBegun = false
    this.#isDue = false
  }

  /** @returns undefined for what this viewer is not sent */
  see(seen: Seen): Seen | undefined {
    const { accepted, packet, catalog } = seen
    if (this.#wish === undefined) return seen
    if (catalog !== undefined && catalog !== this.#catalog) this.#learn(catalog)
    if (this.#names.length === 0) return seen
    if (accepted.opensGop || this.#active === undefined) this.#choose(accepted.opensGop)
    const active = this.#active
    if (active === undefined) return seen
    if (packet.event.type === 'frame' && this.#names.includes(packet.event.frame.track)) {
      if (packet.event.frame.track !== active) return undefined
      this.#hasBegun ||= packet.event.frame.keyframe
    }
    seen.views ??= new Map()
    let view = seen.views.get(active)
    if (view === undefined) {
      view = viewOf(seen, active)
      seen.views.set(active, view)
    }
    return view
  }

  /** @param packets begin with a catalog. @returns those that this viewer is sent, beginning with its catalog */
  ofGop(packets: readonly Packet[]): readonly Packet[] {
    const [catalog] = packets
    if (this.#wish === undefined || catalog === undefined) return packets
    this.#learn(catalog)
    if (this.#names.length === 0) return packets
    this.#choose(packets.length > 1)
    return packets.flatMap(packet => {
      const { event } = packet
      if (event.type === 'catalog') {
        // Another one within the GOP.
        if (packet !== this.#catalog) this.#learn(packet)
        return [this.#of(packet)]
      }
      if (event.type !== 'frame' || !this.#names.includes(event.frame.track)) return [packet]
      if (event.frame.track !== this.#active) return []
      this.#hasBegun ||= event.frame.keyframe
      return this.#hasBegun ? [packet] : []
    })
  }

  #learn(catalog: Packet): void {
    this.#catalog = catalog
    this.#names =
      catalog.event.type === 'catalog' ? renditionsOf(catalog.event.catalog).map(({ name }) => name) : []
    if (this.#active !== undefined && !this.#names.includes(this.#active)) this.reset()
  }

  /** One whose keyframe did not come in a whole GOP is not waited for in the next. @param opensGop whether one begins here */
  #choose(opensGop: boolean): void {
    const wanted = this.#names.find(name => name === this.#wish) ?? this.#names[0]
    const isLate = this.#active === wanted && this.#isDue && !this.#hasBegun
    const next = isLate ? this.#names[0] : wanted
    if (next !== this.#active) this.#hasBegun = false
    this.#active = next
    this.#isDue = opensGop
  }

  #of(catalog: Packet): Packet {
    return this.#active === undefined ? catalog : catalogOf(catalog, this.#active)
  }
}

/** @param seen not a frame of another rendition */
function viewOf({ accepted, packet, catalog }: Seen, name: TrackName): Seen {
  const { event } = packet
  const isPicture = event.type === 'frame' && event.frame.track === name
  return {
    accepted: isPicture ? { ...accepted, opensGop: event.frame.keyframe, standsAlone: false } : accepted,
    packet: catalogOf(packet, name),
    catalog: catalog && catalogOf(catalog, name),
  }
}

/** Shared by all who take the same: what is equal is one packet. */
const catalogs = new WeakMap<Packet, Map<TrackName, Packet>>()

/** @returns a packet that is no catalog as it is */
function catalogOf(packet: Packet, name: TrackName): Packet {
  const { event } = packet
  if (event.type !== 'catalog') return packet
  const known = catalogs.get(packet) ?? new Map<TrackName, Packet>()
  catalogs.set(packet, known)
  let view = known.get(name)
  if (view === undefined) {
    const renditions = renditionsOf(event.catalog)
    view = new Packet({ ...event, catalog: withRendition(event.catalog, name), renditions })
    known.set(name, view)
  }
  return view
}
