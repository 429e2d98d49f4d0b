/** What the process must know of a topic, read from the store at a start. */
import type { Database } from 'lmdb'
import { FramelogError } from '../../errors.ts'
import {
  decodeIntact,
  decodeMark,
  encodeMark,
  markKey,
  offsetOfKey,
  recordKey,
  timestampOfStored,
} from './layout.ts'
import { type Mark, TopicSizes } from './sizes.ts'
import type { Store } from './store.ts'
import { EmbeddedTopic, type StoredTopic } from './topic.ts'

/** @param step bytes between two marks */
export function loadTopic(store: Store, name: string, stored: StoredTopic, step: number): EmbeddedTopic {
  const { number, compact } = stored
  const { first, next } = boundsOf(store.records, number)
  const sizes = compact ? new TopicSizes(step) : countSizes(store, number, first, next, step)
  const undo = async (from: number, to: number): Promise<void> => {
    await store.remove(store.records, recordKey(number, from), recordKey(number, to))
    await store.remove(store.marks, markKey(number, from), markKey(number, to))
  }
  const topic = new EmbeddedTopic({ name, id: stored.id }, stored, compact ? 0 : first, next, sizes, undo)
  if (compact) {
    for (const { key, value } of store.records.getRange({
      start: recordKey(number, 0),
      end: recordKey(number, next),
    })) {
      const { key: name, offset } = decodeIntact(key, Buffer.from(value))
      topic.keys.put(name, offset)
      topic.keys.settled(name, offset, true)
    }
  }
  return topic
}

function boundsOf(records: Database<Buffer, Buffer>, number: number): { first: number; next: number } {
  const start = recordKey(number, 0)
  const end = recordKey(number + 1, 0)
  let first = 0
  let next = 0
  for (const key of records.getKeys({ start, end, limit: 1 })) first = offsetOfKey(key)
  // A reverse range leaves its end out, and the record may be the one at offset 0.
  const before = recordKey(number - 1, Number.MAX_SAFE_INTEGER)
  for (const key of records.getKeys({ start: end, end: before, reverse: true, limit: 2 }))
    if (key.readUInt32BE(0) === number) next = Math.max(next, offsetOfKey(key) + 1)
  return { first, next }
}

/** Counts what lies behind the last mark; all of it, and marks it, where an older version wrote none or one is damaged. */
function countSizes(store: Store, number: number, first: number, next: number, step: number): TopicSizes {
  const sizes = new TopicSizes(step)
  const range = { start: markKey(number, 0), end: markKey(number, next) }
  const marks: Mark[] = []
  let isMarked = true
  for (const { key, value } of store.marks.getRange(range)) {
    const mark = decodeMark(key, value)
    if (mark === undefined) isMarked = false
    else marks.push(mark)
  }
  if ((marks[0]?.offset ?? next) > first) isMarked = false
  if (isMarked) for (const mark of marks) sizes.restore(mark)
  const from = Math.max(first, isMarked ? (marks.at(-1)?.offset ?? first) : first)
  const missing: Mark[] = []
  for (const { key, value } of store.records.getRange({
    start: recordKey(number, from),
    end: recordKey(number, next),
  })) {
    const mark = sizes.count(offsetOfKey(key), value.byteLength, timestampOfStored(value))
    sizes.settled(mark, value.byteLength, true)
    if (mark !== undefined) missing.push(mark)
  }
  if (missing.length > 0) storeMarks(store, number, missing, isMarked)
  sizes.forget(first, next)
  return sizes
}

/** On a full disk they are counted again at the next start. */
function storeMarks(store: Store, number: number, marks: readonly Mark[], keepsOthers: boolean): void {
  const all = { start: markKey(number, 0), end: markKey(number + 1, 0) }
  const others = keepsOthers ? [] : [...store.marks.getKeys(all)]
  try {
    store.writeNow(marks.length + others.length, 0, () => {
      for (const key of others) store.marks.removeSync(key)
      for (const mark of marks) store.marks.putSync(...encodeMark(number, mark))
    })
  } catch (error) {
    if (!(error instanceof FramelogError && error.code === 'LOG_FULL')) throw error
  }
}
