/**
 * The LMDB store of the embedded log: three trees in one file, and what becomes of LMDB's errors.
 *
 * A little space is set aside beside it: on a full disk a deletion uses it, for LMDB writes before it frees.
 */
import { closeSync, fdatasyncSync, openSync, rmSync, statfsSync, statSync, writeSync } from 'node:fs'
import { join } from 'node:path'
import { type Database, open, type RootDatabase } from 'lmdb'
import { FramelogError } from '../../errors.ts'
import type { StoredTopic } from './topic.ts'

export type Sync = 'commit' | 'always'

/** Bytes left on the disk below which a failed write counts as a full disk. */
const fullBelow = 1024 * 1024
const reserveBytes = 1024 * 1024
/** Records removed in one commit: on a full disk a commit must be small enough for what was set aside. */
const removedAtOnce = 1000
const removedAtOnceWhenFull = 100
/** Milliseconds for which it stays known whether the disk is full. */
const askDiskEvery = 1000

export const storeFile = (dir: string): string => join(dir, 'log.mdb')
const reserveFile = (dir: string): string => join(dir, 'log.reserve')

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
  /** While what was set aside is in use nothing else may take it. */
  #isReserveInUse = false
  #hasReserve = false
  #isClosed = false
  readonly #removals = new Set<Promise<void>>()
  #asked = 0
  #wasFull = false

  /** @throws FramelogError LOG_FULL, DATA_DIR_UNUSABLE */
  constructor(dir: string, file: string, sync: Sync) {
    this.dir = dir
    this.#sync = sync
    let root: RootDatabase | undefined
    try {
      root = open({ path: file, maxDbs: 4, cache: false })
      this.#root = root
      this.topics = root.openDB({ name: 'topics', encoding: 'json' })
      this.records = root.openDB({ name: 'records', encoding: 'binary', keyEncoding: 'binary' })
      this.marks = root.openDB({ name: 'marks', encoding: 'binary', keyEncoding: 'binary' })
    } catch (cause) {
      void root?.close()
      if (isDiskFull(dir)) throw noSpace(dir, cause)
      throw new FramelogError('DATA_DIR_UNUSABLE', `The store in ${dir} cannot be opened: ${String(cause)}`, {
        cause,
      })
    }
    this.#setAside()
  }

  /** Bytes of pages in use. The file is longer where pages were freed: they are used again, and not given back. */
  get usedBytes(): number {
    const trees = [this.topics, this.records, this.marks].map(db => db.getStats() as TreeStats)
    const [{ root, free, pageSize }] = trees as [RootStats, ...TreeStats[]]
    const pages = [...trees, root, free].reduce(
      (sum, tree) => sum + tree.treeBranchPageCount + tree.treeLeafPageCount + tree.overflowPages,
      0,
    )
    return pages * pageSize
  }

  /**
   * Commits what `put` puts, in one piece, behind all that was written before.
   * @throws FramelogError LOG_FULL, LOG_FAILED
   */
  async write(put: () => void): Promise<void> {
    if (this.#isReserveInUse) throw noSpace(this.dir)
    await this.#commit(put)
    if (!this.#hasReserve) this.#setAside()
  }

  /** The same in one turn, at a start. @throws FramelogError LOG_FULL, LOG_FAILED */
  writeNow(put: () => void): void {
    try {
      this.#root.transactionSync(put)
    } catch (cause) {
      throw this.#toError(cause)
    }
  }

  /** The same for what frees space: on a full disk it uses what was set aside. */
  async free(put: () => void): Promise<void> {
    try {
      await this.#commit(put)
    } catch (error) {
      if (!(error instanceof FramelogError && error.code === 'LOG_FULL')) throw error
      this.#isReserveInUse = true
      rmSync(reserveFile(this.dir), { force: true })
      this.#hasReserve = false
      try {
        await this.#commit(put)
      } finally {
        this.#isReserveInUse = false
      }
    }
  }

  /** Removes what lies between two keys of the records or marks, `end` excluded, bit by bit, until closed. */
  remove(tree: Database<Buffer, Buffer>, start: Buffer, end: Buffer): Promise<void> {
    const removal = this.#remove(tree, start, end).finally(() => this.#removals.delete(removal))
    this.#removals.add(removal)
    return removal
  }

  /** @returns when all that was written is on the disk and the file is closed */
  async close(): Promise<void> {
    this.#isClosed = true
    await Promise.allSettled(this.#removals)
    await this.#root.flushed
    await this.#root.close()
  }

  async #remove(tree: Database<Buffer, Buffer>, start: Buffer, end: Buffer): Promise<void> {
    while (!this.#isClosed) {
      const limit = this.#wasFull ? removedAtOnceWhenFull : removedAtOnce
      const keys = [...tree.getKeys({ start, end, limit })]
      if (keys.length === 0) return
      await this.free(() => {
        for (const key of keys) tree.remove(key)
      })
    }
  }

  async #commit(put: () => void): Promise<void> {
    try {
      await this.records.batch(put)
      if (this.#sync === 'always') await this.#root.flushed
    } catch (cause) {
      throw this.#toError(cause)
    }
  }

  #toError(cause: unknown): FramelogError {
    const now = Date.now()
    if (now - this.#asked >= askDiskEvery || !this.#wasFull) {
      this.#asked = now
      this.#wasFull = isDiskFull(this.dir)
    }
    if (this.#wasFull) return noSpace(this.dir, cause)
    const message = cause instanceof Error ? cause.message : String(cause)
    return new FramelogError('LOG_FAILED', `The embedded log cannot write: ${message}`, { cause })
  }

  /** Where there is no room for it yet, the next write that finds room tries again. */
  #setAside(): void {
    const file = reserveFile(this.dir)
    try {
      if (statSync(file, { throwIfNoEntry: false })?.size === reserveBytes) this.#hasReserve = true
      else if (!isDiskFull(this.dir)) this.#hasReserve = writeZeros(file, 0, reserveBytes)
      if (this.#hasReserve) this.#wasFull = false
    } catch {
      rmSync(file, { force: true })
    }
  }
}

/**
 * Whether the disk, a quota or a limit on the size of files leaves no room for a store to grow. LMDB reports all of
 * these as input/output errors.
 */
function isDiskFull(dir: string): boolean {
  const { bavail, bsize } = statfsSync(dir)
  if (bavail * bsize < fullBelow) return true
  const probe = join(dir, 'log.probe')
  try {
    const length = statSync(storeFile(dir), { throwIfNoEntry: false })?.size ?? 0
    return !writeZeros(probe, length, fullBelow)
  } catch (error) {
    return error instanceof Error && 'code' in error && /^(ENOSPC|EDQUOT|EFBIG)$/.test(String(error.code))
  } finally {
    rmSync(probe, { force: true })
  }
}

/** @returns whether all of it could be written */
function writeZeros(file: string, position: number, bytes: number): boolean {
  const fd = openSync(file, 'w', 0o600)
  try {
    const isWhole = writeSync(fd, Buffer.alloc(bytes), 0, bytes, position) === bytes
    fdatasyncSync(fd)
    return isWhole
  } finally {
    closeSync(fd)
  }
}

interface TreeStats {
  readonly treeBranchPageCount: number
  readonly treeLeafPageCount: number
  readonly overflowPages: number
}
interface RootStats extends TreeStats {
  readonly pageSize: number
  readonly root: TreeStats
  readonly free: TreeStats
}
