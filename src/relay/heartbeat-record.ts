/**
 * A gateway's heartbeat as records of the gateways' topic; `docs/record-format.md` is the same in words. The key is
 * the gateway's name. What a gateway holds and who watches there is a snapshot of one record where it fits, else of
 * several, numbered parts, that follow each other.
 */
import { decodeText, encodeText } from '../core/text.ts'
import type { LogRecord, NewRecord } from '../log/log.ts'
import { type BroadcastId, isBroadcastId, type Millis } from '../units.ts'

export const beatLimits = {
  /** Bytes of one record's value. */
  bytes: 64 * 1024,
  /** Records of one snapshot: room for all that a gateway may serve. What is beyond is left out. */
  parts: 128,
  /** Characters of a gateway's name. */
  name: 64,
} as const

/** What a gateway says of itself. */
export interface Snapshot {
  /** Broadcasts that are published there. */
  readonly holds: Iterable<BroadcastId>
  /** Viewers by broadcast, where there are any. */
  readonly viewers: Iterable<readonly [BroadcastId, number]>
}

export interface Beat {
  readonly gateway: string
  /** Wall clock of that gateway at its start. */
  readonly startedAt: Millis
  /** It stops, and comes back no more under this name. */
  readonly leaving: boolean
  readonly snapshot: number
  readonly part: number
  readonly parts: number
  readonly holds: readonly BroadcastId[]
  readonly viewers: readonly (readonly [BroadcastId, number])[]
}

interface Part {
  holds: BroadcastId[]
  viewers: Record<BroadcastId, number>
}

/** @returns the values of the records that tell a snapshot: one, or its parts in order */
export function encodeSnapshot(
  startedAt: Millis,
  snapshot: number,
  { holds, viewers }: Snapshot,
): Uint8Array[] {
  const parts: Part[] = []
  let part: Part = { holds: [], viewers: {} }
  // Braces, names of the fields, and numbers.
  const overhead = 160
  let bytes = overhead
  const room = (more: number): boolean => {
    if (bytes + more > beatLimits.bytes) {
      if (parts.length + 1 >= beatLimits.parts) return false
      parts.push(part)
      part = { holds: [], viewers: {} }
      bytes = overhead
    }
    bytes += more
    return true
  }
  for (const id of holds) if (room(id.length + 3)) part.holds.push(id)
  for (const [id, count] of viewers) if (count > 0 && room(id.length + 14)) part.viewers[id] = count
  parts.push(part)
  return parts.map((each, i) => {
    const place = parts.length === 1 ? {} : { part: i, parts: parts.length }
    return encodeText(JSON.stringify({ startedAt, snapshot, ...place, ...withoutEmpty(each) }))
  })
}

const withoutEmpty = ({ holds, viewers }: Part): Partial<Part> => ({
  ...(holds.length === 0 ? {} : { holds }),
  ...(Object.keys(viewers).length === 0 ? {} : { viewers }),
})

export const encodeGoodbye = (startedAt: Millis): Uint8Array =>
  encodeText(JSON.stringify({ startedAt, leaving: true }))

export const beatRecord = (gateway: string, value: Uint8Array, timestamp: Millis): NewRecord => ({
  key: gateway,
  value,
  headers: [['v', '1']],
  timestamp,
})

/** Never throws. @returns undefined for a record that is no heartbeat of this version */
export function decodeBeat({ key, value, headers }: LogRecord): Beat | undefined {
  const version = headers.find(([name]) => name === 'v')?.[1]
  if (version !== '1' || key === '' || key.length > beatLimits.name || value.byteLength > beatLimits.bytes)
    return undefined
  let fields: Record<string, unknown>
  try {
    fields = JSON.parse(decodeText(value)) as Record<string, unknown>
  } catch {
    return undefined
  }
  if (typeof fields !== 'object' || fields === null) return undefined
  const { startedAt, leaving, snapshot = 0, part = 0, parts = 1, holds = [], viewers = {} } = fields
  if (![startedAt, snapshot, part, parts].every(isCount)) return undefined
  if (Number(part) >= Number(parts) || Number(parts) > beatLimits.parts) return undefined
  if (!Array.isArray(holds) || typeof viewers !== 'object' || viewers === null) return undefined
  return {
    gateway: key,
    startedAt: startedAt as Millis,
    leaving: leaving === true,
    snapshot: snapshot as number,
    part: part as number,
    parts: parts as number,
    holds: holds.filter(isBroadcastId),
    viewers: Object.entries(viewers).filter(
      (entry): entry is [BroadcastId, number] => isBroadcastId(entry[0]) && isCount(entry[1]),
    ),
  }
}

const isCount = (value: unknown): value is number => Number.isSafeInteger(value) && Number(value) >= 0
