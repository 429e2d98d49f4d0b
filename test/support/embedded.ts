/** An embedded log of its own for the tests of one suite. */
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before } from 'node:test'
import { openEmbeddedLog } from '../../src/log/embedded/embedded-log.ts'
import type { Log } from '../../src/log/log.ts'

/** To be called in a suite: opens the log before its tests and removes it after them. */
export function useEmbeddedLog(name: string, onOpen: (log: Log) => void): void {
  const dir = mkdtempSync(join(tmpdir(), `framelog-${name}-`))
  let log: Log
  before(async () => {
    log = await openEmbeddedLog({ dir })
    onOpen(log)
  })
  after(async () => {
    await log[Symbol.asyncDispose]()
    rmSync(dir, { recursive: true, force: true })
  })
}
