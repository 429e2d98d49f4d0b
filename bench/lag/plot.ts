/** The plot of a run: what share of the pictures that were seen was at most how old. */
import { writeFile } from 'node:fs/promises'
import { parse, View } from 'vega'
import { compile, type TopLevelSpec } from 'vega-lite'

export interface Curve {
  readonly name: string
  /** Milliseconds, in any order. */
  readonly ages: readonly number[]
}

/** Subjects in the order of the table, the references first. */
const colours = ['#9aa0a6', '#d55e00', '#e69f00', '#0072b2', '#56b4e9', '#117733', '#66c2a5', '#aa4499']

/** @param file an SVG, which is overwritten */
export async function plotAges(file: string, curves: readonly Curve[]): Promise<void> {
  const values = curves.flatMap(({ name, ages }) =>
    [...ages].sort((a, b) => a - b).map((age, i) => ({ name, age, share: (i + 1) / ages.length })),
  )
  const spec: TopLevelSpec = {
    width: 640,
    height: 300,
    padding: 12,
    background: 'white',
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
      color: {
        field: 'name',
        type: 'nominal',
        title: null,
        sort: null,
        legend: { labelLimit: 0 },
        scale: { domain: curves.map(({ name }) => name), range: colours },
      },
    },
  }
  const view = new View(parse(compile(spec).spec), { renderer: 'none' })
  await writeFile(file, await view.toSVG())
  view.finalize()
}
