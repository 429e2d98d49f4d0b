/** Many stores, each copied, killed and damaged many times: `node --test` with SOAK=1; a failure names its seed. */
import { rmSync } from 'node:fs'
import { after, describe, it } from 'node:test'
import { newRoot, runLife } from '../support/power.ts'

const root = newRoot()
after(() => rmSync(root, { recursive: true, force: true }))

describe('the embedded log after many power cuts', { timeout: 3_000_000 }, () => {
  const lives = process.env.SOAK === undefined ? 1 : 25
  for (let seed = 1000; seed < 1000 + lives; seed++) {
    it(`has of each topic a run of what was written (seed ${seed})`, async () => {
      await runLife(root, seed, 32, seed % 2 === 0 ? 'commit' : 'always')
    })
  }
})
