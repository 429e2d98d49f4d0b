/** The plot of a run: what share of the pictures that were seen was at most how old. */
import { colourOf, draw } from '../plot.ts'

export interface Curve {
  readonly name: string
  /** Milliseconds, in any order. */
  readonly ages: readonly number[]
}

/** @param file an SVG, which is overwritten */
export async function plotAges(file: string, curves: readonly Curve[]): Promise<void> {
  const values = curves.flatMap(({ name, ages }) =>
    [...ages].sort((a, b) => a - b).map((age, i) => ({ name, age, share: (i + 1) / ages.length })),
  )
  await draw(file, {
    data: { values },
    mark: { type: 'line', interpolate: 'step-after', strokeWidth: 2 },
    encoding: {
      x: {
        field: 'age',
        type: 'quantitative',
        title: 'age of the picture on the screen, ms',
        scale: { domainMin: 0 },
      },
      y: { field: 'share', type: 'quantitative', title: 'share of refreshes', axis: { format: '%' } },
      color: colourOf(curves.map(({ name }) => name)),
    },
  })
}
