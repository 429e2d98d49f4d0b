/** What the relay sends viewers, as messages: encoded once for all of them. */
import type { Clock } from '../core/clock.ts'
import { addHops, type Hops } from '../media/hops.ts'
import type { Metrics } from '../observe/metrics.ts'
import type { Encoded, Packet, ViewerEvent } from '../relay/packet.ts'
import type { KnownMessage } from '../wire/message.ts'
import { encodeFramed } from './framed.ts'
import type { Encode } from './run.ts'

export interface ViewerEncoder {
  /** A frame's way ends with the first viewer that it is encoded for. */
  readonly encode: Encode
  /** For those who get later what others have had: their way is longer. Kept by nobody but the caller. */
  readonly again: Encode
}

export function viewerEncoder(clock: Clock, metrics: Metrics): ViewerEncoder {
  const make = ({ event, way }: Packet, isFirst: boolean): Encoded => {
    if (way?.hops.read === undefined) return encodeFramed(toMessage(event, undefined))
    const took = clock.monotonic() - way.readAt
    if (isFirst) metrics.relayed(took)
    return encodeFramed(toMessage(event, addHops(way.hops, { relayed: way.hops.read + took * 1000 })))
  }
  const encode: Encode = packet => {
    packet.encoded ??= make(packet, true)
    return packet.encoded
  }
  return { encode, again: packet => (packet.way === undefined ? encode(packet) : make(packet, false)) }
}

/** @param hops of a frame that is sent as it came */
function toMessage(event: ViewerEvent, hops: Hops | undefined): KnownMessage {
  if (event.type === 'span') {
    const { type, first, last, gaps, isOver } = event
    return { type, first, last, over: isOver, gaps: gaps.map(([from, to]) => [from, to]) }
  }
  if (event.type !== 'frame' && event.type !== 'data') return event
  const { offset, time } = event
  if (event.type === 'frame') {
    const frame = hops === undefined ? event.frame : { ...event.frame, hops }
    return { type: 'frame', frame, relayed: { offset, time } }
  }
  const { track, session, timestamp, duration, data } = event
  const record = {
    track,
    moment: { session, timestamp },
    ...(duration === undefined ? {} : { duration }),
    data,
  }
  return { type: 'data', record, relayed: { offset, time } }
}
