/** One subject for a long time: whether its lag grows, shrinks or stays. */
import { setTimeout as sleep } from 'node:timers/promises'
import { figuresOf, slope } from './figures.ts'
import { missingBetween, publishesAsAsked, soundOf } from './measure.ts'
import { loadBetween, processorTimes } from './processors.ts'
import type { Stage } from './stage.ts'
import type { Subject } from './subjects.ts'

/** Seconds of one figure. */
const window = 30

/** Tells each window as it comes. @returns a table of them, with the slope */
export async function drift(stage: Stage, subject: Subject, seconds: number): Promise<string> {
  await using view = await stage.view(subject.view, subject.watch)
  await view.page.firstPicture()
  const { surface } = await view.page.take()
  if (surface?.element !== subject.surface || !(await publishesAsAsked(stage, subject)))
    return `\n${subject.name}: not in these pages`
  const lines = [
    `\n${subject.name}, ${seconds} s\n`,
    '| from, s | p50 | p99 | pictures/s | freezes | sound missing | by others |',
    '| --: | --: | --: | --: | --: | --: | --: |',
  ]
  const tell = (...cells: readonly unknown[]): void => {
    const line = `| ${cells.join(' | ')} |`
    process.stderr.write(`${subject.name} ${line}\n`)
    lines.push(line)
  }
  let heard = await soundOf(subject, view)
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
    const heardNow = await soundOf(subject, view)
    const missing = missingBetween(heard, heardNow)
    heard = heardNow
    if (figures === undefined) {
      tell(from, 'no new picture', '', '', '', '', `${others} %`)
      continue
    }
    const { p50, p99, pictures, freezes } = figures
    points.push({ x: (from + length / 2) / 60, y: p50 })
    const sound = missing === undefined ? '' : `${missing.toFixed(2)} %`
    tell(from, p50.toFixed(0), p99.toFixed(0), pictures.toFixed(1), freezes, sound, `${others} %`)
  }
  // The first window has the way to the edge in it.
  const grows = slope(points.slice(1)).toFixed(2)
  return [...lines, `\nslope ${grows} ms per minute, without the first window`].join('\n')
}
