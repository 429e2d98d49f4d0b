/**
 * Whether what a meta block describes is in the file, whole: every page where it should be, of the kind and with the
 * keys that it should have, no page used twice, as many as were counted, every record as it was written. A page from
 * another time has other keys or counts, and a record that is not of its place fails its checksum.
 */
import { decodeMark, isIntact } from './layout.ts'
import type { Pace } from './pace.ts'
import {
  branchNodes,
  headerSize,
  leafNodes,
  type Meta,
  type Node,
  nodeFlags,
  type PageFile,
  pageFlags,
  pageHeader,
  type TreeRoot,
  treeRoot,
  u64,
} from './pages.ts'

/** Why a store cannot be trusted; it stays in this file. */
class Fault extends Error {}

/** LMDB's trees are never so deep. */
const deepest = 32

/** @returns undefined where all is sound, else what is wrong */
export async function findFault(pages: PageFile, meta: Meta, pace: Pace): Promise<string | undefined> {
  try {
    await new Check(pages, meta, pace).run()
    return undefined
  } catch (error) {
    if (error instanceof Fault) return error.message
    throw error
  }
}

/** Where a big value lies: its first page, and how many there are. */
export const bigValue = (node: Node): { page: number; pages: number; transaction: number } => ({
  page: u64(node.data, 0),
  transaction: u64(node.data, 8),
  pages: u64(node.data, 16),
})

interface Counts {
  branch: number
  leaf: number
  overflow: number
  entries: number
}

type Compare = (a: Buffer, b: Buffer) => number

const byBytes: Compare = (a, b) => Buffer.compare(a, b)
const byNumber: Compare = (a, b) => u64(a, 0) - u64(b, 0)

class Check {
  readonly #pages: PageFile
  readonly #meta: Meta
  readonly #pace: Pace
  /** A bit for each page in use. */
  readonly #used: Uint8Array

  constructor(pages: PageFile, meta: Meta, pace: Pace) {
    this.#pages = pages
    this.#pace = pace
    this.#meta = meta
    if (meta.lastPage > 2 ** 36) throw new Fault(`${meta.lastPage} pages`)
    this.#used = new Uint8Array(Math.ceil((meta.lastPage + 1) / 8))
  }

  async run(): Promise<void> {
    const named: Node[] = []
    await this.#tree(this.#meta.main, byBytes, node => {
      named.push(node)
    })
    for (const node of named) await this.#named(node)
    const free: Buffer[] = []
    await this.#tree(this.#meta.free, byNumber, node => {
      free.push(this.#value(node))
    })
    for (const list of free) this.#freePages(list)
  }

  async #named(node: Node): Promise<void> {
    if ((node.flags & nodeFlags.tree) === 0 || node.data.length < 48)
      throw new Fault('no tree in the main tree')
    const name = node.key.toString('latin1').replace('\0', '')
    await this.#tree(treeRoot(node.data, 0), byBytes, entry => {
      const value = this.#value(entry)
      if (name === 'records' && (entry.key.length !== 12 || !isIntact(entry.key, value)))
        throw new Fault(`a record that is not what was written, under ${entry.key.toString('hex')}`)
      if (name === 'marks' && decodeMark(entry.key, value) === undefined) throw new Fault('a wrong mark')
      if (name === 'topics') JSON.parse(value.toString())
    })
  }

  async #tree(tree: TreeRoot, compare: Compare, onEntry: (node: Node) => void): Promise<void> {
    const counts: Counts = { branch: 0, leaf: 0, overflow: 0, entries: 0 }
    const entry = (node: Node): void => {
      counts.entries += 1
      if (node.flags & nodeFlags.big) counts.overflow += bigValue(node).pages
      onEntry(node)
    }
    if (tree.root !== undefined) {
      if (tree.depth > deepest) throw new Fault(`a tree of depth ${tree.depth}`)
      await this.#page(tree.root, tree.depth, undefined, undefined, compare, counts, entry)
    }
    const isAsCounted =
      counts.branch === tree.branchPages &&
      counts.leaf === tree.leafPages &&
      counts.overflow === tree.overflowPages &&
      counts.entries === tree.entries
    if (!isAsCounted) throw new Fault(`a tree with ${counts.entries} entries of ${tree.entries}`)
  }

  async #page(
    number: number,
    depth: number,
    low: Buffer | undefined,
    high: Buffer | undefined,
    compare: Compare,
    counts: Counts,
    onEntry: (node: Node) => void,
  ): Promise<void> {
    const page = this.#pages.page(number)
    if (page === undefined) throw new Fault(`the file ends before page ${number}`)
    this.#use(number, 1)
    this.#pace.add(page.length)
    const header = pageHeader(page)
    const kind = depth === 1 ? pageFlags.leaf : pageFlags.branch
    if (header.page !== number || header.flags !== kind || header.transaction > this.#meta.transaction)
      throw new Fault(`page ${number} is not what it should be`)
    if (depth > 1) {
      counts.branch += 1
      const nodes = branchNodes(page)
      if (nodes === undefined || nodes.length === 0) throw new Fault(`page ${number} is broken`)
      for (const [i, { key, child }] of nodes.entries()) {
        const from = i === 0 ? low : key
        if (i > 0) this.#ordered(low, key, high, compare, number)
        const to = nodes[i + 1]?.key ?? high
        await this.#page(child, depth - 1, from, to, compare, counts, onEntry)
      }
      return
    }
    counts.leaf += 1
    const nodes = leafNodes(page)
    if (nodes === undefined) throw new Fault(`page ${number} is broken`)
    let from = low
    for (const [i, node] of nodes.entries()) {
      this.#ordered(from, node.key, high, compare, number)
      if (i > 0 && from !== undefined && compare(from, node.key) === 0)
        throw new Fault(`a key twice in ${number}`)
      from = node.key
      onEntry(node)
      if (this.#pace.isDue) await this.#pace.turn()
    }
  }

  #ordered(
    low: Buffer | undefined,
    key: Buffer,
    high: Buffer | undefined,
    compare: Compare,
    page: number,
  ): void {
    const isIn =
      key.length > 0 &&
      (compare !== byNumber || key.length === 8) &&
      (low === undefined || compare(low, key) <= 0) &&
      (high === undefined || compare(key, high) < 0)
    if (!isIn) throw new Fault(`page ${page} has keys of another place or time`)
  }

  #value(node: Node): Buffer {
    if ((node.flags & nodeFlags.big) === 0) return node.data
    const { page, pages, transaction } = bigValue(node)
    const position = page * this.#pages.pageSize
    const header = this.#pages.read(position, headerSize)
    const isThere =
      header !== undefined &&
      pages * this.#pages.pageSize >= headerSize + node.size &&
      isBigPage(header, page, pages) &&
      pageHeader(header).transaction === transaction
    const value = isThere ? this.#pages.read(position + headerSize, node.size) : undefined
    if (value === undefined) throw new Fault(`a value is missing at page ${page}`)
    this.#use(page, pages)
    this.#pace.add(value.length)
    return value
  }

  /** Page numbers; a negative one is the length of the run that the next one begins. */
  #freePages(list: Buffer): void {
    const count = list.length < 8 ? -1 : u64(list, 0)
    if (count < 0 || 8 + count * 8 > list.length) throw new Fault('a broken list of free pages')
    let run = 1
    for (let at = 8; at < 8 + count * 8; at += 8) {
      const number = Number(list.readBigInt64LE(at))
      if (number < 0) run = -number
      else if (number > 0) {
        this.#use(number, run)
        run = 1
      }
    }
  }

  #use(first: number, count: number): void {
    if (first < 2 || !Number.isSafeInteger(first) || first + count - 1 > this.#meta.lastPage)
      throw new Fault(`page ${first} does not exist`)
    for (let page = first; page < first + count; page++) {
      const [at, bit] = [page >> 3, 1 << (page & 7)]
      if (((this.#used[at] as number) & bit) !== 0) throw new Fault(`page ${page} is used twice`)
      this.#used[at] = (this.#used[at] as number) | bit
    }
  }
}

export const isBigPage = (header: Buffer, page: number, pages: number): boolean => {
  const found = pageHeader(header)
  return found.page === page && found.flags === pageFlags.overflow && found.count === pages
}
