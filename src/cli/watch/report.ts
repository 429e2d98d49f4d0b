/** What `watch` says of a file. */
import type { LaneCount } from './media-file.ts'
import type { FileReport } from './recorder.ts'

/** `12.4 s, 372 video and 620 audio frames, 1.9 MB, 1248 kbit/s` */
export function figures({ duration, bytes, counts }: Omit<FileReport, 'name'>): string {
  const seconds = duration / 1e6
  const rate = seconds > 0 ? `, ${Math.round((bytes * 8) / 1000 / seconds)} kbit/s` : ''
  return `${seconds.toFixed(seconds < 100 ? 2 : 1)} s, ${frames(counts)}, ${size(bytes)}${rate}`
}

const frames = (counts: readonly LaneCount[]): string =>
  counts.length === 0
    ? 'no frames'
    : `${counts.map(lane => `${lane.frames} ${lane.name}`).join(' and ')} frames`

export function size(bytes: number): string {
  const units = ['B', 'kB', 'MB', 'GB', 'TB']
  let value = bytes
  let unit = 0
  for (; value >= 1000 && unit < units.length - 1; unit++) value /= 1000
  return `${unit === 0 ? value : value.toFixed(1)} ${units[unit]}`
}
