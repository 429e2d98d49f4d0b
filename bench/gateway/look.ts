/**
 * Loaded into the gateway before its own code: at SIGUSR2 it prints what the process has cost so far and what it has asked
 * of the brokers. Nothing of it is in a frame's way but a count for each request.
 */
import { Requests } from '../log/requests.ts'
import { type Look, lookMark } from './ask.ts'

const requests = new Requests()
process.on('SIGUSR2', () => {
  const { user, system } = process.cpuUsage()
  const refreshes = requests.refreshes.map(at => performance.timeOrigin + at)
  const heap = process.memoryUsage().heapUsed
  const look: Look = { cpu: user + system, heap, counts: requests.counts, refreshes }
  process.stderr.write(`${lookMark}${JSON.stringify(look)}\n`)
})
