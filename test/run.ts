/**
 * Runs the tests: `prepare` brings what they need, `check` the fast ones, `test` all of them, `soak` the long
 * forms. Closes with one line of counts.
 */
import { globSync, readFileSync } from 'node:fs'
import { availableParallelism } from 'node:os'
import { join, relative } from 'node:path'
import { run } from 'node:test'
import { spec } from 'node:test/reporters'
import { prepare } from './support/prepare.ts'

const folder = import.meta.dirname

/** How many files run beside each other: brokers and clients mostly wait, browsers want the machine for themselves. */
interface Batch {
  readonly concurrency: number
  readonly patterns: readonly string[]
}

/** Fast, and needing nothing that is not in the clone. */
const fast = ['unit/*.test.ts', 'browser/*.test.ts', 'log/embedded.test.ts']
const groups: Readonly<Record<string, readonly Batch[]>> = {
  check: [{ concurrency: availableParallelism(), patterns: fast }],
  test: [
    // The longest first.
    {
      concurrency: 4,
      patterns: [
        'log/kafka-faults.test.ts',
        'log/!(embedded).test.ts',
        'gateway/*.test.ts',
        'bench/*.test.ts',
        'cli/*.test.ts',
        'container/*.test.ts',
        ...fast,
      ],
    },
    // What plays many odd broadcasts, hides pages for long, or stands in for another engine's source, is in the long form alone.
    { concurrency: 1, patterns: ['e2e/!(media-source-odd|hidden|hidden-studio|managed-source).test.ts'] },
  ],
  soak: [
    { concurrency: 1, patterns: ['soak/*.test.ts', 'cli/watch-faults.test.ts', 'e2e/!(kills).test.ts'] },
  ],
}

/** Milliseconds that a file may take, whatever its tests' own limits are. */
const limits = { test: 900_000, soak: 3_600_000 } as const

interface Counts {
  passed: number
  failed: number
  skipped: number
}

const [what = 'test'] = process.argv.slice(2)
if (what === 'prepare') prepare()
else await runGroup(what)

async function runGroup(name: string): Promise<void> {
  const batches = groups[name]
  if (batches === undefined) throw new Error(`There is no group of tests named ${name}`)
  const counts: Counts = { passed: 0, failed: 0, skipped: 0 }
  for (const batch of batches) await runBatch(batch, name === 'soak', counts)
  // In CI everything that a test needs is there: a skipped test is a broken one.
  if (counts.passed === 0 || (process.env.CI === 'true' && counts.skipped > 0)) process.exitCode = 1
  process.stdout.write(`${counts.passed} passed, ${counts.failed} failed, ${counts.skipped} skipped\n`)
}

/** One file at a time and worker, each with a stream of its own: what it says is printed whole when it has ended. */
async function runBatch({ concurrency, patterns }: Batch, isSoak: boolean, counts: Counts): Promise<void> {
  const found = patterns.flatMap(pattern => globSync(pattern, { cwd: folder }))
  const files = [...new Set(found)].map(file => join(folder, file))
  const work = async (): Promise<void> => {
    for (let file = files.shift(); file !== undefined; file = files.shift())
      await runFile(file, isSoak, counts)
  }
  await Promise.all(Array.from({ length: concurrency }, work))
}

async function runFile(file: string, isSoak: boolean, counts: Counts): Promise<void> {
  const stream = run({ files: [file], env: { ...process.env, ...(isSoak ? { SOAK: '1' } : {}) } })
  stream.on('test:pass', ({ details, skip, todo }) => {
    if (details.type === 'suite') return
    if (skip !== undefined || todo !== undefined) counts.skipped += 1
    else counts.passed += 1
  })
  stream.on('test:fail', ({ details }) => {
    if (details.type !== 'suite') counts.failed += 1
    process.exitCode = 1
  })
  const limit = isSoak ? limits.soak : limits.test
  const watchdog = setTimeout(() => {
    process.stdout.write(`✖ ${relative(process.cwd(), file)} did not end within ${limit / 60_000} minutes\n`)
    counts.failed += 1
    process.exitCode = 1
    endProcesses(file)
  }, limit)
  const output: Buffer[] = []
  for await (const text of stream.compose(spec)) output.push(Buffer.from(text))
  clearTimeout(watchdog)
  process.stdout.write(Buffer.concat(output))
}

/**
 * Ends a test file's process and all that it started. Node's own limit does not: it stops waiting for the tests, and
 * then waits for ever for a process that something which was left open keeps alive.
 */
function endProcesses(file: string): void {
  const all = globSync('/proc/[0-9]*/stat').flatMap(path => {
    try {
      const [, pid, parent] = /^(\d+) \(.*\) \S (\d+)/s.exec(readFileSync(path, 'utf8')) ?? []
      const command = readFileSync(join(path, '../cmdline'), 'utf8').split('\0')
      return [{ pid: Number(pid), parent: Number(parent), command }]
    } catch {
      // It ended meanwhile.
      return []
    }
  })
  const below = (parent: number): number[] =>
    all.flatMap(process => (process.parent === parent ? [process.pid, ...below(process.pid)] : []))
  for (const { pid } of all.filter(({ parent, command }) => parent === process.pid && command.includes(file)))
    for (const each of [pid, ...below(pid)]) process.kill(each, 'SIGKILL')
}
