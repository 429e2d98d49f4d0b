/**
 * Messages between page and gateway, one per binary WebSocket message; `docs/wire-protocol.md` is the same in
 * words. The first byte is the type. Frames and timed data are binary from end to end; everything else is UTF-8 JSON.
 * A type that this version does not know decodes as `unknown`: receivers count it and go on.
 */
import * as v from 'valibot'
import { ByteReader, ByteWriter, OutOfBytes } from '../core/bytes.ts'
import { decodeText, encodeText } from '../core/text.ts'
import { FramelogError } from '../errors.ts'
import { type Catalog, checkCatalog, checkVideoTracks, type VideoTrack } from '../media/catalog.ts'
import type { NumberedFrame } from '../media/frame.ts'
import { type HopName, type Hops, hopNames } from '../media/hops.ts'
import { isDataTrackName, type TimedData, timedDataLimits } from '../media/timed-data.ts'
import { isTrackName, type Micros, type Millis, type Offset } from '../units.ts'

export const protocolVersion = 1
/** WebSocket subprotocol that both sides name (RFC 6455 section 1.9). */
export const subprotocol = 'framelog.1'

export const messageLimits = {
  /** Bytes of one message of any type but frame. */
  control: 128 * 1024,
  /** Bytes of one frame message. */
  frame: 8 * 1024 * 1024,
  /** Bytes past which a bundle takes no further message. */
  bundle: 1024 * 1024,
} as const

export const types = {
  hello: 1,
  welcome: 2,
  catalog: 3,
  frame: 4,
  ack: 5,
  state: 6,
  gap: 7,
  position: 8,
  ping: 9,
  pong: 10,
  end: 11,
  error: 12,
  bundle: 13,
  stall: 14,
  gateways: 15,
  place: 16,
  seek: 17,
  pause: 18,
  span: 19,
  data: 20,
  rendition: 21,
} as const

const flags = { keyframe: 1, duration: 2, decodeTimestamp: 4, capturedAt: 8, relayed: 16, hops: 32 } as const
const dataFlags = { moment: 1, duration: 2, relayed: 4 } as const

const shortText = v.pipe(v.string(), v.maxLength(1024))
const secret = v.pipe(v.string(), v.minLength(16), v.maxLength(128))
const integer = v.pipe(v.number(), v.safeInteger())
const count = v.pipe(v.number(), v.safeInteger(), v.minValue(0))
const sessionPattern = /^[a-z0-9]{8}$/
const session = v.pipe(v.string(), v.regex(sessionPattern))
const position = v.pipe(v.string(), v.maxLength(64))
const broadcastState = v.picklist(['waiting', 'live', 'interrupted', 'ended'])

/** What a broadcast is doing: no frames yet, on air, its publisher is gone for the moment, over. */
export type BroadcastState = v.InferOutput<typeof broadcastState>

export const deliveries = ['prompt', 'gathered'] as const
const delivery = v.picklist(deliveries)

/** What a viewer may ask for: the lowest lag, or the lowest cost. */
export type Delivery = v.InferOutput<typeof delivery>

const schemas = {
  /** The first message on each socket. */
  hello: v.variant('role', [
    v.looseObject({
      role: v.literal('publish'),
      version: count,
      token: v.optional(shortText),
      /** Proves on a later connection that it is the same publisher. */
      resume: secret,
      /** The session to go on with, where the page still holds its unacknowledged frames. */
      session: v.optional(session),
    }),
    v.looseObject({
      role: v.literal('watch'),
      version: count,
      token: v.optional(shortText),
      /** `live`, `start`, `-30s`, an ISO 8601 time, or `@` and an offset. */
      from: position,
      /** Id of the topic that an offset is of, as a place told it: without it, of whichever is there. */
      topic: v.optional(shortText),
      /** As soon as it is there, or gathered to few writes; without it, as the gateway has time. */
      delivery: v.optional(delivery),
      /** The rendition that it wants, as a `rendition` message has it; without it, it is sent all tracks. */
      rendition: v.optional(shortText),
    }),
    v.looseObject({ role: v.literal('data'), version: count, token: v.optional(shortText) }),
  ]),
  /** The gateway's answer to hello. */
  welcome: v.variant('role', [
    v.looseObject({
      role: v.literal('publish'),
      version: count,
      /** The gateway's wall clock, milliseconds. */
      time: count,
      gateway: shortText,
      session,
      /** Number of the first frame that the gateway expects; everything below is in the log. */
      next: count,
      /** Largest data of one frame, in bytes. */
      maxFrameBytes: count,
      /** Largest data of one data message; absent where the gateway takes none. */
      maxDataBytes: v.optional(count),
    }),
    v.looseObject({
      role: v.literal('watch'),
      version: count,
      time: count,
      gateway: shortText,
      state: broadcastState,
    }),
    v.looseObject({
      role: v.literal('data'),
      version: count,
      time: count,
      gateway: shortText,
      /** Largest data of one message, in bytes. */
      maxDataBytes: count,
    }),
  ]),
  /** All numbers up to this one are in the log and count. Of data: how many of this connection's are, less one. */
  ack: v.looseObject({ sequence: count }),
  state: v.looseObject({ state: broadcastState, reason: v.optional(shortText) }),
  /** Frames that a viewer will not get; to a publisher, with their numbers: that will never be in the log. */
  gap: v.looseObject({
    frames: count,
    reason: shortText,
    from: v.optional(count),
    to: v.optional(count),
    /** To a publisher: the log takes no frames so large. */
    tooLarge: v.optional(v.boolean()),
  }),
  /** Whether the log keeps a publisher waiting: its frames are held meanwhile. */
  stall: v.looseObject({ stalled: v.boolean() }),
  /** Other gateways of the same log that a page may go on with. */
  gateways: v.looseObject({
    /** Origins, in the order in which they are to be tried. */
    urls: v.pipe(v.array(v.pipe(v.string(), v.maxLength(256))), v.maxLength(64)),
    /** This one is about to stop: go on with another one now. */
    leave: v.optional(v.boolean()),
  }),
  /** The media time that a viewer shows: a replay runs ahead of it by no more than a window. */
  position: v.looseObject({ session, timestamp: integer }),
  /** What a viewer is sent from here on. */
  place: v.looseObject({
    /** Of the seek that it answers; 0 for what hello asked for. */
    seek: count,
    /** Whether it is what is on now, as it comes. */
    live: v.boolean(),
    /** Id of the topic that offsets are of, the same on every gateway. */
    topic: v.optional(shortText),
    /** Frames before it are only to be decoded. */
    offset: v.optional(count),
  }),
  /** A viewer goes elsewhere. */
  seek: v.looseObject({
    /** 1, 2, 3 …: 0 is what hello asked for. */
    seek: v.pipe(count, v.minValue(1)),
    from: position,
    /** To the keyframe before the position, or behind it. */
    step: v.optional(v.picklist([-1, 0, 1])),
  }),
  /** From when to when a viewer may seek: wall clock of the gateways, milliseconds. */
  span: v.looseObject({
    first: count,
    last: count,
    /** From when to when it was over, in between. */
    gaps: v.optional(v.pipe(v.array(v.tuple([count, count])), v.maxLength(256))),
    /** Whether the broadcast is over: it does not grow. */
    over: v.optional(v.boolean()),
  }),
  /** A viewer takes nothing more until it seeks. */
  pause: v.looseObject({}),
  /**
   * A viewer wants another of the tracks that show the same, from the next GOP on.
   * A name that none of them has is the main one's.
   */
  rendition: v.looseObject({ track: shortText }),
  ping: v.looseObject({ sent: v.number() }),
  /** `sent` as it came; the gateway's wall clock when it answered. */
  pong: v.looseObject({ sent: v.number(), time: count }),
  /** No frame follows, unless a catalog comes first. */
  end: v.looseObject({ reason: shortText }),
  error: v.looseObject({ code: shortText, message: shortText, advice: shortText, retryable: v.boolean() }),
} as const

type Schemas = typeof schemas
type JsonMessage = {
  [Type in keyof Schemas]: { readonly type: Type } & v.InferOutput<Schemas[Type]>
}[keyof Schemas]

export interface CatalogMessage {
  readonly type: 'catalog'
  /** From the gateway: the session that the frames after it belong to; media clocks differ between sessions. */
  readonly session?: string
  readonly catalog: Catalog
  /**
   * From the gateway, where the viewer is sent one of several renditions: all of them. The catalog names the one alone, and frames
   * of others are missing in the numbers: what else is missing is told by gaps.
   */
  readonly renditions?: readonly VideoTrack[]
}

/** Where something stands in the log. */
export interface Relayed {
  readonly offset: Offset
  /** The record's timestamp: the gateway's wall clock when it received it. */
  readonly time: Millis
}

export interface FrameMessage {
  readonly type: 'frame'
  readonly frame: NumberedFrame
  /** From the gateway. */
  readonly relayed?: Relayed
}

export interface DataMessage {
  readonly type: 'data'
  readonly record: TimedData
  /** From the gateway, which also gives each record its moment. */
  readonly relayed?: Relayed
}

/** Several messages in one: a joining viewer's GOP costs its page one event, not hundreds. */
export interface BundleMessage {
  readonly type: 'bundle'
  /** Views of the bundle's bytes; `decodeMessage` takes each. */
  readonly parts: readonly Uint8Array[]
}

export interface UnknownMessage {
  readonly type: 'unknown'
  readonly code: number
  readonly bytes: Uint8Array
}

export type KnownMessage = JsonMessage | CatalogMessage | FrameMessage | DataMessage
export type Message = KnownMessage | BundleMessage | UnknownMessage
export type MessageOf<Type extends Message['type']> = Extract<Message, { type: Type }>

type TypeName = KnownMessage['type'] | 'bundle'

const namesByCode = new Map<number, TypeName>(
  Object.entries(types).map(([name, code]) => [code, name as TypeName]),
)

/** @param room bytes that are left free before the message. @returns owned bytes, ready to send */
export function encodeMessage(message: KnownMessage, room = 0): Uint8Array {
  if (message.type === 'frame') return encodeFrame(message, room)
  if (message.type === 'data') return encodeData(message, room)
  const { type, ...body } = message
  const json = encodeText(JSON.stringify(body))
  return new ByteWriter(room + 1 + json.byteLength).skip(room).u8(types[type]).bytes(json).finish()
}

/**
 * @param bytes of one WebSocket message; a frame's data is a view of them
 * @throws FramelogError BAD_MESSAGE, BAD_CATALOG, MESSAGE_TOO_LARGE, FRAME_TOO_LARGE
 */
export function decodeMessage(bytes: Uint8Array): Message {
  const code = bytes[0]
  if (code === undefined) throw new FramelogError('BAD_MESSAGE', 'An empty message')
  if (code === types.frame) return decodeFrame(bytes)
  if (code === types.data) return decodeData(bytes)
  if (code === types.bundle) return decodeBundle(bytes)
  if (bytes.byteLength > messageLimits.control) {
    throw new FramelogError(
      'MESSAGE_TOO_LARGE',
      `A message of ${bytes.byteLength} bytes; the limit is ${messageLimits.control}`,
    )
  }
  const type = namesByCode.get(code)
  if (type === undefined || type === 'frame' || type === 'data' || type === 'bundle')
    return { type: 'unknown', code, bytes: bytes.subarray(1) }
  const body = parseJson(bytes.subarray(1), type)
  if (type === 'catalog') return decodeCatalog(body)
  const parsed = v.safeParse(schemas[type], body)
  if (!parsed.success) throw badMessage(type, parsed.issues[0])
  return { type, ...parsed.output } as JsonMessage
}

const catalogBody = v.looseObject({
  session: v.optional(session),
  catalog: v.unknown(),
  renditions: v.optional(v.unknown()),
})

function decodeCatalog(body: unknown): CatalogMessage {
  const parsed = v.safeParse(catalogBody, body)
  if (!parsed.success) throw badMessage('catalog', parsed.issues[0])
  const { output } = parsed
  return {
    type: 'catalog',
    ...(output.session === undefined ? {} : { session: output.session }),
    catalog: checkCatalog(output.catalog),
    ...(output.renditions === undefined ? {} : { renditions: checkVideoTracks(output.renditions) }),
  }
}

/*
 * frame = type u8, flags u8, length of the track's name u8, the name, number i64, timestamp i64,
 *         [duration i64] [decode timestamp i64] [captured at i64] [offset i64, record's time i64]
 *         [which hops u8, each i32], data
 */
function encodeFrame({ frame, relayed }: FrameMessage, room: number): Uint8Array {
  const { track, duration, decodeTimestamp, capturedAt, hops, data } = frame
  let bits = frame.keyframe ? flags.keyframe : 0
  let length = 3 + track.length + 16 + data.byteLength
  if (duration !== undefined) [bits, length] = [bits | flags.duration, length + 8]
  if (decodeTimestamp !== undefined) [bits, length] = [bits | flags.decodeTimestamp, length + 8]
  if (capturedAt !== undefined) [bits, length] = [bits | flags.capturedAt, length + 8]
  if (relayed !== undefined) [bits, length] = [bits | flags.relayed, length + 16]
  const known = hops === undefined ? [] : hopNames.filter(name => hops[name] !== undefined)
  if (known.length > 0) [bits, length] = [bits | flags.hops, length + 1 + 4 * known.length]

  const writer = new ByteWriter(room + length).skip(room)
  writer.u8(types.frame).u8(bits).u8(track.length).latin1(track)
  writer.i64(frame.sequence).i64(frame.timestamp)
  if (duration !== undefined) writer.i64(duration)
  if (decodeTimestamp !== undefined) writer.i64(decodeTimestamp)
  if (capturedAt !== undefined) writer.i64(Math.round(capturedAt))
  if (relayed !== undefined) writer.i64(relayed.offset).i64(relayed.time)
  if (known.length > 0) writer.u8(known.reduce((mask, name) => mask | hopBit(name), 0))
  for (const name of known) writer.i32(hops?.[name] ?? 0)
  return writer.bytes(data).finish()
}

const hopBit = (name: HopName): number => 1 << hopNames.indexOf(name)

/** Of hops that a later version adds there is the time, and no name. */
function decodeHops(reader: ByteReader): { hops: Hops } {
  const mask = reader.u8()
  const hops: { [Name in HopName]?: Micros } = {}
  for (let bit = 0; bit < 8; bit++) {
    if ((mask & (1 << bit)) === 0) continue
    const at = reader.i32() as Micros
    const name = hopNames[bit]
    if (name !== undefined) hops[name] = at
  }
  return { hops }
}

function decodeFrame(bytes: Uint8Array): FrameMessage {
  if (bytes.byteLength > messageLimits.frame) {
    throw new FramelogError(
      'FRAME_TOO_LARGE',
      `A frame of ${bytes.byteLength} bytes; the limit is ${messageLimits.frame}`,
    )
  }
  try {
    const reader = new ByteReader(bytes)
    reader.u8()
    const bits = reader.u8()
    const track = reader.latin1(reader.u8())
    if (!isTrackName(track)) throw new FramelogError('BAD_TRACK_NAME', 'A frame without the name of a track')
    const sequence = reader.i64()
    if (sequence < 0) throw new FramelogError('BAD_MESSAGE', 'A frame with a negative number')
    const timestamp = reader.i64() as Micros
    const duration = bits & flags.duration ? { duration: reader.i64() as Micros } : {}
    if (duration.duration !== undefined && duration.duration < 0) {
      throw new FramelogError('BAD_MESSAGE', 'A frame with a negative duration')
    }
    const decodeTimestamp = bits & flags.decodeTimestamp ? { decodeTimestamp: reader.i64() as Micros } : {}
    const capturedAt = bits & flags.capturedAt ? { capturedAt: reader.i64() as Millis } : {}
    const relayed =
      bits & flags.relayed
        ? { relayed: { offset: reader.i64() as Offset, time: reader.i64() as Millis } }
        : {}
    const hops = bits & flags.hops ? decodeHops(reader) : {}
    const keyframe = (bits & flags.keyframe) !== 0
    const data = reader.rest()
    if (data.byteLength === 0) throw new FramelogError('BAD_MESSAGE', 'A frame without data')
    return {
      type: 'frame',
      frame: {
        track,
        sequence,
        timestamp,
        ...duration,
        ...decodeTimestamp,
        ...capturedAt,
        ...hops,
        keyframe,
        data,
      },
      ...relayed,
    }
  } catch (error) {
    if (error instanceof OutOfBytes) {
      throw new FramelogError('BAD_MESSAGE', `A frame that ends early: ${error.message}`, { cause: error })
    }
    throw error
  }
}

/*
 * data = type u8, flags u8, length of the track's name u8, the name, [session 8 bytes, timestamp i64] [duration i64]
 *        [offset i64, record's time i64], data
 */
function encodeData({ record, relayed }: DataMessage, room: number): Uint8Array {
  const { track, moment, duration, data } = record
  let bits = 0
  let length = 3 + track.length + data.byteLength
  if (moment !== undefined) [bits, length] = [bits | dataFlags.moment, length + 16]
  if (duration !== undefined) [bits, length] = [bits | dataFlags.duration, length + 8]
  if (relayed !== undefined) [bits, length] = [bits | dataFlags.relayed, length + 16]

  const writer = new ByteWriter(room + length).skip(room)
  writer.u8(types.data).u8(bits).u8(track.length).latin1(track)
  if (moment !== undefined) writer.latin1(moment.session).i64(moment.timestamp)
  if (duration !== undefined) writer.i64(duration)
  if (relayed !== undefined) writer.i64(relayed.offset).i64(relayed.time)
  return writer.bytes(data).finish()
}

function decodeData(bytes: Uint8Array): DataMessage {
  try {
    const reader = new ByteReader(bytes)
    reader.u8()
    const bits = reader.u8()
    const track = reader.latin1(reader.u8())
    if (!isDataTrackName(track))
      throw new FramelogError('BAD_TRACK_NAME', 'Data whose track does not begin with meta-')
    const moment =
      bits & dataFlags.moment
        ? { moment: { session: reader.latin1(8), timestamp: reader.i64() as Micros } }
        : {}
    if (moment.moment !== undefined && !sessionPattern.test(moment.moment.session))
      throw new FramelogError('BAD_MESSAGE', 'Data of a session that is none')
    const duration = bits & dataFlags.duration ? { duration: reader.i64() as Micros } : {}
    if (duration.duration !== undefined && duration.duration < 0)
      throw new FramelogError('BAD_MESSAGE', 'Data with a negative duration')
    const relayed =
      bits & dataFlags.relayed
        ? { relayed: { offset: reader.i64() as Offset, time: reader.i64() as Millis } }
        : {}
    const data = reader.rest()
    if (data.byteLength === 0) throw new FramelogError('BAD_MESSAGE', 'Data without any')
    if (data.byteLength > timedDataLimits.bytes) {
      const message = `Data of ${data.byteLength} bytes; the limit is ${timedDataLimits.bytes}`
      throw new FramelogError('MESSAGE_TOO_LARGE', message)
    }
    return { type: 'data', record: { track, ...moment, ...duration, data }, ...relayed }
  } catch (error) {
    if (error instanceof OutOfBytes)
      throw new FramelogError('BAD_MESSAGE', `Data that ends early: ${error.message}`, { cause: error })
    throw error
  }
}

/*
 * bundle = type u8, then for each message its length u32 and its bytes
 */

/** @param messages encoded, none a bundle; borrowed. @returns as few bundles as their limit allows; one message stays itself */
export function encodeBundles(messages: readonly Uint8Array[]): Uint8Array[] {
  const bundles: Uint8Array[] = []
  let parts: Uint8Array[] = []
  let length = 1
  const close = (): void => {
    const [single] = parts
    if (parts.length === 1 && single !== undefined) bundles.push(single)
    else if (parts.length > 1) {
      const writer = new ByteWriter(length).u8(types.bundle)
      for (const part of parts) writer.u32(part.byteLength).bytes(part)
      bundles.push(writer.finish())
    }
    parts = []
    length = 1
  }
  for (const message of messages) {
    if (length + 4 + message.byteLength > messageLimits.bundle) close()
    parts.push(message)
    length += 4 + message.byteLength
  }
  close()
  return bundles
}

/** Whether a message is several. */
export const isBundle = (bytes: Uint8Array): boolean => bytes[0] === types.bundle

/** @throws FramelogError BAD_MESSAGE */
export function decodeBundle(bytes: Uint8Array): BundleMessage {
  const parts: Uint8Array[] = []
  try {
    const reader = new ByteReader(bytes)
    reader.u8()
    while (reader.remaining > 0) {
      const part = reader.bytes(reader.u32())
      if (part[0] === types.bundle) throw new FramelogError('BAD_MESSAGE', 'A bundle in a bundle')
      parts.push(part)
    }
  } catch (error) {
    if (error instanceof OutOfBytes)
      throw new FramelogError('BAD_MESSAGE', 'A bundle that ends early', { cause: error })
    throw error
  }
  return { type: 'bundle', parts }
}

function parseJson(bytes: Uint8Array, type: string): unknown {
  try {
    return JSON.parse(decodeText(bytes))
  } catch (cause) {
    throw new FramelogError('BAD_MESSAGE', `A ${type} message that is not JSON`, { cause })
  }
}

function badMessage(type: string, issue: v.BaseIssue<unknown>): FramelogError {
  const path = v.getDotPath(issue)
  return new FramelogError('BAD_MESSAGE', `A ${type} message whose ${path ?? 'body'} is not as described`)
}
