/** A command of ours in a process of its own, as a user starts it; killed with the test. */
import { spawn, spawnSync } from 'node:child_process'
import { once } from 'node:events'
import { existsSync } from 'node:fs'
import { delimiter, join } from 'node:path'

const root = join(import.meta.dirname, '..', '..')

export interface RunningCommand {
  /** What it wrote to its standard error so far. */
  readonly errors: () => string
  /** What it wrote to its standard output so far. */
  readonly bytes: () => Buffer
  /** Resolves when its standard error has matched. @throws where it ends before */
  said(pattern: RegExp): Promise<void>
  /** Resolves when its standard output has a property. @throws where it ends before */
  wrote(isEnough: (bytes: Buffer) => boolean): Promise<void>
  /** Begins to read its standard output, where that was held back. */
  read(): void
  signal(signal: NodeJS.Signals): void
  /** Closes the reading end of its standard output. */
  leave(): void
  /** Writes to its standard input, where that is open; undefined closes it. */
  write(bytes: Uint8Array | undefined): void
  /** Its exit code, or the signal that ended it. */
  ended(): Promise<number | NodeJS.Signals>
}

export interface CommandProcess {
  /** False for a reader that takes nothing until it is told to. */
  readonly reads?: boolean
  /** What runs the command; this process's Node.js otherwise. */
  readonly node?: string
  /** Of its standard input: closed unless told. */
  readonly takes?: boolean
  readonly env?: Readonly<Record<string, string>>
  /** Largest file that it may write, in blocks of 1024 bytes. */
  readonly fileBlocks?: number
}

/** The machine's own Node.js where that is too old for us, so that the command hands over; else this process's. */
export function machineNode(): string {
  const found = (process.env.PATH ?? '').split(delimiter).map(folder => join(folder, 'node'))
  const isOld = (path: string): boolean =>
    Number(spawnSync(path, ['-p', 'process.versions.node.split(".")[0]']).stdout) < 24
  return found.find(path => existsSync(path) && isOld(path)) ?? process.execPath
}

export const startWatch = (args: readonly string[], options: CommandProcess = {}): RunningCommand =>
  startCommand('watch', args, options)

/** @param name of the command */
export function startCommand(
  name: string,
  args: readonly string[],
  options: CommandProcess = {},
): RunningCommand {
  const { reads = true, takes = false, fileBlocks, node = process.execPath, env = {} } = options
  const command = [node, join(root, 'bin/framelog.js'), name, ...args]
  const [program = '', ...rest] =
    fileBlocks === undefined ? command : ['bash', '-c', `ulimit -f ${fileBlocks}; exec "$0" "$@"`, ...command]
  const child = spawn(program, rest, {
    stdio: [takes ? 'pipe' : 'ignore', 'pipe', 'pipe'],
    env: { ...process.env, ...env },
  })
  // Whoever does not read it all says so by its exit.
  child.stdin?.on('error', () => {})
  const end = (): void => void child.kill('SIGKILL')
  process.once('exit', end)
  let errors = ''
  const chunks: Buffer[] = []
  const onData = (data: Buffer): void => void chunks.push(data)
  const { stdout, stderr } = child
  if (stdout === null || stderr === null) throw new Error('no pipes')
  stderr.on('data', data => {
    errors += data
  })
  if (reads) stdout.on('data', onData)
  const closed = once(child, 'close').then(([code, signal]) => {
    process.removeListener('exit', end)
    return (code ?? signal) as number | NodeJS.Signals
  })
  const until = async (isDone: () => boolean, stream: typeof stdout, what: string): Promise<void> => {
    while (!isDone()) {
      const over = await Promise.race([once(stream, 'data').then(() => false), closed.then(() => true)])
      if (over && !isDone()) throw new Error(`${name} ended before ${what}:\n${errors}`)
    }
  }
  return {
    errors: () => errors,
    bytes: () => Buffer.concat(chunks),
    said: pattern => until(() => pattern.test(errors), stderr, `it said ${pattern}`),
    wrote: isEnough => until(() => isEnough(Buffer.concat(chunks)), stdout, 'it wrote enough'),
    read: () => void stdout.on('data', onData),
    signal: signal => void child.kill(signal),
    leave: () => void stdout.destroy(),
    write: bytes => void (bytes === undefined ? child.stdin?.end() : child.stdin?.write(bytes)),
    ended: () => closed,
  }
}
