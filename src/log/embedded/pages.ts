/**
 * Reads an LMDB file without LMDB, which maps it and ends the process where it is shorter than it says. The format
 * is that of lmdb-js 3 (data version 2, little-endian): a page header of 24 bytes, three meta blocks (pages 0 and 1,
 * and in the second half of page 0 the one that was last flushed), and trees of branch, leaf and overflow pages.
 */
import { closeSync, fstatSync, openSync, readSync } from 'node:fs'

export const headerSize = 24
export const metaSize = 144
const magic = 0xbeefc0de
const dataVersion = 2
const noPage = 0xffffffff

export const pageFlags = { branch: 0x01, leaf: 0x02, overflow: 0x04, meta: 0x08 } as const
export const nodeFlags = { big: 0x01, tree: 0x02 } as const

export interface TreeRoot {
  readonly depth: number
  readonly branchPages: number
  readonly leafPages: number
  readonly overflowPages: number
  readonly entries: number
  /** Undefined in an empty tree. */
  readonly root: number | undefined
}

export interface Meta {
  /** The block as it lies in the file, from its magic number on; owned. */
  readonly bytes: Buffer
  readonly free: TreeRoot
  readonly main: TreeRoot
  readonly lastPage: number
  readonly transaction: number
  /** Whether this is the block that is written once all before it is on the disk. */
  readonly isFlushed: boolean
}

export interface PageHeader {
  readonly page: number
  readonly transaction: number
  readonly flags: number
  /** Nodes of a branch or leaf; pages of an overflow run. */
  readonly count: number
}

export interface Node {
  readonly flags: number
  readonly key: Buffer
  /** Bytes of the value; where it is `big` they lie elsewhere and `data` says where. */
  readonly size: number
  readonly data: Buffer
}

export class PageFile implements Disposable {
  readonly #fd: number
  readonly size: number
  readonly pageSize: number
  /** Newest first; those that were never written are left out. */
  readonly metas: readonly Meta[]
  /** Whether a meta block cannot be read: it may have been the newest. */
  readonly hasLostMeta: boolean

  constructor(path: string) {
    this.#fd = openSync(path, 'r')
    this.size = fstatSync(this.#fd).size
    const first = this.read(0, headerSize + metaSize)
    const named = first === undefined ? 0 : first.readUInt32LE(headerSize + 24)
    const isPageSize = named >= 512 && named <= 32_768 && (named & (named - 1)) === 0
    this.pageSize = isPageSize ? named : 4096
    const blocks = [0, this.pageSize, this.pageSize / 2].map(at => this.#meta(at))
    this.hasLostMeta = blocks.includes('lost')
    this.metas = blocks
      .filter(block => typeof block === 'object')
      .sort((a, b) => b.transaction - a.transaction)
  }

  /** @returns owned bytes; undefined where the file does not have them all */
  read(position: number, length: number): Buffer | undefined {
    if (position + length > this.size) return undefined
    const bytes = Buffer.allocUnsafeSlow(length)
    for (let at = 0; at < length; ) {
      const count = readSync(this.#fd, bytes, at, length - at, position + at)
      if (count === 0) return undefined
      at += count
    }
    return bytes
  }

  page(number: number): Buffer | undefined {
    return this.read(number * this.pageSize, this.pageSize)
  }

  [Symbol.dispose](): void {
    closeSync(this.#fd)
  }

  #meta(at: number): Meta | 'lost' | 'unwritten' {
    const bytes = this.read(at + headerSize, metaSize)
    if (bytes === undefined) return 'lost'
    const isFlushed = at === this.pageSize / 2
    const transaction = u64(bytes, 128)
    // The flushed block is written without the stamp.
    const hasStamp = bytes.readUInt32LE(0) === magic && (bytes.readUInt32LE(4) & 0xffff) === dataVersion
    if (transaction === 0 && (hasStamp || (isFlushed && bytes.every(byte => byte === 0)))) return 'unwritten'
    const isWhole = (hasStamp || isFlushed) && bytes.readUInt32LE(24) === this.pageSize
    if (!isWhole || !Number.isSafeInteger(transaction)) return 'lost'
    const [free, main] = [treeRoot(bytes, 24), treeRoot(bytes, 72)]
    return { bytes, free, main, lastPage: u64(bytes, 120), transaction, isFlushed }
  }
}

/** The two pages that a file begins with, with a meta block in all its places. */
export function metaPages(block: Buffer, pageSize: number): Buffer {
  const bytes = Buffer.alloc(2 * pageSize)
  for (const number of [0, 1]) {
    bytes.writeUInt32LE(number, number * pageSize)
    bytes.writeUInt16LE(pageFlags.meta, number * pageSize + 18)
  }
  for (const at of [0, pageSize / 2, pageSize]) {
    block.copy(bytes, at + headerSize)
    bytes.writeUInt32LE(magic, at + headerSize)
    bytes.writeUInt32LE(dataVersion, at + headerSize + 4)
  }
  return bytes
}

/** An unsigned integer of 8 bytes, not exact past 2^53: no page and no transaction gets there. */
export const u64 = (bytes: Buffer, at: number): number =>
  bytes.readUInt32LE(at) + bytes.readUInt32LE(at + 4) * 0x1_0000_0000

/** How a tree is described in a meta block, and in the main tree for a named one: 48 bytes. */
export function treeRoot(bytes: Buffer, at: number): TreeRoot {
  const hasRoot = bytes.readUInt32LE(at + 40) !== noPage || bytes.readUInt32LE(at + 44) !== noPage
  return {
    depth: bytes.readUInt16LE(at + 6),
    branchPages: u64(bytes, at + 8),
    leafPages: u64(bytes, at + 16),
    overflowPages: u64(bytes, at + 24),
    entries: u64(bytes, at + 32),
    root: hasRoot ? u64(bytes, at + 40) : undefined,
  }
}

export function pageHeader(page: Buffer): PageHeader {
  const flags = page.readUInt16LE(18)
  return {
    page: u64(page, 0),
    transaction: u64(page, 8),
    flags,
    count: flags & pageFlags.overflow ? page.readUInt32LE(20) : page.readUInt16LE(20) >> 1,
  }
}

/** Nodes of a leaf, whole and within the page, else undefined. Their bytes are views of the page. */
export function leafNodes(page: Buffer): Node[] | undefined {
  return eachNode(page, at => {
    const size = page.readUInt32LE(at)
    const flags = page.readUInt16LE(at + 4)
    const data = at + 8 + page.readUInt16LE(at + 6)
    const end = data + (flags & nodeFlags.big ? headerSize : size)
    if (end > page.length || flags & ~(nodeFlags.big | nodeFlags.tree)) return undefined
    return { flags, key: page.subarray(at + 8, data), size, data: page.subarray(data, end) }
  })
}

/** Children of a branch with the keys that they begin at; the first one's key is empty. */
export function branchNodes(page: Buffer): { key: Buffer; child: number }[] | undefined {
  return eachNode(page, at => {
    const end = at + 8 + page.readUInt16LE(at + 6)
    if (end > page.length) return undefined
    const child = page.readUInt32LE(at) + page.readUInt16LE(at + 4) * 0x1_0000_0000
    return { key: page.subarray(at + 8, end), child }
  })
}

function eachNode<Found>(page: Buffer, read: (at: number) => Found | undefined): Found[] | undefined {
  const { count } = pageHeader(page)
  const firstNode = headerSize + 2 * count
  if (firstNode > page.length) return undefined
  const found: Found[] = []
  for (let i = 0; i < count; i++) {
    const at = headerSize + page.readUInt16LE(headerSize + 2 * i)
    const node = at < firstNode || at + 8 > page.length ? undefined : read(at)
    if (node === undefined) return undefined
    found.push(node)
  }
  return found
}
