import assert from 'node:assert/strict'
import { readFile, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { describe, it } from 'node:test'
import fc from 'fast-check'
import { figuresOf, slope } from '../../bench/lag/figures.ts'
import type { Outcome } from '../../bench/lag/measure.ts'
import { plotAges } from '../../bench/lag/plot.ts'
import { readSettings } from '../../bench/lag/settings.ts'
import { clockBlocks, readClock } from '../../bench/lag/strip.ts'
import { subjects } from '../../bench/lag/subjects.ts'
import { table } from '../../bench/lag/table.ts'

const noon = Date.UTC(2026, 0, 1, 12)
/** What an encoder and its colour range leave of black and white. */
const levelsOf = (clock: number): number[] => clockBlocks(clock).map(white => (white ? 231 : 19))

describe('the clock in the picture', () => {
  it('is read back, also after its bits have come round', () => {
    fc.assert(
      fc.property(fc.integer({ min: 0, max: 2 ** 26 }), fc.integer({ min: 0, max: 60_000 }), (after, age) => {
        assert.equal(readClock(levelsOf(noon + after), noon + after + age), noon + after)
      }),
    )
  })

  it('is not read where a block is wrong, wherever it is', () => {
    fc.assert(
      fc.property(fc.integer({ min: 0, max: 2 ** 24 }), after => {
        for (let i = 0; i < 32; i++) {
          const levels = levelsOf(noon + after)
          levels[i] = 250 - (levels[i] ?? 0)
          assert.equal(readClock(levels, noon + after), undefined, `block ${i}`)
        }
      }),
      { numRuns: 50 },
    )
  })

  it('is not read where two pictures are mixed', () => {
    const [one, other] = [levelsOf(noon), levelsOf(noon + 33)]
    const mixed = one.map((level, i) => (level + (other[i] ?? 0)) / 2)
    assert.equal(readClock(mixed, noon + 40), undefined)
  })

  it('is not read from an empty picture, a white one, or one without blocks', () => {
    for (const level of [0, 16, 128, 235, 255])
      assert.equal(readClock(Array(32).fill(level), noon), undefined)
    assert.equal(readClock([], noon), undefined)
  })

  it('is not believed where it is minutes off', () => {
    assert.equal(readClock(levelsOf(noon), noon + 300_000), undefined)
    assert.equal(readClock(levelsOf(noon), noon - 300_000), undefined)
  })
})

describe('the figures', () => {
  /** A picture every 40 ms, 100 ms old when it comes, looked at every 20 ms. */
  const steady = Array.from({ length: 100 }, (_, i) => ({ at: i * 20, clock: Math.floor(i / 2) * 40 - 100 }))

  it('tell age, rate and newness of a steady stream', () => {
    const figures = figuresOf(steady, 2000)
    assert.equal(figures?.p50, 100)
    assert.equal(figures?.max, 120)
    assert.equal(figures?.fresh, 100)
    assert.equal(figures?.pictures, 24.5)
    assert.equal(figures?.freezes, 0)
    assert.equal(figures?.gap, 40)
    assert.equal(figures?.back, 0)
  })

  it('count a freeze in the middle and one at the end', () => {
    const frozen = steady.filter(({ at }) => at < 600 || at >= 1000)
    assert.equal(figuresOf(frozen, 2000)?.freezes, 1)
    assert.equal(figuresOf(frozen, 2300)?.freezes, 2)
  })

  it('count an older picture after a newer one', () => {
    const back = [...steady, { at: 2000, clock: 100 }]
    assert.equal(figuresOf(back, 2020)?.back, 1)
  })

  it('are none where nothing moves', () => {
    assert.equal(figuresOf([], 100), undefined)
    assert.equal(
      figuresOf(
        [0, 20, 40].map(at => ({ at, clock: 0 })),
        60,
      ),
      undefined,
    )
  })

  it('find the slope of a line', () => {
    assert.equal(slope([0, 1, 2, 5].map(x => ({ x, y: 3 * x + 7 }))), 3)
  })
})

describe('the plot', () => {
  it('has a line for each subject, with its name', async () => {
    const file = join(tmpdir(), `framelog-plot-${process.pid}.svg`)
    await plotAges(file, [
      { name: 'one', ages: [10, 20, 30] },
      { name: 'another', ages: [40, 30] },
    ])
    const svg = await readFile(file, 'utf8')
    await rm(file)
    assert.equal(svg.match(/aria-roledescription="line mark"/g)?.length, 2)
    assert.match(svg, /another/)
  })
})

describe('the table', () => {
  const [screen, peer, picture, player, mutedPlayer, absent] = subjects
  assert.ok(screen && peer && picture && player && mutedPlayer && absent)
  const seen = (p50: number, others: number): Outcome => ({
    kind: 'measured',
    figures: {
      ...{ p50, p95: p50, p99: p50, max: p50, settled: p50, fresh: p50 },
      ...{ pictures: 30, freezes: 0, gap: 40, back: 0, misread: 0 },
      ages: [p50, p50 + 1],
      ...{ clockOffset: 0, look: 0.2, size: '640x360', load: { busy: 50, others } },
    },
  })
  const cellsOf = (line: string | undefined): string[] => (line ?? '').split('|').map(cell => cell.trim())

  it('takes the median of the rounds that others left alone, and compares each with its reference', () => {
    const lines = table(
      new Map([
        [screen, [seen(10, 60), seen(30, 60)]],
        [peer, [seen(40, 0), seen(400, 60)]],
        [picture, [seen(20, 0), seen(20, 0)]],
        [player, [seen(50, 3), seen(70, 4)]],
        [mutedPlayer, [seen(30, 0), seen(30, 0)]],
        [absent, [{ kind: 'absent' }, { kind: 'absent' }]],
      ]),
    ).split('\n')
    const rows = lines.slice(2).map(cellsOf)
    assert.deepEqual(
      rows.map(cells => [cells[1], cells[3], cells.at(-3), cells.at(-2)]),
      [
        [`${screen.name} *`, '20', '2 of 2', ''],
        [peer.name, '40', '1 of 2', '1.00'],
        [picture.name, '20', '2 of 2', '1.00'],
        [player.name, '60', '2 of 2', '1.50'],
        [mutedPlayer.name, '30', '2 of 2', '1.50'],
        [absent.name, '', '', ''],
      ],
    )
    assert.ok(lines.every(line => cellsOf(line).length === cellsOf(lines[0]).length))
  })
})

describe('the settings', () => {
  it('have defaults, and say which variable is wrong', () => {
    assert.deepEqual(readSettings({}).logs, ['embedded', 'kafka'])
    assert.throws(() => readSettings({ LAG_LOGS: 'embedded,pulsar' }), /LAG_LOGS/)
    assert.throws(() => readSettings({ LAG_SECONDS: 'long' }), /LAG_SECONDS/)
    assert.throws(() => readSettings({ LAG_ONLY: '(' }), /LAG_ONLY/)
  })
})
