/** A gateway's memory by the minute, and what was wanted of it. */
import type { LoadReport } from '../../src/cli/load/report.ts'
import { median, slope } from '../lag/figures.ts'

export interface Reading {
  /** Since viewers began to come. */
  readonly minute: number
  /** Own memory and heap, bytes. */
  readonly memory: number
  readonly heap: number
}

/** MiB a minute that own memory may grow by over the second half: with readings every 5 s they scatter by less. */
const flat = 0.25
const mebibyte = 1024 ** 2

/** Own memory as the median of each minute, the heap as the least: what is left where it was just collected. */
export function table(readings: readonly Reading[]): string {
  const minutes = Map.groupBy(readings, ({ minute }) => Math.floor(minute) + 1)
  const rows = [...minutes].map(([minute, all]) => {
    const memory = median(all.map(reading => reading.memory))
    const heap = Math.min(...all.map(reading => reading.heap))
    return `| ${minute} | ${(memory / mebibyte).toFixed(1)} | ${(heap / mebibyte).toFixed(1)} |`
  })
  return ['| minute | own memory, MiB | heap, least, MiB |', '| --: | --: | --: |', ...rows].join('\n')
}

export interface Wanted {
  readonly minutes: number
  /** Viewers in all. */
  readonly total: number
}

export function goals(
  readings: readonly Reading[],
  { joined, lost, ends }: Pick<LoadReport, 'joined' | 'lost' | 'ends'>,
  { minutes, total }: Wanted,
): string[] {
  const half = readings.filter(({ minute }) => minute >= minutes / 2)
  const growth = slope(half.map(({ minute, memory }) => ({ x: minute, y: memory / mebibyte })))
  const each = (growth * mebibyte) / (joined / minutes) / 1000
  const cut = Object.values(ends).reduce((sum, times) => sum + times, 0)
  return [
    `${verdict(growth <= flat)}: own memory ${growth.toFixed(2)} MiB a minute over the second half ` +
      `(${each.toFixed(2)} kB for each viewer that came), wanted at most ${flat}`,
    `${verdict(joined >= total)}: ${joined} viewers came, wanted at least ${total}`,
    `${verdict(lost === 0 && cut === 0)}: ${lost} frames lost, ${cut} connections cut off, wanted none`,
  ]
}

const verdict = (isMet: boolean): string => (isMet ? 'met' : 'MISSED')
