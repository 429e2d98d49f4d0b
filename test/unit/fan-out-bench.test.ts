import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { stayOf } from '../../bench/churn/load.ts'
import { goals as churnGoals, table as churnTable } from '../../bench/churn/table.ts'
import { goals } from '../../bench/fan-out/goals.ts'
import type { Outcome } from '../../bench/fan-out/measure.ts'
import { Results } from '../../bench/fan-out/results.ts'
import { needsBroker, readNames } from '../../bench/fan-out/subjects.ts'
import { table } from '../../bench/fan-out/table.ts'
import { familyOf, timeBetween } from '../../bench/lag/processors.ts'

const mebibyte = 1024 ** 2
const seen = (perGigabit: number, megabytes = 50, missing = 0): Outcome => ({
  ...{ frames: 300, least: 30, most: 30, bytes: 1e6, ended: 0, p50: 4000, p99: 8000, max: 9000, cpu: 1 },
  ...{ tellsAge: true, perGigabit, share: 0.1, memory: megabytes * 1e6, missing },
})

function resultsOf(crowds: readonly number[], all: Readonly<Record<string, readonly Outcome[]>>): Results {
  const results = new Results(crowds, Object.keys(all))
  for (const [name, outcomes] of Object.entries(all))
    for (const [i, outcome] of outcomes.entries()) results.add(crowds[i] ?? 0, name, outcome)
  return results
}

describe('the table of a fan-out', () => {
  const results = resultsOf([50, 1050], {
    floor: [seen(0.1), seen(0.05)],
    framelog: [seen(0.4), seen(0.08, 80, 3)],
  })
  results.add(1050, 'framelog', seen(0.08, 80))

  it('has memory for each viewer beyond the smallest crowd, and the worst round of what is missing', () => {
    const rows = table(results)
      .split('\n')
      .slice(2)
      .map(line => line.split('|').map(cell => cell.trim()))
    assert.deepEqual(
      rows.map(cells => [cells[1], cells[2], cells[4], cells[6], cells[10]]),
      [
        ['50', 'floor', '1.00', '0', ''],
        ['50', 'framelog', '4.00', '0', ''],
        ['1050', 'floor', '1.00', '0', '0.0'],
        ['1050', 'framelog', '1.60', '3', '30.0'],
      ],
    )
  })

  it('is followed by what was wanted of what is there', () => {
    assert.deepEqual(goals(results), [
      'MISSED: framelog ÷ floor 1.60 at 1050, wanted at most 1.2',
      'met: framelog ÷ floor, growth since the smallest crowd 0.40 at 1050, wanted at most 1.2',
      'met: framelog KB a viewer 30.0 at 1050, wanted at most 30',
      'MISSED: framelog frames missing 0 at 50, 3 at 1050, wanted none',
    ])
  })

  it('compares workers with one process, gathered writes with the floor, and both with other servers', () => {
    const others = resultsOf([1000, 500], {
      floor: [seen(0.1), seen(0.1)],
      'net.write': [seen(0.11), seen(0.12)],
      'ws.send': [seen(0.2), seen(0.1)],
      'node-media-server': [seen(0.2), seen(0.2)],
      framelog: [seen(0.11), seen(0.12)],
      'framelog, gathered': [seen(0.1), seen(0.05)],
      'framelog, one broker': [seen(0.2), seen(0.2)],
      'framelog, one broker, 2 workers': [seen(0.23), seen(0.4)],
    })
    const lines = goals(others)
    for (const line of [
      'met: framelog ÷ floor 1.10 at 1000, wanted at most 1.2',
      'told: framelog ÷ net.write 1.00 at 1000',
      'MISSED: framelog, gathered ÷ floor 1.00 at 1000, wanted below 1',
      'met: framelog ÷ node-media-server 0.60 at 500, 0.55 at 1000, wanted below 1',
      'MISSED: framelog ÷ ws.send 1.20 at 500, 0.55 at 1000, wanted below 1',
      'met: framelog, one broker, 2 workers ÷ framelog, one broker 1.15 at 1000, wanted at most 1.15',
    ])
      assert.ok(lines.includes(line), `${line}\n\n${lines.join('\n')}`)
  })
})

describe('the subjects of a fan-out', () => {
  it('are those without Kafka, or those that are named', () => {
    assert.ok(!readNames(undefined).some(needsBroker))
    const names = readNames('floor; framelog, one broker, 2 workers')
    assert.deepEqual(names.map(needsBroker), [false, true])
    assert.throws(() => readNames('framelog;theirs'), /FANOUT_ONLY takes.* net\.write;/)
  })
})

describe('the time of a process', () => {
  it('is the finer one, unless a thread has taken its part with it', () => {
    assert.equal(timeBetween({ ticks: 100, fine: 104.5 }, { ticks: 220, fine: 228.75 }), 124.25)
    assert.equal(timeBetween({ ticks: 100, fine: 104 }, { ticks: 220, fine: 150 }), 120)
    assert.equal(timeBetween({ ticks: 100, fine: undefined }, { ticks: 220, fine: undefined }), 120)
  })

  it('is asked of all that a process started', () => {
    const parents = [
      [2, 1],
      [3, 2],
      [4, 1],
      [5, 4],
      [6, 3],
    ] as const
    const all = new Map(parents.map(([pid, parent]) => [pid, { parent, time: 0 }]))
    assert.deepEqual(familyOf(2, all), [2, 3, 6])
  })
})

describe('the churn', () => {
  it('has viewers stay as long as makes so many of them', () => {
    const churn = { url: '', id: '', viewers: 300, total: 10_000, seconds: 1800 }
    assert.equal(stayOf(churn), 54)
    assert.equal(stayOf({ ...churn, total: 1_000_000 }), 1)
  })

  it('tells a minute’s memory, and how it grows over the second half', () => {
    const readings = Array.from({ length: 48 }, (_, i) => ({
      minute: i / 12,
      memory: (100 + Math.min(i, 24)) * mebibyte,
      heap: (40 + (i % 12)) * mebibyte,
    }))
    assert.deepEqual(churnTable(readings).split('\n').slice(2), [
      '| 1 | 105.5 | 40.0 |',
      '| 2 | 117.5 | 40.0 |',
      '| 3 | 124.0 | 40.0 |',
      '| 4 | 124.0 | 40.0 |',
    ])
    assert.deepEqual(churnGoals(readings, { joined: 900, lost: 0, ends: {} }, { minutes: 4, total: 1000 }), [
      'met: own memory 0.00 MiB a minute over the second half (0.00 kB for each viewer that came), wanted at most 0.25',
      'MISSED: 900 viewers came, wanted at least 1000',
      'met: 0 frames lost, 0 connections cut off, wanted none',
    ])
    const [flat] = churnGoals(readings, { joined: 900, lost: 0, ends: {} }, { minutes: 2, total: 100 })
    assert.match(flat ?? '', /^MISSED: own memory \d/)
  })
})
