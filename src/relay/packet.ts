/** What viewers are sent: made once for each record, shared by reference by all who get it. */
import type { FramelogError } from '../errors.ts'
import type { Catalog, VideoTrack } from '../media/catalog.ts'
import type { NumberedFrame } from '../media/frame.ts'
import type { Hops } from '../media/hops.ts'
import type { Moment } from '../media/timed-data.ts'
import type { Micros, Millis, Offset, TrackName } from '../units.ts'

/** No frames yet; on air; its publisher is gone for the moment; over. */
export type BroadcastState = 'waiting' | 'live' | 'interrupted' | 'ended'

/** From when to when a broadcast can be watched, and when it was over in between. */
export interface Span {
  readonly first: Millis
  readonly last: Millis
  readonly gaps: readonly Pause[]
  /** Whether it does not grow. */
  readonly isOver: boolean
}

/** From when to when. */
export type Pause = readonly [from: Millis, to: Millis]

export type ViewerEvent =
  | {
      readonly type: 'catalog'
      readonly session: string
      readonly catalog: Catalog
      /** What its viewer may choose of, where the catalog names one of them alone. */
      readonly renditions?: readonly VideoTrack[]
    }
  | {
      readonly type: 'frame'
      readonly frame: NumberedFrame
      readonly session: string
      readonly offset: Offset
      /** The record's timestamp. */
      readonly time: Millis
    }
  | ({
      readonly type: 'data'
      readonly track: TrackName
      readonly duration?: Micros
      readonly data: Uint8Array
      readonly offset: Offset
      /** The record's timestamp. */
      readonly time: Millis
    } & Moment)
  | { readonly type: 'state'; readonly state: BroadcastState; readonly reason?: string }
  | { readonly type: 'gap'; readonly frames: number; readonly reason: string }
  | { readonly type: 'end'; readonly reason: string }
  | ({ readonly type: 'span' } & Span)

/** An event as it goes out, made by whoever knows how. */
export interface Encoded {
  /** What goes to the network. */
  readonly bytes: Uint8Array
  /** The message in it: media and data are its end. */
  readonly message: Uint8Array
}

/** Of a frame that was read as it came: its way so far, and when it was read, on the monotonic clock. */
export interface Way {
  readonly hops: Hops
  readonly readAt: number
}

export class Packet {
  readonly event: ViewerEvent
  #encoded: Encoded | undefined = undefined
  /** Filled in before it is delivered. */
  way: Way | undefined = undefined

  constructor(event: ViewerEvent) {
    this.event = event
  }

  /** Filled in by the first sink that needs it, read by all others. */
  get encoded(): Encoded | undefined {
    return this.#encoded
  }

  /** Media is a view of what goes out from then on: a GOP is in memory once. */
  set encoded(encoded: Encoded) {
    this.#encoded = encoded
    const { event, size } = this
    const { message } = encoded
    const media: { data: Uint8Array } | undefined =
      event.type === 'frame' ? event.frame : event.type === 'data' ? event : undefined
    if (media !== undefined) media.data = message.subarray(message.byteLength - size)
  }

  /** Bytes of media and data that it holds. */
  get size(): number {
    const { event } = this
    if (event.type === 'frame') return event.frame.data.byteLength
    return event.type === 'data' ? event.data.byteLength : 0
  }
}

/** What a viewer is sent from here on. */
export interface Place {
  /** The number of the seek that asked for it; 0 for what was asked for first. */
  readonly seek: number
  /** Whether it is what is on now, as it comes. */
  readonly isLive: boolean
  /** Id of the topic that offsets are of; undefined while there is none. */
  readonly topic: string | undefined
  /** What was asked for: frames before it are only to be decoded. */
  readonly wanted?: Offset | undefined
}

/** A viewer's connection, as the relay sees it. */
export interface ViewerSink {
  /** Called once, before anything is sent. */
  begin(state: BroadcastState): void
  /** What follows is from somewhere else, or, at the end of a replay, comes as it is published. */
  place(place: Place): void
  send(packet: Packet): void
  /** Many at once, in order: what a viewer is sent when it joins. */
  sendAll(packets: readonly Packet[]): void
  /** Bytes that were sent and not yet taken by the network. */
  readonly buffered: number
  /** How long the first of them has waited, milliseconds. */
  readonly waited: number
  /** Resolves when `buffered` has fallen to the given size, or the connection is gone. */
  drained(size: number): Promise<void>
  /** Ends the connection; the viewer is told why. */
  close(error: FramelogError): void
}
