/** What was wanted of ours, and what it came to: a line for each goal of each subject that was measured with what it needs. */
import type { Results } from './results.ts'

interface Goal {
  /** Behind the subject's name. */
  readonly what: string
  readonly names: readonly string[]
  /** Undefined: it is only told. */
  readonly most?: number
  readonly under?: true
  /** Viewers from which on it is wanted. */
  readonly from?: number
  readonly digits: number
  readonly of: (results: Results, viewers: number, name: string) => number
}

const prompt = 'framelog'
const gathered = 'framelog, gathered'
const oneBroker = 'framelog, one broker'
const twoWorkers = 'framelog, one broker, 2 workers'
const ours = [prompt, gathered, oneBroker, twoWorkers]

const against = (reference: string, names: readonly string[]) => ({
  what: `÷ ${reference}`,
  names,
  digits: 2,
  of: (results: Results, viewers: number, name: string) => results.ratio(viewers, name, reference),
})

const goalList: readonly Goal[] = [
  { ...against('floor', [prompt]), most: 1.2, from: 1000 },
  { ...against('net.write', [prompt]), from: 1000 },
  { ...against('floor', [gathered]), most: 1, under: true, from: 1000 },
  { ...against('node-media-server', [prompt, gathered]), most: 1, under: true },
  { ...against('ws.send', [prompt, gathered]), most: 1, under: true, from: 500 },
  {
    what: '÷ floor, growth since the smallest crowd',
    names: ours,
    most: 1.2,
    digits: 2,
    of: (results, viewers, name) => results.growth(viewers, name, 'floor'),
  },
  { ...against(oneBroker, [twoWorkers]), most: 1.15, from: 1000 },
  {
    what: 'KB a viewer',
    names: ours,
    most: 30,
    from: 1000,
    digits: 1,
    of: (results, viewers, name) => results.kilobytes(viewers, name),
  },
  {
    what: 'frames missing',
    names: ours,
    most: 0,
    digits: 0,
    of: (results, viewers, name) => results.missing(viewers, name),
  },
]

/** Where no number of viewers is there that a goal is of, it has no line. */
export function goals(results: Results): string[] {
  return goalList.flatMap(goal =>
    goal.names.flatMap(name => {
      const crowds = results.crowds.toSorted((a, b) => a - b).filter(viewers => viewers >= (goal.from ?? 0))
      const found = crowds
        .map(viewers => ({ viewers, value: goal.of(results, viewers, name) }))
        .filter(({ value }) => Number.isFinite(value))
      if (found.length === 0) return []
      const values = found.map(({ viewers, value }) => `${value.toFixed(goal.digits)} at ${viewers}`)
      const told = `${name} ${goal.what} ${values.join(', ')}`
      return [
        goal.most === undefined ? `told: ${told}` : `${verdict(goal, found)}: ${told}, wanted ${limit(goal)}`,
      ]
    }),
  )
}

function verdict({ most = 0, under }: Goal, found: readonly { readonly value: number }[]): string {
  return found.every(({ value }) => (under ? value < most : value <= most)) ? 'met' : 'MISSED'
}

const limit = ({ most = 0, under }: Goal): string =>
  under ? `below ${most}` : most === 0 ? 'none' : `at most ${most}`
