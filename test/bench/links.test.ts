import assert from 'node:assert/strict'
import { execFile } from 'node:child_process'
import { join } from 'node:path'
import { it } from 'node:test'
import { promisify } from 'node:util'
import type { LinkCheck } from '../../bench/network/check.ts'
import type { Condition } from '../../bench/network/conditions.ts'
import type { LinksReport } from '../../bench/network/links.ts'
import { obstacle } from '../../bench/network/possible.ts'

const reason = obstacle()
const script = join(import.meta.dirname, '..', 'support', 'links.ts')

it('emulated links delay, lose and slow what crosses them, and nothing else gets through', {
  skip: reason ?? false,
  timeout: 60_000,
}, async () => {
  const condition: Condition = { name: 'bad', roundTrip: 60, loss: 0.03, jitter: 4, rate: 2_000_000 }
  const { stdout } = await promisify(execFile)(
    'unshare',
    ['--net', process.execPath, script, JSON.stringify(condition)],
    { timeout: 50_000 },
  )
  const { check, report } = JSON.parse(stdout) as { check: LinkCheck; report: LinksReport }
  assert.ok(check.p50 >= condition.roundTrip, `round trip ${check.p50}`)
  // Of 600 datagrams: four standard deviations.
  for (const lost of [check.lostThere, check.lostBack]) assert.ok(lost > 0 && lost < 0.06, `lost ${lost}`)
  assert.ok(check.rate > 0 && check.rate <= 2_000_000, `rate ${check.rate}`)
  assert.equal(report.directions.length, 4)
  for (const { packets, bytes, lost, overflowed } of report.directions) {
    assert.ok(packets > 600 && bytes > 100_000 && lost > 0)
    assert.equal(overflowed, 0)
  }
})
