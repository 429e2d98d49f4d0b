/** The results as a markdown table: medians over the rounds. */
import { median } from './figures.ts'
import type { Measured, Outcome } from './measure.ts'
import { reference, type Subject } from './subjects.ts'

export type Results = ReadonlyMap<Subject, readonly Outcome[]>

const columns = [
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
  { head: 'misread', of: ({ misread }) => misread },
  { head: 'machine busy', of: ({ load }) => load.busy, unit: ' %' },
  { head: 'by others', of: ({ load }) => load.others, unit: ' %' },
] as const satisfies readonly {
  readonly head: string
  readonly of: (figures: Measured) => number | undefined
  readonly digits?: number
  readonly unit?: string
}[]

export function table(results: Results): string {
  const heads = ['', ...columns.map(({ head }) => head), 'p50 ÷ WebRTC']
  const lines = [row(heads), row(heads.map((_, i) => (i === 0 ? '---' : '--:')))]
  const base = [...results].find(([{ name }]) => name === reference)?.[1] ?? []
  for (const [subject, outcomes] of results) lines.push(row([subject.name, ...cells(outcomes, base)]))
  return lines.join('\n')
}

function cells(outcomes: readonly Outcome[], base: readonly Outcome[]): string[] {
  const seen = figuresIn(outcomes)
  const failed = outcomes.filter(({ kind }) => kind === 'failed').length
  if (seen.length === 0) return [failed > 0 ? 'failed' : 'not in these pages', ...columns.map(() => '')]
  const values = columns.map(column => {
    const {
      of,
      digits = 0,
      unit = '',
    } = column as (typeof columns)[number] & {
      digits?: number
      unit?: string
    }
    const known = seen.map(of).filter(value => value !== undefined)
    return known.length === 0 ? '' : median(known).toFixed(digits) + unit
  })
  const p50 = (list: readonly Measured[]): number => median(list.map(figures => figures.p50))
  const ratio = p50(seen) / p50(figuresIn(base))
  return [...values, Number.isNaN(ratio) ? '' : ratio.toFixed(2)]
}

const figuresIn = (outcomes: readonly Outcome[]): Measured[] =>
  outcomes.flatMap(outcome => (outcome.kind === 'measured' ? [outcome.figures] : []))

const row = (cells: readonly string[]): string => `| ${cells.join(' | ')} |`
