import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import type { Measured, Outcome } from '../../bench/lag/measure.ts'
import { subjects } from '../../bench/lag/subjects.ts'
import { conditions, directionsOf } from '../../bench/network/conditions.ts'
import { readSettings } from '../../bench/network/settings.ts'
import { networkTable } from '../../bench/network/table.ts'

describe('the conditions of the network bench', () => {
  it('divide what a page-to-page way is like over its links', () => {
    for (const condition of conditions) {
      const directions = directionsOf(condition, 1)
      const roundTrip = directions.reduce((sum, { delay }) => sum + delay, 0)
      assert.equal(roundTrip, condition.roundTrip, condition.name)
      const [, up, down] = directions
      assert.ok(up && down)
      const arrives = (1 - up.loss) * (1 - down.loss)
      assert.ok(Math.abs(1 - arrives - (condition.loss ?? 0)) < 1e-12, condition.name)
      assert.equal(up.jitter + down.jitter, condition.jitter ?? 0, condition.name)
      assert.equal(new Set(directions.map(({ seed }) => seed)).size, 4)
    }
  })

  it('slow the viewer’s link alone where they say so', () => {
    const slow = directionsOf({ name: '', roundTrip: 0, rate: 1000, slow: 'viewer' }, 1)
    assert.deepEqual(
      slow.map(({ rate }) => rate),
      [0, 0, 1000, 1000],
    )
  })
})

describe('the settings of the network bench', () => {
  it('have defaults, and say which variable is wrong', () => {
    assert.equal(readSettings({}).log, 'embedded')
    assert.equal(readSettings({ NETWORK_LOG: 'kafka' }).log, 'kafka')
    assert.throws(() => readSettings({ NETWORK_LOG: 'pulsar' }), /NETWORK_LOG/)
    assert.throws(() => readSettings({ NETWORK_SECONDS: '0' }), /NETWORK_SECONDS/)
    assert.throws(() => readSettings({ NETWORK_ONLY: '(' }), /NETWORK_ONLY/)
  })
})

it('the table of the network bench has a row for each subject under each condition, and what its links were', () => {
  const [condition] = conditions
  const [, peer, , player] = subjects
  assert.ok(condition && peer && player)
  const seen = (p50: number, besides: Measured['besides'] & {}, missing?: number): Outcome => ({
    kind: 'measured',
    figures: {
      ...{ p50, p95: p50, p99: p50, max: p50, settled: p50, fresh: p50 },
      ages: [p50],
      ...{ pictures: 30, freezes: 0, gap: 40, back: 0, misread: 0 },
      ...{ clockOffset: 0, look: 0.2, size: '640x360', load: { busy: 50, others: 0 }, besides },
      ...(missing === undefined ? {} : { missing }),
    },
  })
  const outcomes = new Map([
    [peer, [seen(40, { up: 900, down: 800 }, 1.25)]],
    [player, [seen(60, { up: 700, down: 600 })]],
  ])
  const lines = networkTable(new Map([[condition, { check: 'as wanted', outcomes }]])).split('\n')
  const rows = lines.slice(2, 4).map(line => line.split('|').map(cell => cell.trim()))
  assert.deepEqual(
    rows.map(cells => [cells[1], cells[2], cells[4], cells[11], cells[13], cells.at(-2)]),
    [
      [condition.name, peer.name, '40', '1.3 %', '800', '1.00'],
      [condition.name, player.name, '60', '', '600', '1.50'],
    ],
  )
  assert.ok(lines.includes(`- ${condition.name}: as wanted`))
  const [heads, under] = lines
  assert.equal(heads?.split('|').length, rows[0]?.length)
  assert.equal(under?.split('|').length, rows[0]?.length)
})
