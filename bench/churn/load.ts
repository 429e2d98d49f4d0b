/** `framelog load` in a process of its own, whose viewers come and go. */
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { join } from 'node:path'
import type { LoadReport } from '../../src/cli/load/report.ts'
import { endProcess } from '../fan-out/programs.ts'

const bin = join(import.meta.dirname, '..', '..', 'bin', 'framelog.js')

export interface Churn {
  readonly url: string
  readonly id: string
  /** At a time, and in all. */
  readonly viewers: number
  readonly total: number
  readonly seconds: number
}

export interface RunningLoad extends AsyncDisposable {
  /** Rejects where it ends without one. */
  readonly report: Promise<LoadReport>
  readonly isOver: boolean
}

/** Seconds that a viewer stays on average: those who come first are not counted, chance may take a few. */
export const stayOf = ({ viewers, total, seconds }: Churn): number =>
  Math.max(1, Math.floor((viewers * seconds) / total))

export function startLoad(churn: Churn): RunningLoad {
  const { url, id, viewers, seconds } = churn
  const spans = ['--stay', `${stayOf(churn)}s`, '--duration', `${seconds}s`, '--warm-up', '1s']
  const child = spawn(
    process.execPath,
    [bin, 'load', id, '--url', url, '--viewers', `${viewers}`, ...spans, '--json'],
    { stdio: ['ignore', 'pipe', 'inherit'] },
  )
  let output = ''
  child.stdout.on('data', (data: Buffer) => {
    output += data
  })
  let isOver = false
  const report = once(child, 'close').then(([code]) => {
    isOver = true
    if (output === '') throw new Error(`framelog load ended with ${code}`)
    return JSON.parse(output) as LoadReport
  })
  // Somebody waits for it, be it later.
  report.catch(() => {})
  return {
    report,
    get isOver() {
      return isOver
    },
    [Symbol.asyncDispose]: () => endProcess(child),
  }
}
