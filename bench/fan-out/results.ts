/** What was measured, by the number of viewers and the name of the subject. */
import { median } from '../lag/figures.ts'
import type { Outcome } from './measure.ts'

type Figure = Exclude<keyof Outcome, 'tellsAge'>

export class Results {
  readonly crowds: readonly number[]
  /** In the order of the table. */
  readonly names: readonly string[]
  readonly #outcomes = new Map<string, Outcome[]>()

  constructor(crowds: readonly number[], names: readonly string[]) {
    this.crowds = crowds
    this.names = names
  }

  /** What memory and growth are counted from. */
  get smallest(): number {
    return Math.min(...this.crowds)
  }

  add(viewers: number, name: string, outcome: Outcome): void {
    const key = `${viewers} ${name}`
    this.#outcomes.set(key, [...(this.#outcomes.get(key) ?? []), outcome])
  }

  /** By round. */
  of(viewers: number, name: string): readonly Outcome[] {
    return this.#outcomes.get(`${viewers} ${name}`) ?? []
  }

  /** Over the rounds; NaN where there was none, as of all that follow. */
  median(viewers: number, name: string, figure: Figure): number {
    return median(this.of(viewers, name).map(outcome => outcome[figure]))
  }

  /** Of the worst round. */
  missing(viewers: number, name: string): number {
    const all = this.of(viewers, name).map(({ missing }) => missing)
    return all.length === 0 ? Number.NaN : Math.max(...all)
  }

  /** Of what a gigabit costs. */
  ratio(viewers: number, name: string, reference: string): number {
    return this.median(viewers, name, 'perGigabit') / this.median(viewers, reference, 'perGigabit')
  }

  /** Of the ratio, from the smallest crowd on: above 1 it gets dearer with viewers where the reference does not. */
  growth(viewers: number, name: string, reference: string): number {
    if (viewers === this.smallest) return Number.NaN
    return this.ratio(viewers, name, reference) / this.ratio(this.smallest, name, reference)
  }

  /** Memory of each viewer beyond the smallest crowd's, kB. */
  kilobytes(viewers: number, name: string): number {
    if (viewers === this.smallest) return Number.NaN
    const more = this.median(viewers, name, 'memory') - this.median(this.smallest, name, 'memory')
    return more / (viewers - this.smallest) / 1000
  }
}
