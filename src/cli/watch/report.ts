/** What `watch` says of itself while it runs: to the standard error, since the output may be the standard one. */
import type { LaneCount } from './media-file.ts'
import type { FileReport } from './recorder.ts'

const intervals = { terminal: 500, lines: 5000 } as const

export interface ReportStream {
  readonly isTTY?: boolean
  readonly columns?: number
  write(text: string): unknown
}

export class Report {
  readonly #stream: ReportStream
  readonly #line: () => string | undefined
  readonly #timer: NodeJS.Timeout
  #width = 0

  /** @param line tells where things are; asked now and then */
  constructor(stream: ReportStream, line: () => string | undefined) {
    this.#stream = stream
    this.#line = line
    this.#timer = setInterval(() => this.#progress(), intervals[stream.isTTY ? 'terminal' : 'lines'])
  }

  /** A line that stays. */
  note(text: string): void {
    this.#stream.write(`${this.#clear()}${text}\n`)
  }

  close(): void {
    clearInterval(this.#timer)
    this.#stream.write(this.#clear())
  }

  #progress(): void {
    const line = this.#line()
    if (line === undefined) return
    if (!this.#stream.isTTY) {
      this.#stream.write(`${line}\n`)
      return
    }
    const shown = line.slice(0, Math.max(20, (this.#stream.columns ?? 80) - 1))
    this.#stream.write(`\r${shown.padEnd(this.#width)}`)
    this.#width = shown.length
  }

  #clear(): string {
    const blank = this.#width === 0 ? '' : `\r${' '.repeat(this.#width)}\r`
    this.#width = 0
    return blank
  }
}

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

function size(bytes: number): string {
  const units = ['B', 'kB', 'MB', 'GB', 'TB']
  let value = bytes
  let unit = 0
  for (; value >= 1000 && unit < units.length - 1; unit++) value /= 1000
  return `${unit === 0 ? value : value.toFixed(1)} ${units[unit]}`
}
