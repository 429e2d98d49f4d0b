import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after } from 'node:test'
import { openEmbeddedLog } from '../../src/log/embedded/embedded-log.ts'
import { logContract } from './contract.ts'

const root = mkdtempSync(join(tmpdir(), 'framelog-embedded-'))
after(() => rmSync(root, { recursive: true, force: true }))

logContract('the embedded log', options =>
  openEmbeddedLog({ dir: mkdtempSync(join(root, 'log-')), ...options }),
)
