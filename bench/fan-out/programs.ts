/** The references' programs: how those in C are built, and how all are ended. */
import { type ChildProcess, spawnSync } from 'node:child_process'
import { once } from 'node:events'
import { existsSync, mkdirSync, statSync } from 'node:fs'
import { join } from 'node:path'

const folder = join(import.meta.dirname, '..', '..', 'build', 'fan-out')

/** @returns the path of a program, built where its source is newer. @throws Error that says what is missing */
export function programOf(name: 'viewers' | 'floor'): string {
  const source = join(import.meta.dirname, `${name}.c`)
  const program = join(folder, name)
  if (existsSync(program) && statSync(program).mtimeMs > statSync(source).mtimeMs) return program
  mkdirSync(folder, { recursive: true })
  const { status, stderr, error } = spawnSync('cc', ['-O2', '-Wall', '-o', program, source], {
    encoding: 'utf8',
  })
  if (error !== undefined)
    throw new Error('The fan-out bench needs a C compiler, cc (Debian: apt-get install gcc libc6-dev).')
  if (status !== 0) throw new Error(`cc ${source}:\n${stderr}`)
  return program
}

/** Where it has not ended by itself. */
export async function endProcess(child: ChildProcess): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return
  child.kill()
  await once(child, 'exit')
}
