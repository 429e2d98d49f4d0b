/**
 * Finds the records and topics of a store whose trees are broken, page by page. Records never change and a topic's
 * number is never used again, so a page that is no longer in use holds nothing wrong, only what may have been removed.
 *
 * Memory: the places of the records, 40 bytes each; pages are read in pieces.
 */
import { bigValue, isBigPage } from './check.ts'
import { isIntact, offsetOfKey, recordKey, topicOfKey } from './layout.ts'
import type { Pace } from './pace.ts'
import { headerSize, leafNodes, type Node, nodeFlags, type PageFile, pageFlags, pageHeader } from './pages.ts'
import { type Place, Places } from './places.ts'
import type { KnownTopic } from './state.ts'
import type { StoredTopic } from './topic.ts'

/** Bytes of pages read at once. */
const pieceBytes = 4 * 1024 * 1024
/** Of a record's key in the store. */
const keyBytes = 12
/** No record is longer. */
const longestValue = 512 * 1024 * 1024

export interface Found {
  readonly places: ReadonlyMap<number, Places>
  /** As the newest pages that hold them say. */
  readonly topics: readonly KnownTopic[]
  /** The highest number of a topic that was seen. */
  readonly last: number
}

interface TopicPage {
  readonly transaction: number
  readonly keys: readonly string[]
  readonly topics: ReadonlyMap<string, StoredTopic>
}

export async function scan(pages: PageFile, pace: Pace): Promise<Found> {
  const places = new Map<number, Places>()
  const topicPages: TopicPage[] = []
  for await (const leaves of pieces(pages, pace))
    for (const { number, page } of leaves) {
      const { keys, topics } = takeEntries(page, number, pages.pageSize, places)
      if (keys.length > 0) topicPages.push({ transaction: pageHeader(page).transaction, keys, topics })
    }
  const topics = newestTopics(topicPages)
  // A number that was ever seen is not given to another topic.
  const numbers = [
    ...places.keys(),
    ...topicPages.flatMap(page => [...page.topics.values()].map(each => each.number)),
  ]
  return { places, topics, last: numbers.reduce((a, b) => Math.max(a, b), 0) }
}

/** Adds the records of a leaf to the places. @returns its topics */
function takeEntries(
  page: Buffer,
  number: number,
  pageSize: number,
  places: Map<number, Places>,
): Pick<TopicPage, 'keys' | 'topics'> {
  const { transaction } = pageHeader(page)
  const keys: string[] = []
  const topics = new Map<string, StoredTopic>()
  for (const node of leafNodes(page) ?? []) {
    const entry = topicEntry(node)
    if (entry === undefined) {
      const position = number * pageSize + node.data.byteOffset - page.byteOffset
      const place = placeOf(node, position, transaction, pageSize)
      if (place !== undefined) placesOf(places, topicOfKey(node.key)).add(place)
      continue
    }
    keys.push(entry.key)
    if (typeof entry.value !== 'number') topics.set(entry.key.slice(1), entry.value)
  }
  return { keys, topics }
}

/** The leaves of a file, piece by piece. */
async function* pieces(pages: PageFile, pace: Pace): AsyncGenerator<{ number: number; page: Buffer }[]> {
  const { pageSize } = pages
  const perPiece = Math.floor(pieceBytes / pageSize)
  const whole = Math.floor(pages.size / pageSize)
  for (let from = 0; from < whole; from += perPiece) {
    const piece = pages.read(from * pageSize, Math.min(perPiece, whole - from) * pageSize)
    if (piece !== undefined) yield leavesOf(piece, from, pageSize)
    pace.add(perPiece * pageSize)
    if (pace.isDue) await pace.turn()
  }
}

function leavesOf(piece: Buffer, from: number, pageSize: number): { number: number; page: Buffer }[] {
  const leaves: { number: number; page: Buffer }[] = []
  for (let i = 0; i * pageSize < piece.length; i++) {
    const page = piece.subarray(i * pageSize, (i + 1) * pageSize)
    const header = pageHeader(page)
    if (header.page === from + i && header.flags === pageFlags.leaf) leaves.push({ number: from + i, page })
  }
  return leaves
}

function placesOf(all: Map<number, Places>, topic: number): Places {
  const places = all.get(topic) ?? new Places()
  all.set(topic, places)
  return places
}

/** @param position of the node's data in the file. @returns undefined where the node is no record that can be whole */
function placeOf(node: Node, position: number, transaction: number, pageSize: number): Place | undefined {
  const isRecord =
    node.key.length === keyBytes && (node.flags & nodeFlags.tree) === 0 && node.size <= longestValue
  if (!isRecord) return undefined
  const offset = offsetOfKey(node.key)
  if (node.flags & nodeFlags.big) {
    const { page, pages } = bigValue(node)
    return { offset, position: page * pageSize + headerSize, length: node.size, transaction, pages }
  }
  return isIntact(node.key, node.data)
    ? { offset, position, length: node.size, transaction, pages: 0 }
    : undefined
}

/**
 * The bytes of a record as they were written, from the first of its places that still has them.
 * @returns owned bytes
 */
export function readIntact(
  pages: PageFile,
  topic: number,
  places: Places,
  index: number,
): Buffer | undefined {
  const { offset, position, length, pages: run } = places.at(index)
  if (run > 0) {
    const page = (position - headerSize) / pages.pageSize
    const header = pages.read(position - headerSize, headerSize)
    if (header === undefined || run * pages.pageSize < headerSize + length || !isBigPage(header, page, run))
      return undefined
  }
  const bytes = pages.read(position, length)
  return bytes !== undefined && isIntact(recordKey(topic, offset), bytes) ? bytes : undefined
}

/** An entry of the tree of topics: a name behind a slash, or the count of all. */
function topicEntry({ key, data, flags }: Node): { key: string; value: StoredTopic | number } | undefined {
  const name = key.toString('utf8')
  if (flags !== 0 || (name !== '#last' && !name.startsWith('/'))) return undefined
  try {
    const value: unknown = JSON.parse(data.toString('utf8'))
    if (name === '#last') return typeof value === 'number' ? { key: name, value } : undefined
    return isStoredTopic(value) ? { key: name, value } : undefined
  } catch {
    return undefined
  }
}

const isStoredTopic = (value: unknown): value is StoredTopic =>
  typeof value === 'object' &&
  value !== null &&
  'id' in value &&
  typeof value.id === 'string' &&
  'number' in value &&
  Number.isSafeInteger(value.number) &&
  'compact' in value &&
  typeof value.compact === 'boolean'

/** A page says of all keys between its first and its last whether they were there when it was written. */
function newestTopics(found: readonly TopicPage[]): KnownTopic[] {
  const newest = [...found].sort((a, b) => b.transaction - a.transaction)
  const settled = new Map<string, KnownTopic>()
  const gone = new Set<string>()
  for (const [i, { topics }] of newest.entries()) {
    for (const [name, stored] of topics) {
      if (settled.has(name) || gone.has(name)) continue
      const key = `/${name}`
      const isGone = newest
        .slice(0, i)
        .some(({ keys }) => (keys[0] ?? '~') <= key && key <= (keys.at(-1) ?? ''))
      if (isGone) gone.add(name)
      else settled.set(name, { name, stored, first: 0 })
    }
  }
  return [...settled.values()]
}
