/** All conditions in one table, and what each link was seen to be under it. */
import type { Measured, Outcome } from '../lag/measure.ts'
import type { Subject } from '../lag/subjects.ts'
import { type Column, headsOf, markdown, rowsOf } from '../lag/table.ts'
import type { Count } from './besides.ts'
import type { Condition } from './conditions.ts'

export interface Checked {
  /** What the check of the links said. */
  readonly check: string
  readonly outcomes: Map<Subject, Outcome[]>
}

const count =
  (name: Count) =>
  ({ besides }: Measured): number | undefined =>
    besides?.[name]

const columns: readonly Column[] = [
  { head: 'first picture', of: ({ join }) => join },
  { head: 'p50', of: ({ p50 }) => p50 },
  { head: 'p95', of: ({ p95 }) => p95 },
  { head: 'p99', of: ({ p99 }) => p99 },
  { head: 'max', of: ({ max }) => max },
  { head: 'pictures/s', of: ({ pictures }) => pictures, digits: 1 },
  { head: 'freezes', of: ({ freezes }) => freezes },
  { head: 'longest gap', of: ({ gap }) => gap },
  { head: 'sound missing', of: ({ missing }) => missing, digits: 1, unit: ' %' },
  { head: 'kb/s up', of: count('up') },
  { head: 'kb/s down', of: count('down') },
  { head: 'packets lost', of: count('lost') },
  { head: 'dropped', of: count('dropped') },
  { head: 'machine busy', of: ({ load }) => load.busy, unit: ' %' },
  { head: 'by others', of: ({ load }) => load.others, unit: ' %' },
  { head: 'relay late', of: count('late'), digits: 1 },
]

export function networkTable(results: ReadonlyMap<Condition, Checked>): string {
  const rows = [...results].flatMap(([{ name }, { outcomes }]) =>
    rowsOf(outcomes, columns).map(cells => [name, ...cells]),
  )
  const links = [...results].map(([{ name }, { check }]) => `- ${name}: ${check}`)
  return `${markdown(['', ...headsOf(columns)], rows)}\n\nThe links, as measured:\n\n${links.join('\n')}`
}
