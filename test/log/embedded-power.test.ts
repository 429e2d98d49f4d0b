import { rmSync } from 'node:fs'
import { after, describe, it } from 'node:test'
import { newRoot, runLife } from '../support/power.ts'

const root = newRoot()
after(() => rmSync(root, { recursive: true, force: true }))

describe('the embedded log after a power cut, a torn copy, or lost pages', { timeout: 120_000 }, () => {
  for (const sync of ['commit', 'always'] as const) {
    it(`has of each topic a run of what was written, and goes on behind it (${sync})`, async () => {
      await runLife(root, sync === 'commit' ? 101 : 202, 16, sync)
    })
  }
})
