/** Branded units and ids: plain numbers and strings that cannot be mixed up. Made at the edge, checked once. */
import { FramelogError } from './errors.ts'

declare const brand: unique symbol
type Branded<Base, Name extends string> = Base & { readonly [brand]: Name }

/** Microseconds: presentation and decode times, durations. A safe integer; may be negative. */
export type Micros = Branded<number, 'Micros'>
/** Milliseconds: wall clock since the Unix epoch, or a span of time. */
export type Millis = Branded<number, 'Millis'>
/** Where a record stands in its topic: 0, 1, 2 … A safe integer. */
export type Offset = Branded<number, 'Offset'>
/** Id of a broadcast: `[a-z0-9][a-z0-9-]{0,62}`. */
export type BroadcastId = Branded<string, 'BroadcastId'>
/** Name of a track within its broadcast: `[a-z0-9][a-z0-9-]{0,31}`. */
export type TrackName = Branded<string, 'TrackName'>

const broadcastIdPattern = /^[a-z0-9][a-z0-9-]{0,62}$/
const trackNamePattern = /^[a-z0-9][a-z0-9-]{0,31}$/

export const isBroadcastId = (text: unknown): text is BroadcastId =>
  typeof text === 'string' && broadcastIdPattern.test(text)

export const isTrackName = (text: unknown): text is TrackName =>
  typeof text === 'string' && trackNamePattern.test(text)

/** @throws FramelogError BAD_BROADCAST_ID */
export function broadcastId(text: string): BroadcastId {
  if (isBroadcastId(text)) return text
  throw new FramelogError('BAD_BROADCAST_ID', `${quote(text)} is not a broadcast id`)
}

/** @throws FramelogError BAD_TRACK_NAME */
export function trackName(text: string): TrackName {
  if (isTrackName(text)) return text
  throw new FramelogError('BAD_TRACK_NAME', `${quote(text)} is not a track name`)
}

export const micros = (n: number): Micros => Math.round(n) as Micros
export const millis = (n: number): Millis => n as Millis
export const offset = (n: number): Offset => n as Offset

/** Shows untrusted text in a message: quoted, escaped, at most 80 characters. */
export const quote = (text: string): string =>
  JSON.stringify(text.length > 80 ? `${text.slice(0, 80)}…` : text)
