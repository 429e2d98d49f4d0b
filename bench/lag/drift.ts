/** One subject for a long time: whether its lag grows, shrinks or stays. */
import { setTimeout as sleep } from 'node:timers/promises'
import { figuresOf, slope } from './figures.ts'
import { publishesAsAsked } from './measure.ts'
import { loadBetween, processorTimes } from './processors.ts'
import type { Stage } from './stage.ts'
import type { Subject } from './subjects.ts'

/** Seconds of one figure. */
const window = 30

/** Prints the median of each window as it comes, then the slope. */
export async function drift(stage: Stage, subject: Subject, seconds: number): Promise<void> {
  console.log(`\n${subject.name}, ${seconds} s\n`)
  await using view = await stage.view(subject.view, subject.watch)
  await view.page.firstPicture()
  const { surface } = await view.page.take()
  if (surface?.element !== subject.surface || !(await publishesAsAsked(stage, subject))) {
    console.log('not in these pages')
    return
  }
  console.log(
    '| from, s | p50 | p99 | pictures/s | freezes | by others |\n| --: | --: | --: | --: | --: | --: |',
  )
  const length = Math.min(window, seconds / 4)
  const points: { x: number; y: number }[] = []
  let before = processorTimes()
  for (let from = 0; from + length <= seconds; from += length) {
    await sleep(length * 1000)
    const { looks, at } = await view.page.take()
    const after = processorTimes()
    const others = loadBetween(before, after).others?.toFixed(0) ?? '?'
    before = after
    const figures = figuresOf(looks, at)
    if (figures === undefined) {
      console.log(`| ${from} | no new picture | | | | ${others} % |`)
      continue
    }
    const { p50, p99, pictures, freezes } = figures
    points.push({ x: (from + length / 2) / 60, y: p50 })
    const cells = [from, p50.toFixed(0), p99.toFixed(0), pictures.toFixed(1), freezes, `${others} %`]
    console.log(`| ${cells.join(' | ')} |`)
  }
  // The first window has the way to the edge in it.
  console.log(`\nslope ${slope(points.slice(1)).toFixed(2)} ms per minute, without the first window`)
}
