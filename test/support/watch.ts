/** `framelog watch` in a process of its own, as a user starts it; killed with the test. */
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { join } from 'node:path'

const root = join(import.meta.dirname, '..', '..')

export interface RunningWatch {
  /** What it wrote to its standard error so far. */
  readonly errors: () => string
  /** What it wrote to its standard output so far. */
  readonly bytes: () => Buffer
  /** Resolves when its standard error has matched. @throws where it ends before */
  said(pattern: RegExp): Promise<void>
  /** Resolves when its standard output has grown to so many bytes. @throws where it ends before */
  wrote(bytes: number): Promise<void>
  signal(signal: NodeJS.Signals): void
  /** Its exit code, or the signal that ended it. */
  ended(): Promise<number | NodeJS.Signals>
}

export function startWatch(args: readonly string[]): RunningWatch {
  const child = spawn(process.execPath, [join(root, 'bin/framelog.js'), 'watch', ...args], {
    stdio: ['ignore', 'pipe', 'pipe'],
  })
  const end = (): void => void child.kill('SIGKILL')
  process.once('exit', end)
  let errors = ''
  const chunks: Buffer[] = []
  let length = 0
  child.stderr.on('data', data => {
    errors += data
  })
  child.stdout.on('data', (data: Buffer) => {
    chunks.push(data)
    length += data.byteLength
  })
  const closed = once(child, 'close').then(([code, signal]) => {
    process.removeListener('exit', end)
    return (code ?? signal) as number | NodeJS.Signals
  })
  const until = async (isDone: () => boolean, stream: typeof child.stdout, what: string): Promise<void> => {
    while (!isDone()) {
      const over = await Promise.race([once(stream, 'data').then(() => false), closed.then(() => true)])
      if (over && !isDone()) throw new Error(`watch ended before ${what}:\n${errors}`)
    }
  }
  return {
    errors: () => errors,
    bytes: () => Buffer.concat(chunks),
    said: pattern => until(() => pattern.test(errors), child.stderr, `it said ${pattern}`),
    wrote: bytes => until(() => length >= bytes, child.stdout, `it wrote ${bytes} bytes`),
    signal: signal => void child.kill(signal),
    ended: () => closed,
  }
}
