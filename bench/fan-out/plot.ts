/** The plot of a run: what a gigabit costs, by the number of viewers. */
import { colourOf, draw } from '../plot.ts'

export interface Cost {
  readonly name: string
  readonly viewers: number
  /** Seconds of a core for 10^9 bits. */
  readonly perGigabit: number
}

/** @param file an SVG, which is overwritten. @param costs subjects in the order of the table */
export async function plotCosts(file: string, costs: readonly Cost[]): Promise<void> {
  await draw(file, {
    data: { values: [...costs] },
    mark: { type: 'line', point: true, strokeWidth: 2 },
    encoding: {
      x: {
        field: 'viewers',
        type: 'quantitative',
        title: 'viewers',
        scale: { type: 'log' },
        axis: { values: [...new Set(costs.map(({ viewers }) => viewers))] },
      },
      y: {
        field: 'perGigabit',
        type: 'quantitative',
        title: 'seconds of a core for a gigabit',
        scale: { domainMin: 0 },
      },
      color: colourOf([...new Set(costs.map(({ name }) => name))]),
    },
  })
}
