/** Where the bytes of a file go: to a place in a file on the disk, or out at once. */
import { type FileHandle, open, unlink } from 'node:fs/promises'
import { basename, dirname, extname, join } from 'node:path'
import type { Writable } from 'node:stream'
import { FramelogError, toFramelogError } from '../../errors.ts'
import { quote } from '../../units.ts'

export interface Destination {
  /** As a person calls it. */
  readonly name: string
  /** Whether bytes can only be added: what was written is out of reach. */
  readonly appendOnly: boolean
  /** @param bytes borrowed until the promise resolves. @throws FramelogError OUTPUT_UNUSABLE */
  write(bytes: Uint8Array, position: number): Promise<void>
  close(): Promise<void>
  /** Leaves nothing behind, as far as nothing was there before. */
  discard(): Promise<void>
}

/** What comes after the last file: the first free name of `name-2.ext`, `name-3.ext` … */
const manyFiles = 10_000

/**
 * @param path opened at once, so that what is wrong with it shows before anything is waited for
 * @throws FramelogError OUTPUT_EXISTS, OUTPUT_UNUSABLE
 */
export async function openFile(path: string, { force }: { force: boolean }): Promise<Destination> {
  let handle: FileHandle
  let isNew = true
  try {
    handle = await open(path, 'wx')
  } catch (error) {
    if (codeOf(error) !== 'EEXIST') throw unusable(path, error)
    if (!force) throw new FramelogError('OUTPUT_EXISTS', `${path} is there already`)
    // What is there is kept until there is something to write in its place.
    handle = await open(path, 'r+').catch((cause: unknown) => {
      throw unusable(path, cause)
    })
    isNew = false
    if (!(await handle.stat()).isFile()) {
      await handle.close()
      throw new FramelogError('OUTPUT_UNUSABLE', `${path} is not a file; -o - writes to the standard output`)
    }
  }
  return new FileDestination(path, handle, isNew)
}

/** @param number 2 for what follows the first file. @throws FramelogError OUTPUT_EXISTS, OUTPUT_UNUSABLE */
export async function openNextFile(
  first: string,
  number: number,
  { force }: { force: boolean },
): Promise<Destination> {
  const extension = extname(first)
  const stem = join(dirname(first), basename(first, extension))
  for (let n = number; ; n++) {
    try {
      return await openFile(`${stem}-${n}${extension}`, { force })
    } catch (error) {
      if (!(error instanceof FramelogError) || error.code !== 'OUTPUT_EXISTS' || n >= manyFiles) throw error
    }
  }
}

class FileDestination implements Destination {
  readonly appendOnly = false
  readonly name: string
  readonly #handle: FileHandle
  #isNew: boolean
  #isOpen = true

  constructor(name: string, handle: FileHandle, isNew: boolean) {
    this.name = name
    this.#handle = handle
    this.#isNew = isNew
  }

  async write(bytes: Uint8Array, position: number): Promise<void> {
    try {
      if (!this.#isNew) {
        await this.#handle.truncate(0)
        this.#isNew = true
      }
      for (let done = 0; done < bytes.byteLength; ) {
        const { bytesWritten } = await this.#handle.write(
          bytes,
          done,
          bytes.byteLength - done,
          position + done,
        )
        done += bytesWritten
      }
    } catch (error) {
      throw unusable(this.name, error)
    }
  }

  async close(): Promise<void> {
    if (!this.#isOpen) return
    this.#isOpen = false
    await this.#handle.close().catch((error: unknown) => {
      throw unusable(this.name, error)
    })
  }

  async discard(): Promise<void> {
    await this.close()
    if (this.#isNew) await unlink(this.name).catch(() => {})
  }
}

/** The reader of a pipe has left: there is nobody to write for. */
export class ReaderGone extends Error {}

/** @throws FramelogError OUTPUT_UNUSABLE for a terminal */
export function openStream(stream: Writable & { readonly isTTY?: boolean }): Destination {
  if (stream.isTTY)
    throw new FramelogError(
      'OUTPUT_UNUSABLE',
      'The standard output is a terminal; pipe it into a player or a file',
    )
  // Each write is told of its own error.
  stream.on('error', () => {})
  return {
    name: 'the standard output',
    appendOnly: true,
    write: bytes =>
      new Promise((resolve, reject) => {
        stream.write(bytes, error => {
          if (!error) resolve()
          else reject(codeOf(error) === 'EPIPE' ? new ReaderGone() : unusable('the standard output', error))
        })
      }),
    close: async () => {},
    discard: async () => {},
  }
}

const reasons: Readonly<Record<string, string>> = {
  EACCES: 'this user may not write there',
  EPERM: 'this user may not write there',
  EROFS: 'the disk cannot be written',
  ENOENT: 'the folder does not exist',
  ENOTDIR: 'the folder does not exist',
  EISDIR: 'it is a folder',
  ENOSPC: 'the disk is full',
  EDQUOT: 'the disk is full for this user',
  EFBIG: 'the file has become too large',
  EIO: 'the disk fails',
}

function unusable(name: string, error: unknown): FramelogError {
  if (error instanceof FramelogError) return error
  const code = codeOf(error)
  const reason = reasons[code ?? ''] ?? toFramelogError(error).message
  return new FramelogError('OUTPUT_UNUSABLE', `Cannot write ${quote(name)}: ${reason}`, { cause: error })
}

const codeOf = (error: unknown): string | undefined =>
  error instanceof Error && 'code' in error && typeof error.code === 'string' ? error.code : undefined
