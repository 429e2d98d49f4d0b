/** The way of a frame: how long after its capture it was where. Each place writes its own, and passes on the others'. */
import { type Micros, type Millis, micros } from '../units.ts'

/**
 * In the order of the way:
 * - encoded: the encoder, or the demuxer behind a recorder, gave it. sent: the publisher gave it to its socket.
 * - received: the publisher's gateway had it. appended: the log has acknowledged it. read: the viewer's gateway has read
 *   it, and it counts. relayed: that gateway gave it to its viewers' sockets.
 */
export const hopNames = ['encoded', 'sent', 'received', 'appended', 'read', 'relayed'] as const
export type HopName = (typeof hopNames)[number]

/** Microseconds after the capture, by whose clock the place has; what is not known is left out. */
export type Hops = { readonly [Name in HopName]?: Micros }

/** What the record of a frame has: the rest comes when it is written. */
export const writtenHops = ['encoded', 'sent', 'received'] as const satisfies readonly HopName[]

/** Microseconds, 35 minutes: a hop further off tells of a clock that is wrong. */
const hopLimit = 2 ** 31 - 1

/**
 * @param spans microseconds after the capture; what is not known, or no time that a frame takes, is left out
 * @returns all that is known
 */
export function addHops(
  hops: Hops | undefined,
  spans: { readonly [Name in HopName]?: number | undefined },
): Hops {
  const all: { [Name in HopName]?: Micros } = { ...hops }
  for (const name of hopNames) {
    const span = spans[name]
    if (span !== undefined && Math.abs(span) <= hopLimit) all[name] = micros(span)
  }
  return all
}

/**
 * Microseconds from the capture on, by a wall clock that counts whole milliseconds: half of one is what its rounding takes away
 * on average.
 */
export const sinceCapture = (capturedAt: Millis, now: Millis): number => (now + 0.5 - capturedAt) * 1000
