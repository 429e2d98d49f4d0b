/**
 * What is kept beside the store, in a file of its own: which file it was on which boot of the machine, so that the
 * next start knows whether it may trust it, and the topics with their first offsets, should it be damaged.
 */
import { readFileSync, statSync } from 'node:fs'
import { open, rename, rm } from 'node:fs/promises'
import { join } from 'node:path'
import { crc32 } from 'node:zlib'
import type { StoredTopic } from './topic.ts'

export interface KnownTopic {
  readonly name: string
  readonly stored: StoredTopic
  /** Records below it were removed, or are about to be. */
  readonly first: number
}

/** A file as it was when the state was written. */
export interface FileMark {
  readonly boot: string
  readonly device: number
  readonly inode: number
  /** Only of a store that was closed in order: nothing has written to it since. */
  readonly closed?: { readonly size: number; readonly modified: string }
}

export interface State {
  readonly file: FileMark
  /** Number of the newest topic ever made. */
  readonly last: number
  readonly topics: readonly KnownTopic[]
}

const stateFile = (dir: string): string => join(dir, 'log.json')

/** @returns undefined where there is none that is whole */
export function readState(dir: string): State | undefined {
  try {
    const [text = '', crc] = readFileSync(stateFile(dir), 'utf8').split('\n')
    return crc === String(crc32(text)) ? (JSON.parse(text) as State) : undefined
  } catch {
    return undefined
  }
}

/** Writes the state, one at a time; who asks while one is being written gets the next. */
export class StateWriter {
  readonly #dir: string
  readonly #current: () => State
  #writing: Promise<void> = Promise.resolve()
  #next: Promise<void> | undefined

  constructor(dir: string, current: () => State) {
    this.#dir = dir
    this.#current = current
  }

  /**
   * @returns when the state as it is now, or later, is on the disk. Where it cannot be written the old one stays: it
   * is needed only where the store is damaged.
   */
  write(): Promise<void> {
    this.#next ??= this.#writing.then(() => {
      this.#next = undefined
      this.#writing = writeState(this.#dir, this.#current)
      return this.#writing
    })
    return this.#next
  }
}

/** On a full disk it is written over the old one, which a crash may cut. */
async function writeState(dir: string, current: () => State): Promise<void> {
  const path = stateFile(dir)
  const next = `${path}-next`
  let bytes: Buffer
  try {
    const text = JSON.stringify(current())
    bytes = Buffer.from(`${text}\n${crc32(text)}\n`)
  } catch {
    // Someone removed the store.
    return
  }
  try {
    await writeWhole(next, 'w', bytes)
    await rename(next, path)
    await syncFolder(dir)
  } catch {
    await rm(next, { force: true })
    await writeWhole(path, 'r+', bytes).catch(() => {})
  }
}

/** @param isClosed says that nothing will write to the file from here on */
export function markFile(path: string, isClosed: boolean): FileMark {
  const { dev, ino, size, mtimeNs } = statSync(path, { bigint: true })
  return {
    boot: bootId(),
    device: Number(dev),
    inode: Number(ino),
    ...(isClosed ? { closed: { size: Number(size), modified: String(mtimeNs) } } : {}),
  }
}

/**
 * Whether the kernel has all that was ever committed to this file: it was closed in order and is as it was then, or it
 * was left open on this same boot, be it by a process that was killed.
 */
export function isTrusted(path: string, mark: FileMark): boolean {
  const now = markFile(path, true)
  if (now.inode !== mark.inode) return false
  if (mark.closed === undefined)
    return mark.boot !== '' && mark.boot === now.boot && mark.device === now.device
  return mark.closed.size === now.closed?.size && mark.closed.modified === now.closed.modified
}

/** Empty where the system does not tell one boot from the next. */
function bootId(): string {
  try {
    return readFileSync('/proc/sys/kernel/random/boot_id', 'latin1').trim()
  } catch {
    return ''
  }
}

async function writeWhole(path: string, flags: string, bytes: Buffer): Promise<void> {
  await using file = await open(path, flags, 0o664)
  await file.write(bytes, 0, bytes.length, 0)
  await file.truncate(bytes.length)
  await file.sync()
}

/** Makes names in a folder last; some systems have no such call. */
export async function syncFolder(dir: string): Promise<void> {
  try {
    await using folder = await open(dir, 'r')
    await folder.sync()
  } catch {}
}
