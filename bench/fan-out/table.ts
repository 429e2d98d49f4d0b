/** The results as a markdown table: medians over the rounds, of frames that are missing the worst round's. */
import type { Results } from './results.ts'

type Cell = (results: Results, viewers: number, name: string) => number

const columns: readonly { readonly head: string; readonly of: Cell; readonly digits: number }[] = [
  { head: 'CPU s/Gbit', of: (all, ...one) => all.median(...one, 'perGigabit'), digits: 3 },
  { head: '÷ floor', of: (all, ...one) => all.ratio(...one, 'floor'), digits: 2 },
  { head: 'of a core, %', of: (all, ...one) => 100 * all.median(...one, 'share'), digits: 1 },
  { head: 'frames missing', of: (all, ...one) => all.missing(...one), digits: 0 },
  { head: 'age p50, ms', of: (all, ...one) => age(all, ...one, 'p50'), digits: 2 },
  { head: 'p99', of: (all, ...one) => age(all, ...one, 'p99'), digits: 2 },
  { head: 'memory, MiB', of: (all, ...one) => all.median(...one, 'memory') / 1024 ** 2, digits: 0 },
  { head: 'KB a viewer', of: (all, ...one) => all.kilobytes(...one), digits: 1 },
]

export function table(results: Results): string {
  const lines = [
    row(['viewers', '', ...columns.map(({ head }) => head)]),
    row(['--:', '---', ...columns.map(() => '--:')]),
  ]
  for (const viewers of results.crowds) {
    for (const name of results.names) {
      const cells = columns.map(({ of, digits }) => fixed(of(results, viewers, name), digits))
      lines.push(row([String(viewers), name, ...cells]))
    }
  }
  return lines.join('\n')
}

function age(results: Results, viewers: number, name: string, figure: 'p50' | 'p99'): number {
  const isTold = results.of(viewers, name).every(({ tellsAge }) => tellsAge)
  return isTold ? results.median(viewers, name, figure) / 1000 : Number.NaN
}

const fixed = (value: number, digits: number): string => (Number.isNaN(value) ? '' : value.toFixed(digits))

const row = (cells: readonly string[]): string => `| ${cells.join(' | ')} |`
