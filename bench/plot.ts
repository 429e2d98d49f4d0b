/** Plots of what was measured, as SVG. */
import { writeFile } from 'node:fs/promises'
import { parse, View } from 'vega'
import { compile, type TopLevelSpec } from 'vega-lite'

/** Subjects in the order of the table, the references first. */
export const colours = [
  ...['#9aa0a6', '#d55e00', '#e69f00', '#0072b2', '#56b4e9', '#117733', '#66c2a5', '#aa4499', '#882255'],
]

/** One colour for each name, in their order. */
export const colourOf = (names: readonly string[]) =>
  ({
    field: 'name',
    type: 'nominal',
    title: null,
    sort: null,
    legend: { labelLimit: 0 },
    scale: { domain: [...names], range: colours },
  }) as const

/** @param file which is overwritten */
export async function draw(file: string, spec: TopLevelSpec): Promise<void> {
  const framed = { width: 640, height: 300, padding: 12, background: 'white', ...spec } as TopLevelSpec
  const view = new View(parse(compile(framed).spec), { renderer: 'none' })
  await writeFile(file, await view.toSVG())
  view.finalize()
}
