/**
 * Runs the tests: `prepare` brings what they need, `check` the fast ones, `test` all of them, `soak` the long
 * forms. Closes with one line of counts.
 */
import { globSync } from 'node:fs'
import { join } from 'node:path'
import { run } from 'node:test'
import { spec } from 'node:test/reporters'
import { prepare } from './support/prepare.ts'

const folder = import.meta.dirname

/** Files that may run beside each other, or one at a time: browsers and brokers share the machine's cores. */
interface Batch {
  readonly concurrency: boolean
  readonly patterns: readonly string[]
}

/** Fast, and needing nothing that is not in the clone. */
const fast = ['unit/*.test.ts', 'browser/*.test.ts', 'log/embedded.test.ts']
const groups: Readonly<Record<string, readonly Batch[]>> = {
  check: [{ concurrency: true, patterns: fast }],
  test: [
    { concurrency: true, patterns: [...fast, 'log/embedded-*.test.ts', 'container/*.test.ts'] },
    {
      concurrency: false,
      patterns: ['log/!(embedded*).test.ts', 'gateway/*.test.ts', 'cli/*.test.ts', 'e2e/*.test.ts'],
    },
  ],
  soak: [{ concurrency: false, patterns: ['soak/*.test.ts', 'cli/watch-faults.test.ts', 'e2e/*.test.ts'] }],
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
    concurrency: concurrency || 1,
    timeout: isSoak ? 3_600_000 : 300_000,
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
