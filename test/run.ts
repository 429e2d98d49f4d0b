/**
 * Runs the tests: `prepare` brings what they need, `check` the fast ones, `test` all of them, `soak` the long
 * forms. Closes with one line of counts.
 */
import { globSync } from 'node:fs'
import { availableParallelism } from 'node:os'
import { join } from 'node:path'
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
      concurrency: 3,
      patterns: [
        'log/kafka-faults.test.ts',
        'log/!(embedded).test.ts',
        'gateway/*.test.ts',
        'cli/*.test.ts',
        'container/*.test.ts',
        ...fast,
      ],
    },
    // What plays many odd broadcasts, or hides pages for long, is in the long form alone.
    { concurrency: 1, patterns: ['e2e/!(media-source-odd|hidden).test.ts'] },
  ],
  soak: [{ concurrency: 1, patterns: ['soak/*.test.ts', 'cli/watch-faults.test.ts', 'e2e/*.test.ts'] }],
}

const [what = 'test'] = process.argv.slice(2)
if (what === 'prepare') prepare()
else await runGroup(what)

async function runGroup(name: string): Promise<void> {
  const batches = groups[name]
  if (batches === undefined) throw new Error(`There is no group of tests named ${name}`)
  const counts = { passed: 0, failed: 0, skipped: 0 }
  for (const batch of batches) await runBatch(batch, name === 'soak', counts)
  // In CI everything that a test needs is there: a skipped test is a broken one.
  if (counts.passed === 0 || (process.env.CI === 'true' && counts.skipped > 0)) process.exitCode = 1
  process.stdout.write(`${counts.passed} passed, ${counts.failed} failed, ${counts.skipped} skipped\n`)
}

async function runBatch(
  { concurrency, patterns }: Batch,
  isSoak: boolean,
  counts: { passed: number; failed: number; skipped: number },
): Promise<void> {
  const found = patterns.flatMap(pattern => globSync(pattern, { cwd: folder }))
  const stream = run({
    files: [...new Set(found)].map(file => join(folder, file)),
    concurrency,
    timeout: isSoak ? 3_600_000 : 600_000,
    env: { ...process.env, ...(isSoak ? { SOAK: '1' } : {}) },
  })
  stream.on('test:pass', ({ details, skip, todo }) => {
    if (details.type === 'suite') return
    if (skip !== undefined || todo !== undefined) counts.skipped += 1
    else counts.passed += 1
  })
  stream.on('test:fail', ({ details }) => {
    if (details.type !== 'suite') counts.failed += 1
    process.exitCode = 1
  })
  const output = stream.compose(spec)
  output.pipe(process.stdout, { end: false })
  await new Promise(resolve => output.once('end', resolve))
}
