/** Builds a store anew from the records that are left in a damaged one: of each topic the longest run without a hole. */
import { decodeStored, encodeMark, offsetOfKey, recordKey, timestampOfStored } from './layout.ts'
import { Pace } from './pace.ts'
import { PageFile } from './pages.ts'
import { Places } from './places.ts'
import { type Found, readIntact, scan } from './salvage.ts'
import { markStep, TopicSizes } from './sizes.ts'
import type { KnownTopic, State } from './state.ts'
import { Store } from './store.ts'

/** Bytes of records that one commit takes. */
const batchBytes = 1024 * 1024

export interface Rebuilt {
  readonly kept: number
  /** Whole records that are not part of what is kept. */
  readonly left: number
  readonly topics: number
}

/** @throws FramelogError LOG_FULL; what was built so far is then to be removed */
export async function rebuild(
  dir: string,
  path: string,
  target: string,
  state: State | undefined,
  warn: (line: string) => void,
): Promise<Rebuilt> {
  using pages = new PageFile(path)
  const pace = (what: string): Pace =>
    new Pace(pages.size, part => warn(`${part} % of the damaged store in ${dir} are ${what}`))
  const found = await scan(pages, pace('searched for records'))
  const [choosing, copying] = [pace('read'), pace('written anew')]
  const topics = topicsOf(found, state)
  const last = Math.max(state?.last ?? 0, found.last)
  const store = new Store(dir, target, 'commit')
  let kept = 0
  let left = 0
  try {
    await store.write(store.makeRoom(topics.length + 1, 1024 * (topics.length + 1)), () => {
      store.topics.put('#last', last)
      for (const { name, stored } of topics) store.topics.put(`/${name}`, stored)
    })
    for (const topic of topics) {
      const places = found.places.get(topic.stored.number) ?? new Places()
      places.tidy()
      const choice = topic.stored.compact
        ? await newestOfKeys(pages, topic, places, choosing)
        : await longestRun(pages, topic, places, choosing)
      await copy(pages, store, topic, places, choice.indexes, copying)
      kept += choice.indexes.length
      left += choice.left
    }
  } finally {
    await store.close()
  }
  return { kept, left, topics: topics.length }
}

/** What is known beside the store counts; of what it does not know only topics that are newer than it. */
function topicsOf(found: Found, state: State | undefined): readonly KnownTopic[] {
  if (state === undefined) return found.topics
  const newer = found.topics.filter(({ stored }) => stored.number > state.last)
  const names = new Set(newer.map(({ name }) => name))
  return [...state.topics.filter(({ name }) => !names.has(name)), ...newer]
}

interface Choice {
  /** Of places, in the order of their offsets. */
  readonly indexes: readonly number[]
  readonly left: number
}

async function longestRun(pages: PageFile, topic: KnownTopic, places: Places, pace: Pace): Promise<Choice> {
  let best: number[] = []
  let run: number[] = []
  let whole = 0
  let next = -1
  for (const { index, offset, bytes } of intact(pages, topic, places)) {
    pace.add(bytes.length)
    if (pace.isDue) await pace.turn()
    whole += 1
    if (offset !== next) run = []
    run.push(index)
    next = offset + 1
    if (run.length >= best.length) best = run
  }
  return { indexes: best, left: whole - best.length }
}

async function newestOfKeys(pages: PageFile, topic: KnownTopic, places: Places, pace: Pace): Promise<Choice> {
  const newest = new Map<string, number>()
  for (const { index, offset, bytes } of intact(pages, topic, places)) {
    pace.add(bytes.length)
    if (pace.isDue) await pace.turn()
    const { key } = decodeStored(bytes, offsetOfKey(recordKey(topic.stored.number, offset)))
    newest.set(key, index)
  }
  return { indexes: [...newest.values()].sort((a, b) => a - b), left: 0 }
}

/** The records from the topic's first offset on that are as they were written, one for each offset. */
function* intact(
  pages: PageFile,
  { stored, first }: KnownTopic,
  places: Places,
): Generator<{ index: number; offset: number; bytes: Buffer }> {
  let done = -1
  for (let index = 0; index < places.count; index++) {
    const { offset } = places.at(index)
    if (offset < first || offset === done) continue
    const bytes = readIntact(pages, stored.number, places, index)
    if (bytes === undefined) continue
    done = offset
    yield { index, offset, bytes }
  }
}

async function copy(
  pages: PageFile,
  store: Store,
  { stored }: KnownTopic,
  places: Places,
  indexes: readonly number[],
  pace: Pace,
): Promise<void> {
  const { number, compact } = stored
  const sizes = new TopicSizes(markStep(stored.retentionBytes))
  let batch: { key: Buffer; value: Buffer }[] = []
  let bytes = 0
  const flush = async (): Promise<void> => {
    const records = batch
    batch = []
    await store.write(store.makeRoom(records.length, bytes), () => {
      for (const { key, value } of records) {
        store.records.put(key, value)
        if (compact) continue
        const mark = sizes.count(offsetOfKey(key), value.byteLength, timestampOfStored(value))
        if (mark !== undefined) store.marks.put(...encodeMark(number, mark))
      }
    })
    bytes = 0
  }
  for (const index of indexes) {
    const value = readIntact(pages, number, places, index)
    if (value === undefined) throw new Error('The damaged store changes while it is read')
    batch.push({ key: recordKey(number, places.at(index).offset), value })
    bytes += value.byteLength
    pace.add(value.byteLength)
    if (pace.isDue) await pace.turn()
    if (bytes >= batchBytes) await flush()
  }
  if (batch.length > 0) await flush()
}
