/** The load of the power tests: any record can be told from its topic's id and its offset. */
import { createHash } from 'node:crypto'
import type { NewRecord } from '../../src/log/log.ts'
import { millis } from '../../src/units.ts'

export const startTime = Date.now() - 60_000

/** A few bytes to some pages; most are like frames of a small picture. */
export function recordAt(topic: string, offset: number, time: number): NewRecord {
  const hash = createHash('sha256').update(`${topic} ${offset}`).digest()
  const kind = hash.readUInt8(0) % 16
  const bytes = kind === 0 ? 40_000 : kind < 8 ? 100 + hash.readUInt8(1) * 8 : 2000 + hash.readUInt8(1) * 20
  const value = Buffer.alloc(bytes)
  for (let at = 0; at < bytes; at += hash.length) hash.copy(value, at)
  value.writeUInt32LE(offset, 0)
  return { key: `k${offset % 7}`, value, headers: [['of', `${topic} ${offset}`]], timestamp: millis(time) }
}
