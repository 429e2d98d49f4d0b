/** The LMDB store of the embedded log: three trees in one file, and what becomes of LMDB's errors. */
import { existsSync } from 'node:fs'
import { join } from 'node:path'
import { type Database, open, type RootDatabase } from 'lmdb'
import { FramelogError } from '../../errors.ts'
import { PageFile } from './pages.ts'
import { canOpen, type Filling, isNoSpace, Room, type Taken } from './room.ts'
import type { StoredTopic } from './topic.ts'

export type Sync = 'commit' | 'always'

/** Records removed in one commit, and where there is no room for so many at once. */
const removedAtOnce = 1000
const removedAtOnceWhenFull = 50
/** Bytes of pages that a commit may take besides its values: paths in three trees and the list of free pages. */
const commitPages = 128 * 1024
/** Bytes of pages that a record may take besides its own: its part of a leaf, a page that is not full. */
const recordPages = 4096 + 512
/** Bytes of pages that LMDB may write while it opens a store that lacks a tree. */
const openPages = 256 * 1024
const trees = 3

export const storeFile = (dir: string): string => join(dir, 'log.mdb')

export const noSpace = (dir: string, cause?: unknown): FramelogError =>
  new FramelogError('LOG_FULL', `No space is left in ${dir}`, { cause })

export class Store {
  readonly dir: string
  readonly topics: Database<StoredTopic | number, string>
  /** Keys and values: layout.ts. */
  readonly records: Database<Buffer, Buffer>
  /** Keys as of the records, values: layout.ts. */
  readonly marks: Database<Buffer, Buffer>
  readonly #root: RootDatabase
  readonly #sync: Sync
  readonly #room: Room
  #closing: 'closing' | 'closed' | undefined
  readonly #removals = new Set<Promise<void>>()

  /** @throws FramelogError LOG_FULL, DATA_DIR_UNUSABLE */
  constructor(dir: string, file: string, sync: Sync) {
    this.dir = dir
    this.#sync = sync
    let root: RootDatabase | undefined
    try {
      const { length, missing } = missingTrees(file)
      if (!canOpen(file, length, missing === 0 ? 0 : openPages)) throw noSpace(dir)
      root = open({ path: file, maxDbs: 4, cache: false })
      this.#root = root
      this.topics = root.openDB({ name: 'topics', encoding: 'json' })
      this.records = root.openDB({ name: 'records', encoding: 'binary', keyEncoding: 'binary' })
      this.marks = root.openDB({ name: 'marks', encoding: 'binary', keyEncoding: 'binary' })
      this.#room = new Room(file, () => this.#filling())
    } catch (cause) {
      void root?.close()
      if (cause instanceof FramelogError) throw cause
      if (isNoSpace(cause)) throw noSpace(dir, cause)
      throw new FramelogError('DATA_DIR_UNUSABLE', `The store in ${dir} cannot be opened: ${String(cause)}`, {
        cause,
      })
    }
  }

  /** Bytes of pages in use. The file is longer where pages were freed: they are used again, and not given back. */
  get usedBytes(): number {
    const { end, free } = this.#filling()
    return end - free
  }

  /**
   * Takes room for a write, before anything else is done for it.
   * @param bytes of the values
   * @throws FramelogError LOG_FULL, LOG_OVERLOADED
   */
  makeRoom(records: number, bytes: number): Taken {
    return this.#take(commitPages + bytes + records * recordPages, false)
  }

  /**
   * Commits what `put` puts, in one piece, behind all that was written before.
   * @throws FramelogError LOG_FAILED
   */
  async write(room: Taken, put: () => void): Promise<void> {
    try {
      await this.records.batch(put)
      if (this.#sync === 'always') await this.#root.flushed
    } catch (cause) {
      throw cannotWrite(cause)
    } finally {
      room.release()
    }
  }

  /** The same for what frees space: it may use what is kept for that. */
  async free(put: () => void): Promise<void> {
    await this.write(this.#take(commitPages, true), put)
  }

  /** The same in one turn, at a start. @throws FramelogError LOG_FULL, LOG_FAILED */
  writeNow(records: number, bytes: number, put: () => void): void {
    const room = this.makeRoom(records, bytes)
    try {
      this.#root.transactionSync(put)
    } catch (cause) {
      throw cannotWrite(cause)
    } finally {
      room.release()
    }
  }

  /** Removes what lies between two keys of the records or marks, `end` excluded, bit by bit, until closed. */
  remove(tree: Database<Buffer, Buffer>, start: Buffer, end: Buffer): Promise<void> {
    const removal = this.#remove(tree, start, end).finally(() => this.#removals.delete(removal))
    this.#removals.add(removal)
    return removal
  }

  /** Whether nothing writes to the file any more. */
  get isClosed(): boolean {
    return this.#closing === 'closed'
  }

  /** @returns when all that was written is on the disk and the file is closed */
  async close(): Promise<void> {
    this.#closing = 'closing'
    await Promise.allSettled(this.#removals)
    await this.#root.flushed
    await this.#root.close()
    this.#room[Symbol.dispose]()
    this.#closing = 'closed'
  }

  async #remove(tree: Database<Buffer, Buffer>, start: Buffer, end: Buffer): Promise<void> {
    let limit = removedAtOnce
    while (this.#closing === undefined) {
      const keys = [...tree.getKeys({ start, end, limit })]
      if (keys.length === 0) return
      // Leaves that shrink, and eight bytes for each page that is freed.
      const pages = commitPages + keys.length * recordPages
      try {
        await this.write(this.#take(pages, true), () => {
          for (const key of keys) tree.remove(key)
        })
      } catch (error) {
        const isFull = error instanceof FramelogError && /^LOG_(FULL|OVERLOADED)$/.test(error.code)
        if (!isFull || limit === removedAtOnceWhenFull) throw error
        limit = removedAtOnceWhenFull
      }
    }
  }

  #take(bytes: number, isDeletion: boolean): Taken {
    const taken = this.#room.take(bytes, isDeletion)
    if (taken !== undefined) return taken
    if (!this.#room.isBusy(bytes)) throw noSpace(this.dir)
    throw new FramelogError('LOG_OVERLOADED', `What is on its way fills the room that is left in ${this.dir}`)
  }

  #filling(): Filling {
    const all = [this.topics, this.records, this.marks].map(db => db.getStats() as TreeStats)
    const { root, free, pageSize, lastPageNumber } = all[0] as RootStats
    const used = [...all, root, free].reduce(
      (sum, tree) => sum + tree.treeBranchPageCount + tree.treeLeafPageCount + tree.overflowPages,
      2,
    )
    const end = (lastPageNumber + 1) * pageSize
    return { end, free: Math.max(0, end - used * pageSize) }
  }
}

const cannotWrite = (cause: unknown): FramelogError => {
  const message = cause instanceof Error ? cause.message : String(cause)
  return new FramelogError('LOG_FAILED', `The embedded log cannot write: ${message}`, { cause })
}

/** How many trees LMDB would still have to make, and where the file ends. */
function missingTrees(file: string): { length: number; missing: number } {
  if (!existsSync(file)) return { length: 0, missing: trees }
  using pages = new PageFile(file)
  return { length: pages.size, missing: trees - (pages.metas[0]?.main.entries ?? 0) }
}

interface TreeStats {
  readonly treeBranchPageCount: number
  readonly treeLeafPageCount: number
  readonly overflowPages: number
}
interface RootStats extends TreeStats {
  readonly pageSize: number
  readonly lastPageNumber: number
  readonly root: TreeStats
  readonly free: TreeStats
}
