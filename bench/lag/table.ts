/**
 * The results as a markdown table: medians over the rounds that others left alone. Where there are none, over all, with a
 * star and without a ratio, which would compare what others did.
 */
import { median } from './figures.ts'
import { isCalm, type Measured, type Outcome } from './measure.ts'
import type { Curve } from './plot.ts'
import { referenceOf, type Subject } from './subjects.ts'

export type Results = ReadonlyMap<Subject, readonly Outcome[]>

export interface Column {
  readonly head: string
  readonly of: (figures: Measured) => number | undefined
  readonly digits?: number
  readonly unit?: string
}

const lagColumns: readonly Column[] = [
  { head: 'first picture', of: ({ join }) => join },
  { head: 'p50', of: ({ p50 }) => p50 },
  { head: 'p95', of: ({ p95 }) => p95 },
  { head: 'p99', of: ({ p99 }) => p99 },
  { head: 'max', of: ({ max }) => max },
  { head: 'last 5 s', of: ({ settled }) => settled },
  { head: 'when new', of: ({ fresh }) => fresh },
  { head: 'pictures/s', of: ({ pictures }) => pictures, digits: 1 },
  { head: 'freezes', of: ({ freezes }) => freezes },
  { head: 'longest gap', of: ({ gap }) => gap },
  { head: 'back', of: ({ back }) => back },
  { head: 'sound missing', of: ({ missing }) => missing, digits: 2, unit: ' %' },
  { head: 'misread', of: ({ misread }) => misread },
  { head: 'machine busy', of: ({ load }) => load.busy, unit: ' %' },
  { head: 'by others', of: ({ load }) => load.others, unit: ' %' },
]

export function table(results: Results): string {
  return markdown(headsOf(lagColumns), rowsOf(results, lagColumns))
}

export const headsOf = (columns: readonly Column[]): string[] => [
  '',
  ...columns.map(({ head }) => head),
  'rounds',
  'p50 ÷ WebRTC',
]

/** @param rows cells, the first of each a name */
export function markdown(heads: readonly string[], rows: readonly (readonly string[])[]): string {
  return [heads, heads.map((_, i) => (i === 0 ? '---' : '--:')), ...rows].map(row).join('\n')
}

export function rowsOf(results: Results, columns: readonly Column[]): string[][] {
  const rows: string[][] = []
  for (const [subject, outcomes] of results) {
    const own = settle(outcomes)
    const name = own.calm || own.seen.length === 0 ? subject.name : `${subject.name} *`
    const values =
      own.seen.length === 0
        ? missing(outcomes, columns.length)
        : [
            ...cells(own.seen, columns),
            `${own.seen.length} of ${outcomes.length}`,
            ratio(own, settle(outcomesOf(results, referenceOf(subject)))),
          ]
    rows.push([name, ...values])
  }
  return rows
}

/** What was seen of each subject, over the rounds that the table counts. */
export function curvesOf(results: Results): Curve[] {
  return [...results].flatMap(([{ name }, outcomes]) => {
    const ages = settle(outcomes).seen.flatMap(figures => figures.ages)
    return ages.length === 0 ? [] : [{ name, ages }]
  })
}

const outcomesOf = (results: Results, wanted: string): readonly Outcome[] =>
  [...results].find(([{ name }]) => name === wanted)?.[1] ?? []

function ratio(own: Settled, base: Settled): string {
  const p50 = ({ seen }: Settled): number => median(seen.map(figures => figures.p50))
  return own.calm && base.calm ? (p50(own) / p50(base)).toFixed(2) : ''
}

interface Settled {
  readonly seen: readonly Measured[]
  readonly calm: boolean
}

function settle(outcomes: readonly Outcome[]): Settled {
  const all = outcomes.flatMap(outcome => (outcome.kind === 'measured' ? [outcome.figures] : []))
  const calm = all.filter(isCalm)
  return calm.length > 0 ? { seen: calm, calm: true } : { seen: all, calm: false }
}

function cells(seen: readonly Measured[], columns: readonly Column[]): string[] {
  return columns.map(column => {
    const known = seen.map(column.of).filter(value => value !== undefined)
    return known.length === 0 ? '' : median(known).toFixed(column.digits ?? 0) + (column.unit ?? '')
  })
}

function missing(outcomes: readonly Outcome[], columns: number): string[] {
  const why = outcomes.some(({ kind }) => kind === 'failed') ? 'failed' : 'not in these pages'
  return [why, ...Array<string>(columns + 1).fill('')]
}

const row = (cells: readonly string[]): string => `| ${cells.join(' | ')} |`
