/** What must hold after two gateways have fought for a broadcast, whoever reads it and however. */
import assert from 'node:assert/strict'
import type { Log, LogRecord } from '../../src/log/log.ts'
import { floorOf, ReaderRule } from '../../src/log/reader-rule.ts'
import { decodeRecord } from '../../src/log/record.ts'
import { offset } from '../../src/units.ts'
import { contentOf, type Fight, type SeenAt } from './fight.ts'

/** All records of a topic that was not compacted. */
export async function readAll(log: Log, topicName: string): Promise<LogRecord[]> {
  const topic = (await log.find(topicName)) ?? assert.fail(`no topic ${topicName}`)
  const all: LogRecord[] = []
  for (let at = offset(0); ; ) {
    const { records, next, end } = await log.read(topic, at, 1024 * 1024)
    all.push(...records)
    if (next >= end) return all
    at = next
  }
}

/** By the code that gateways use. @param floor as `ReaderRule` takes it */
export function byRule(records: readonly LogRecord[], floor?: number): { seen: SeenAt[]; refused: number } {
  const rule = new ReaderRule(floor === undefined ? undefined : offset(floor))
  const seen: SeenAt[] = []
  let refused = 0
  for (const record of records) {
    const entry = decodeRecord(record)
    const verdict = rule.judge(record.offset, entry)
    if (verdict !== 'accepted') refused += 1
    else if (entry.kind === 'frame') {
      const { session, sequence, frame } = entry
      seen.push({ offset: record.offset, session, sequence, content: contentOf(frame.data) })
    }
  }
  return { seen, refused }
}

/** By the words of `docs/record-format.md`, and by nothing of the code. */
export function byWords(records: readonly LogRecord[]): SeenAt[] {
  const seen: SeenAt[] = []
  const counted = new Map<string, number>()
  let latest = -1
  let holder = ''
  for (const { offset: at, key, headers, value } of records) {
    const fields = Object.fromEntries(headers)
    if (fields.v !== '1') continue
    if (key === '.session') {
      latest = at
      holder = JSON.parse(Buffer.from(value).toString()).session
      continue
    }
    const epoch = Number(fields.e)
    if (epoch >= at || epoch < latest) continue
    if (epoch > latest) {
      latest = epoch
      holder = String(fields.s)
    }
    if (fields.s !== holder) continue
    if (key === '.gap') {
      const { from, to } = JSON.parse(Buffer.from(value).toString())
      if (from > (counted.get(holder) ?? -1)) counted.set(holder, to)
    }
    if (key.startsWith('.')) continue
    const sequence = Number(fields.n)
    if (sequence <= (counted.get(holder) ?? -1)) continue
    counted.set(holder, sequence)
    seen.push({ offset: at, session: holder, sequence, content: contentOf(value) })
  }
  return seen
}

/** @returns a line of figures */
export function checkFight(fight: Fight, records: readonly LogRecord[]): string {
  const { seen, refused } = byRule(records)
  assert.deepEqual(byWords(records), seen, 'the rule in words and in code')

  const claims = new Map<number, string>()
  const lastOf = new Map<string, number>()
  const byOffset = new Map(seen.map(each => [each.offset, each]))
  let latest = -1
  for (const record of records) {
    const entry = decodeRecord(record)
    if (entry.kind === 'session') {
      latest = record.offset
      claims.set(latest, entry.session)
    }
    const accepted = byOffset.get(record.offset)
    if (accepted === undefined || entry.kind !== 'frame') continue
    assert.equal(entry.epoch, latest, `the frame at ${record.offset} was written under the latest claim`)
    const last = lastOf.get(entry.session) ?? -1
    assert.ok(entry.sequence > last, `number ${entry.sequence} of ${entry.session} after ${last}`)
    lastOf.set(entry.session, entry.sequence)
  }

  const stored = new Map(seen.map(each => [`${each.session} ${each.sequence}`, each.content]))
  for (const { session, sequence, content } of fight.acknowledged) {
    assert.equal(stored.get(`${session} ${sequence}`), content, `acknowledged: ${session} ${sequence}`)
  }

  for (const [i, onlooker] of fight.onlookers.entries())
    sameAs(seen, onlooker.seen, `the viewer on gateway ${i}`)
  for (const [i, onlooker] of fight.late.entries()) {
    sameAs(seen, onlooker.seen, `the late viewer on gateway ${i}`)
    assert.equal(onlooker.seen[0]?.offset, seen[0]?.offset)
  }

  // Sent to the middle by a record's `start`, a reader sees the same as one who came from the beginning.
  for (let i = 0; i < seen.length; i += 97) {
    const { offset: at } = seen[i] as SeenAt
    const record = records.find(each => each.offset === at)
    const entry = record && decodeRecord(record)
    if (entry?.kind !== 'frame' || entry.start === undefined) continue
    const { start } = entry
    const rest = byRule(
      records.filter(each => each.offset >= start),
      floorOf(entry),
    )
    const wanted = (each: SeenAt): boolean => each.offset >= at
    assert.deepEqual(rest.seen.filter(wanted), seen.filter(wanted), `from the start that ${at} names`)
  }
  const { stops, takeovers, acknowledged } = fight
  return `${stops} stops, ${takeovers} takeovers, ${claims.size} claims, ${lastOf.size} sessions, ${seen.length} frames count, ${refused} records do not, ${acknowledged.length} acknowledged`
}

/** What a viewer saw is what counts, from the first to the last of it, without a hole. */
function sameAs(all: readonly SeenAt[], some: readonly SeenAt[], who: string): void {
  const from = all.findIndex(({ offset: at }) => at === some[0]?.offset)
  assert.ok(from >= 0, `${who} saw a first frame that counts`)
  assert.deepEqual(some, all.slice(from, from + some.length), who)
}
