/**
 * Room in the store's file before LMDB writes to it. LMDB must not meet a full disk: it then corrupts its memory or
 * never answers. So the file is made longer here, with blocks of its own, where a disk, a quota or a limit on the
 * size of files that leaves no room is an ordinary error. What is kept in advance lets deletions through, which
 * write before they free.
 *
 * Writing blocks twice costs a fifth of what a busy store can take, so it begins only where the disk has little left.
 */
import {
  closeSync,
  existsSync,
  fstatSync,
  ftruncateSync,
  openSync,
  readFileSync,
  rmSync,
  statfsSync,
  statSync,
  writeSync,
} from 'node:fs'

const step = 1024 * 1024
/** Bytes free on the disk from which on there is room without asking; what others take meanwhile must be less. */
const plenty = 512 * 1024 * 1024
/** The disk is asked again after so many bytes, or milliseconds. */
const askEvery = { bytes: 16 * 1024 * 1024, time: 250 }
/** Kept for deletions when appends find no more room. */
const keptForDeletions = 512 * 1024
/** Kept in advance, a 64th of the disk within these: what may be under way on a full disk that has freed pages. */
const advance = { least: 1024 * 1024, most: 16 * 1024 * 1024, part: 64 }
/** What LMDB makes for its table of readers. */
const lockBytes = 12_288
const zeros = Buffer.alloc(step)

export interface Filling {
  /** Up to where the file is in use, in bytes. */
  readonly end: number
  /** Bytes before that which are free to be used again. */
  readonly free: number
}

/** Room for one write; to be released when it has settled. */
export interface Taken {
  release(): void
}

export class Room implements Disposable {
  readonly #fd: number
  readonly #path: string
  readonly #filling: () => Filling
  readonly #isFileLimited = hasFileLimit()
  readonly #advance: number
  /** Of the file, with blocks. */
  #length: number
  /** Up to where the disk had plenty when it was asked last, and when that was. */
  #plentyTo = 0
  #asked = 0
  /** As looked at last. */
  #end: number
  /** Of writes that the last look may not have seen. */
  #taken = 0
  /** Of writes that are under way. */
  #underWay = 0
  #largest = 0

  /** @param path an existing store. @param filling looks at what is committed */
  constructor(path: string, filling: () => Filling) {
    // Appending, never at a position: what LMDB writes meanwhile is not written over.
    this.#fd = openSync(path, 'a')
    this.#path = path
    const { blocks, bsize } = statfsSync(path)
    this.#advance = Math.max(advance.least, Math.min(advance.most, (blocks * bsize) / advance.part))
    this.#filling = filling
    this.#end = filling().end
    this.#length = lengthOf(this.#fd, this.#end)
    if (!this.#hasPlenty(this.#end + this.#advance)) this.#growTo(this.#end + this.#advance)
  }

  /**
   * Takes room for a write of at most so many bytes of pages.
   * @returns undefined where there is no room
   */
  take(bytes: number, isDeletion: boolean): Taken | undefined {
    if (!isDeletion) this.#largest = Math.max(this.#largest, bytes)
    if (!this.#fits(bytes + this.#advance + this.#largest) && !this.#hasFree(bytes, isDeletion))
      return undefined
    this.#taken += bytes
    this.#underWay += bytes
    return {
      release: () => {
        this.#underWay -= bytes
      },
    }
  }

  /** Whether so many bytes may find room when what is under way has settled. */
  isBusy(bytes: number): boolean {
    return this.#underWay > 0 && bytes * 2 <= this.#filling().free
  }

  [Symbol.dispose](): void {
    closeSync(this.#fd)
  }

  #fits(bytes: number): boolean {
    if (this.#isThere(this.#end + this.#taken + bytes)) return true
    this.#look()
    const wanted = this.#end + this.#taken + bytes
    return (
      this.#isThere(wanted) ||
      this.#hasPlenty(wanted) ||
      this.#growTo(wanted + step) ||
      wanted <= this.#length
    )
  }

  #isThere(wanted: number): boolean {
    return (
      wanted <= this.#length || (wanted <= this.#plentyTo && performance.now() - this.#asked < askEvery.time)
    )
  }

  #hasPlenty(wanted: number): boolean {
    if (this.#isFileLimited) return false
    const { bavail, bsize } = statfsSync(this.#path)
    if (bavail * bsize < plenty + wanted - this.#end) return false
    this.#plentyTo = wanted + askEvery.bytes
    this.#asked = performance.now()
    this.#length = Math.max(this.#length, fstatSync(this.#fd).size)
    return true
  }

  /** On a full disk: pages are used again, and if they lie badly, what was kept in advance takes it. */
  #hasFree(bytes: number, isDeletion: boolean): boolean {
    const { free } = this.#look()
    const tail = this.#length - this.#end - this.#taken
    if (isDeletion) return bytes <= tail || bytes * 2 <= free
    return bytes * 2 <= free && bytes + keptForDeletions <= tail
  }

  #look(): Filling {
    const filling = this.#filling()
    this.#end = filling.end
    this.#taken = this.#underWay
    return filling
  }

  #growTo(length: number): boolean {
    try {
      for (;;) {
        this.#length = Math.max(this.#length, fstatSync(this.#fd).size)
        if (this.#length >= length) return true
        const written = writeSync(this.#fd, zeros, 0, Math.min(step, length - this.#length))
        if (written === 0) return false
      }
    } catch (error) {
      if (isNoSpace(error)) return false
      throw error
    }
  }
}

export const isNoSpace = (error: unknown): boolean =>
  error instanceof Error && 'code' in error && /^(ENOSPC|EDQUOT|EFBIG)$/.test(String(error.code))

/** Whether the size of a file is limited (`ulimit -f`), where the system tells. */
function hasFileLimit(): boolean {
  try {
    return /^Max file size +\d/m.test(readFileSync('/proc/self/limits', 'latin1'))
  } catch {
    return false
  }
}

/** A copy may have holes where the original had blocks; what lies behind the end is then of no use. */
function lengthOf(fd: number, end: number): number {
  const { size, blocks } = fstatSync(fd)
  if (size <= end || blocks * 512 >= size) return size
  ftruncateSync(fd, end)
  return end
}

/**
 * Whether LMDB can open a store here without meeting a full disk.
 * @param needed bytes that it may write to the file, behind `length`
 */
export function canOpen(path: string, length: number, needed: number): boolean {
  const lock = `${path}-lock`
  try {
    const found = statSync(lock, { throwIfNoEntry: false })
    if (found === undefined || found.size < lockBytes || found.blocks * 512 < lockBytes)
      tryWrite(lock, 0, lockBytes)
    if (needed === 0) return true
    const probe = existsSync(path) ? path : `${path}-probe`
    try {
      tryWrite(probe, length, needed)
    } finally {
      if (probe !== path) rmSync(probe, { force: true })
    }
    return true
  } catch (error) {
    if (!isNoSpace(error)) throw error
    if (!existsSync(path)) rmSync(lock, { force: true })
    return false
  }
}

function tryWrite(path: string, from: number, bytes: number): void {
  const fd = openSync(path, existsSync(path) ? 'r+' : 'w', 0o664)
  try {
    for (let at = 0; at < bytes; ) at += writeSync(fd, zeros, 0, Math.min(step, bytes - at), from + at)
  } finally {
    closeSync(fd)
  }
}
