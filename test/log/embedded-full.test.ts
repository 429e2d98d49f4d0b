import assert from 'node:assert/strict'
import { join } from 'node:path'
import { describe, it } from 'node:test'
import { runOnSmallDisk } from '../support/full-disk.ts'

const script = join(import.meta.dirname, '..', 'support', 'full-disk-script.ts')
const scenarios = {
  append: 'keeps what it acknowledged, and goes on when there is room again',
  open: 'is not opened without room for a new store, and says so',
  create: 'makes no topic, keeps those that are there, and makes more when there is room',
  rebuild: 'leaves a damaged store as it is until there is room to build it anew',
  delete: 'deletes topics, and what that frees is used',
}

for (const [kind, where] of [
  [undefined, 'a full disk'],
  ['limit', 'a limit on the size of files'],
] as const) {
  describe(`the embedded log with ${where}`, { timeout: 120_000 }, () => {
    for (const [name, sentence] of Object.entries(scenarios)) {
      it(sentence, () => {
        const { status, signal, stderr, stdout } = runOnSmallDisk(script, [name], kind)
        assert.equal(status, 0, `${signal ?? ''}${stdout}${stderr}`)
      })
    }
  })
}
