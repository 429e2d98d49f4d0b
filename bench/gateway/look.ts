/**
 * Loaded into the gateway before its own code: at SIGUSR2 it prints what the process has cost so far and what it has asked
 * of the brokers. Nothing of it is in a frame's way but a count for each request.
 */
import { type RequestCounts, Requests } from '../log/requests.ts'

export interface Look {
  /** Microseconds of the process, user and system. */
  readonly cpu: number
  readonly counts: RequestCounts
  /** When metadata was asked for, milliseconds of the wall clock. */
  readonly refreshes: readonly number[]
}

export const lookMark = 'bench-look '

const requests = new Requests()
process.on('SIGUSR2', () => {
  const { user, system } = process.cpuUsage()
  const refreshes = requests.refreshes.map(at => performance.timeOrigin + at)
  const look: Look = { cpu: user + system, counts: requests.counts, refreshes }
  process.stderr.write(`${lookMark}${JSON.stringify(look)}\n`)
})
