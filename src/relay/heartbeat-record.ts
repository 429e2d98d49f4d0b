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
  /** Characters of a gateway's name, of its host's, and of its address. */
  name: 64,
  host: 64,
  url: 256,
} as const

/** Where pages reach a gateway. */
export interface GatewayAddress {
  /** Origin, `http://…` or `https://…`, without a path. */
  readonly url: string
  /** The machine, where the address says something on that machine only. */
  readonly host?: string
}

/** What a gateway says of itself. */
export interface Snapshot {
  /** Broadcasts that are published there. */
  readonly holds: Iterable<BroadcastId>
  /** Viewers by broadcast, where there are any. */
  readonly viewers: Iterable<readonly [BroadcastId, number]>
  readonly address?: GatewayAddress | undefined
  /** It is about to stop: nobody should go there. */
  readonly draining?: boolean
}

export interface Beat {
  readonly gateway: string
  /** Wall clock of that gateway at its start. */
  readonly startedAt: Millis
  /** It stops, and comes back no more under this name. */
  readonly leaving: boolean
  /** It is about to stop: nobody should go there. */
  readonly draining: boolean
  readonly address: GatewayAddress | undefined
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
  { holds, viewers, address, draining = false }: Snapshot,
): Uint8Array[] {
  const parts: Part[] = []
  let part: Part = { holds: [], viewers: {} }
  const self = { ...address, ...(draining ? { draining } : {}) }
  // Braces, names of the fields, and numbers.
  const overhead = 160 + JSON.stringify(self).length
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
    return encodeText(JSON.stringify({ startedAt, snapshot, ...self, ...place, ...withoutEmpty(each) }))
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
    draining: fields.draining === true,
    address: addressOf(fields),
    snapshot: snapshot as number,
    part: part as number,
    parts: parts as number,
    holds: holds.filter(isBroadcastId),
    viewers: Object.entries(viewers).filter(
      (entry): entry is [BroadcastId, number] => isBroadcastId(entry[0]) && isCount(entry[1]),
    ),
  }
}

/** Undefined where there is none, or what is there is no origin: pages would be sent anywhere. */
function addressOf({ url, host }: Record<string, unknown>): GatewayAddress | undefined {
  if (typeof url !== 'string' || url.length > beatLimits.url || !isOrigin(url)) return undefined
  if (host === undefined) return { url }
  return typeof host === 'string' && host.length <= beatLimits.host ? { url, host } : undefined
}

/** Whether it is `http://` or `https://` with a host, perhaps a port, and no more. */
export const isOrigin = (text: string): boolean =>
  /^https?:/.test(text) && URL.canParse(text) && new URL(text).origin === text

const isCount = (value: unknown): value is number => Number.isSafeInteger(value) && Number(value) >= 0
