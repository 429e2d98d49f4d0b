/**
 * The results as a markdown table: medians over the rounds, in brackets the least and the most of them. A ratio is the
 * median of the rounds' own ratios, each of two measurements that followed each other. Only measurements that others left
 * alone count; a row that has none carries a star, tells what there is, and is not compared.
 */
import { median } from '../lag/figures.ts'
import { isCalm, type Measured, type Outcome } from './measure.ts'
import type { Case } from './settings.ts'
import type { SubjectName } from './subject.ts'

/** Outcomes by round, in the order in which the rounds were. */
export type Results = ReadonlyMap<Case, ReadonlyMap<SubjectName, readonly Outcome[]>>

export interface Conditions {
  /** Of one measurement. */
  readonly seconds: number
}

interface Column {
  readonly head: string
  readonly of: (figures: Measured, its: Case, conditions: Conditions) => number
  readonly digits: number
  readonly spread?: true
}

const requestsOf = ({ requests, frames }: Measured): number => (requests.produce + requests.fetch) / frames
const p50 = ({ delivered }: Measured): number => delivered.p50
const p99 = ({ delivered }: Measured): number => delivered.p99

/** Of each subject, to the bare client in the same round. */
const ratios: readonly { readonly head: string; readonly of: (figures: Measured) => number }[] = [
  { head: 'p50 ÷ bare', of: p50 },
  { head: 'p99 ÷ bare', of: p99 },
  { head: 'CPU ÷ bare', of: ({ cpu }) => cpu },
]

const allColumns: readonly Column[] = [
  { head: 'p50', of: p50, digits: 2, spread: true },
  { head: 'p95', of: ({ delivered }) => delivered.p95, digits: 1 },
  { head: 'p99', of: p99, digits: 1, spread: true },
  { head: 'max', of: ({ delivered }) => delivered.max, digits: 1 },
  { head: 'near refresh p50', of: ({ near }) => near.p50, digits: 1 },
  { head: 'near refresh max', of: ({ near }) => near.max, digits: 1 },
  { head: 'refreshes', of: ({ requests }) => requests.metadata, digits: 0 },
  { head: 'acknowledged p50', of: ({ acknowledged }) => acknowledged.p50, digits: 2 },
  { head: 'acknowledged p99', of: ({ acknowledged }) => acknowledged.p99, digits: 1 },
  { head: 'outside p50', of: ({ outside }) => outside?.p50 ?? Number.NaN, digits: 2 },
  { head: 'outside p99', of: ({ outside }) => outside?.p99 ?? Number.NaN, digits: 1 },
  { head: 'late p99', of: ({ late }) => late.p99, digits: 1 },
  {
    head: 'CPU, ms per broadcast-second',
    of: ({ cpu }, { live }, { seconds }) => (cpu * 1000) / (live * seconds),
    digits: 1,
  },
  { head: 'produce per frame', of: ({ requests, frames }) => requests.produce / frames, digits: 2 },
  { head: 'fetch per frame', of: ({ requests, frames }) => requests.fetch / frames, digits: 2 },
  { head: 'requests per frame', of: requestsOf, digits: 2 },
  {
    head: 'connections per broker',
    of: ({ connections }) => Math.max(...(connections ?? [Number.NaN])),
    digits: 0,
  },
  {
    // The test's own processes are the brokers, the one that is measured, and that of its clients.
    head: 'brokers busy, %',
    of: ({ busy, others, cpu, clients = 0, cores }, _, { seconds }) =>
      busy - (others ?? Number.NaN) - (100 * (cpu + clients)) / (seconds * cores),
    digits: 0,
  },
  { head: 'machine busy, %', of: ({ busy }) => busy, digits: 0 },
  { head: 'by others, %', of: ({ others }) => others ?? Number.NaN, digits: 0 },
]

export function table(results: Results, conditions: Conditions): string {
  const columns = columnsOf(results)
  const heads = ['', ...columns.map(({ head }) => head), 'rounds', ...ratios.map(({ head }) => head)]
  const lines = [row(heads), row(heads.map((_, i) => (i === 0 ? '---' : '--:')))]
  for (const [its, subjects] of results) {
    for (const [subject, outcomes] of subjects) {
      const all = outcomes.flatMap(outcome => (outcome.kind === 'measured' ? [outcome.figures] : []))
      const calm = all.filter(isCalm)
      const seen = calm.length > 0 ? calm : all
      const cells = columns.map(column => {
        const values = seen.map(figures => column.of(figures, its, conditions)).filter(Number.isFinite)
        return column.spread ? spread(values, column.digits) : fixed(median(values), column.digits)
      })
      const whole = seen.filter(({ faults }) => faults.length === 0).length
      const compared = ratios.map(({ of }) => {
        const found = ratiosOf(its, results, subject, of)
        return subject === 'bare' || found.length === 0 ? '' : spread(found, 2)
      })
      lines.push(
        row([
          `${caseName(its)}: ${subject}${calm.length > 0 ? '' : ' *'}`,
          ...cells,
          `${whole} of ${outcomes.length}`,
          ...compared,
        ]),
      )
    }
  }
  return lines.join('\n')
}

/** What is told of no subject has no column. */
function columnsOf(results: Results): readonly Column[] {
  const hasOutside = [...results.values()].some(subjects => subjects.has('gateway'))
  return allColumns.filter(({ head }) => hasOutside || !head.startsWith('outside'))
}

interface Goal {
  readonly what: string
  readonly most: number
  readonly under?: true
  /** Undefined: at any number of broadcasts. */
  readonly live?: number
  readonly values: (its: Case, results: Results) => readonly number[]
}

const goalList: readonly Goal[] = [
  { what: 'p50 ÷ bare', most: 1.15, live: 1, values: (its, all) => ratiosOf(its, all, 'ours', p50) },
  { what: 'p99 ÷ bare', most: 1.4, live: 1, values: (its, all) => ratiosOf(its, all, 'ours', p99) },
  { what: 'gateway, p50 ÷ bare', most: 1.15, values: (its, all) => ratiosOf(its, all, 'gateway', p50) },
  { what: 'gateway, p99 ÷ bare', most: 1.4, values: (its, all) => ratiosOf(its, all, 'gateway', p99) },
  {
    what: 'requests per frame',
    most: 0.5,
    under: true,
    live: 50,
    values: (its, all) => figuresOf(its, all, 'ours').map(figures => (figures ? requestsOf(figures) : NaN)),
  },
]

/** What calm rounds say: a line for each goal of each case that has one, and was measured. */
export function goals(results: Results): string[] {
  return [...results.keys()].flatMap(its =>
    goalList.flatMap(({ what, most, under, live, values }) => {
      const found = median(values(its, results).filter(Number.isFinite))
      if ((live !== undefined && its.live !== live) || Number.isNaN(found)) return []
      const met = under ? found < most : found <= most
      const limit = `${under ? 'below' : 'at most'} ${most}`
      return [`${met ? 'met' : 'MISSED'}: ${caseName(its)}, ${what} ${found.toFixed(2)}, wanted ${limit}`]
    }),
  )
}

export function caseName({ brokers, embedded, live, open }: Case): string {
  const log = `${embedded ? 'embedded beside ' : ''}${brokers} broker${brokers === 1 ? '' : 's'}`
  return `${log}, ${live === open ? live : `${live} of ${open}`}`
}

/** Of each round; undefined where it failed or others were busy. */
function figuresOf(its: Case, results: Results, subject: SubjectName): readonly (Measured | undefined)[] {
  const outcomes = results.get(its)?.get(subject) ?? []
  return outcomes.map(outcome =>
    outcome.kind === 'measured' && isCalm(outcome.figures) ? outcome.figures : undefined,
  )
}

function ratiosOf(
  its: Case,
  results: Results,
  subject: SubjectName,
  of: (figures: Measured) => number,
): readonly number[] {
  const bare = figuresOf(its, results, 'bare')
  return figuresOf(its, results, subject).flatMap((own, round) => {
    const base = bare[round]
    return own && base ? [of(own) / of(base)] : []
  })
}

const fixed = (value: number, digits: number): string => (Number.isNaN(value) ? '' : value.toFixed(digits))

const spread = (values: readonly number[], digits: number): string =>
  values.length < 2
    ? fixed(median(values), digits)
    : `${fixed(median(values), digits)} (${fixed(Math.min(...values), digits)}–${fixed(Math.max(...values), digits)})`

const row = (cells: readonly string[]): string => `| ${cells.join(' | ')} |`
