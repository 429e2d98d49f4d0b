/**
 * What a gateway keeps of viewers that have left: its memory while they come and go, each followed by another one, for half an
 * hour. One broadcast of 30 frames of 6250 bytes a second on the embedded log; the viewers are those of `framelog load`.
 *
 * CHURN_MINUTES (30), CHURN_TOTAL (10000: viewers that come in that time), CHURN_VIEWERS (300: at a time).
 */
import { join } from 'node:path'
import { setTimeout as pause } from 'node:timers/promises'
import { startGateway } from '../test/support/gateway.ts'
import { startLoad } from './churn/load.ts'
import { goals, type Reading, table } from './churn/table.ts'
import { startCamera } from './fan-out/camera.ts'
import { ask } from './gateway/ask.ts'
import { ownBytes } from './memory.ts'

const number = (name: string, fallback: number): number => Number(process.env[name] ?? fallback)
const minutes = number('CHURN_MINUTES', 30)
const total = number('CHURN_TOTAL', 10_000)
const viewers = number('CHURN_VIEWERS', 300)

const id = 'crowd'
/** Milliseconds between two readings. */
const between = 5000

await using gateway = await startGateway({
  LOG_LEVEL: 'warn',
  NODE_OPTIONS: `--import=${join(import.meta.dirname, 'gateway', 'look.ts')}`,
})
using _camera = await startCamera(gateway.ws, id, { bytes: 6250, rate: 30 })
await using load = startLoad({ url: gateway.http, id, viewers, total, seconds: Math.round(minutes * 60) })
const readings: Reading[] = []
for (const since = performance.now(); ; ) {
  await Promise.race([load.report, pause(between, undefined, { ref: false })])
  if (load.isOver) break
  const minute = (performance.now() - since) / 60_000
  const reading = { minute, memory: ownBytes(gateway.pid), heap: (await ask(gateway)).heap }
  readings.push(reading)
  process.stderr.write(`${JSON.stringify(reading)}\n`)
}
const report = await load.report
console.log(`\n${viewers} viewers at a time, ${report.joined} in ${minutes} minutes\n\n${table(readings)}`)
console.log(`\n${goals(readings, report, { minutes, total }).join('\n')}`)
