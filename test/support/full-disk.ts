/**
 * A disk that is really full, for a script in a process of its own: a small file system where one may be mounted (as
 * root, or in a user namespace), else a limit on the size of files. Either ends with the process.
 */
import { type SpawnSyncReturns, spawnSync } from 'node:child_process'
import { closeSync, mkdtempSync, openSync, readdirSync, rmSync, statSync, writeSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'

const bytes = 8 * 1024 * 1024
const mounts = [['-m'], ['-Urm']] as const
const mount = `mount -t tmpfs -o size=${bytes} none "$0" && exec "$@"`

const canMount = (options: readonly string[], dir: string): boolean =>
  spawnSync('unshare', [...options, 'sh', '-c', mount, dir, 'true']).status === 0

/**
 * Runs a script of this folder's test on a disk of its own.
 * @param kind chosen where the caller wants the other way than the one that works best here
 */
export function runOnSmallDisk(
  script: string,
  args: readonly string[],
  kind?: 'limit',
): SpawnSyncReturns<string> {
  const dir = mkdtempSync(join(tmpdir(), 'framelog-small-'))
  try {
    const options = kind === 'limit' ? undefined : mounts.find(each => canMount(each, dir))
    const node = [process.execPath, script, ...args]
    const env = { ...process.env, SMALL_DISK: dir, SMALL_DISK_KIND: options ? 'mount' : 'limit' }
    const limits = { env, encoding: 'utf8' as const, timeout: 60_000 }
    return options === undefined
      ? spawnSync(process.execPath, node.slice(1), limits)
      : spawnSync('unshare', [...options, 'sh', '-c', mount, dir, ...node], limits)
  } finally {
    rmSync(dir, { recursive: true, force: true })
  }
}

/** Within the script: the disk that it runs on. */
export class SmallDisk {
  readonly dir: string = process.env.SMALL_DISK ?? ''
  readonly #isMounted = process.env.SMALL_DISK_KIND === 'mount'
  readonly #ballast = join(this.dir, 'ballast')

  get isLimit(): boolean {
    return !this.#isMounted
  }

  constructor() {
    this.clear()
  }

  /** Nothing more than `left` bytes fits, in all or behind the end of the longest file in `data`. */
  fill(data: string, left = 0): void {
    if (!this.#isMounted) {
      const longest = Math.max(0, ...readdirSync(data).map(name => statSync(join(data, name)).size))
      limitFiles(String(longest + left))
      return
    }
    const fd = openSync(this.#ballast, 'a')
    let size = 65_536
    while (size >= 4096) {
      try {
        if (writeSync(fd, Buffer.alloc(size)) < size) size /= 2
      } catch {
        size /= 2
      }
    }
    closeSync(fd)
    if (left > 0) {
      const { size: filled } = statSync(this.#ballast)
      spawnSync('truncate', ['-s', String(filled - left), this.#ballast])
    }
  }

  /** There is room again. */
  clear(): void {
    if (this.#isMounted) rmSync(this.#ballast, { force: true })
    else limitFiles(String(2 ** 40))
  }
}

function limitFiles(size: string): void {
  const { status, stderr } = spawnSync('prlimit', ['--pid', String(process.pid), `--fsize=${size}:unlimited`])
  if (status !== 0) throw new Error(`no limit on the size of files can be set: ${stderr}`)
}
