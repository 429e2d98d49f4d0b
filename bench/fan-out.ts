/**
 * One broadcast to many viewers on this machine: what a gigabit costs the process that sends, against the least that it can
 * cost. Viewers are another process, in C, which takes little of the machine.
 *
 * FANOUT_VIEWERS (50,200,500,1000), FANOUT_ROUNDS (3), FANOUT_SECONDS (10), FANOUT_WARM_UP (3), FANOUT_ONLY (names of
 * subjects, the usual ones, with ; between them), FANOUT_PLOT (an SVG file), FANOUT_BYTES (6250 a frame),
 * FANOUT_RATE (30 frames a second).
 */
import { Broker } from './fan-out/broker.ts'
import { goals } from './fan-out/goals.ts'
import { measure, type Outcome } from './fan-out/measure.ts'
import { plotCosts } from './fan-out/plot.ts'
import { Results } from './fan-out/results.ts'
import { needsBroker, readNames, type SubjectName, subjects } from './fan-out/subjects.ts'
import { table } from './fan-out/table.ts'

const number = (name: string, fallback: number): number => Number(process.env[name] ?? fallback)
const list = (name: string, fallback: string): string[] => (process.env[name] ?? fallback).split(',')
const rounds = number('FANOUT_ROUNDS', 3)
const times = { seconds: number('FANOUT_SECONDS', 10), warmUp: number('FANOUT_WARM_UP', 3) }
const stream = { bytes: number('FANOUT_BYTES', 6250), rate: number('FANOUT_RATE', 30) }
const crowds = list('FANOUT_VIEWERS', '50,200,500,1000').map(Number)
const names = readNames(process.env.FANOUT_ONLY)

const results = new Results(crowds, names)
await using broker = new Broker()
if (names.some(needsBroker)) await broker.start()
for (let round = 1; round <= rounds; round++) {
  for (const viewers of crowds) {
    for (const name of round % 2 === 1 ? names : names.toReversed()) {
      const outcome = await measureOne(name, viewers)
      results.add(viewers, name, outcome)
      process.stderr.write(`round ${round}, ${viewers} viewers, ${name}: ${JSON.stringify(outcome)}\n`)
    }
  }
}
console.log(
  `\n${stream.rate} frames/s of ${stream.bytes} bytes, ${rounds} rounds of ${times.seconds} s, medians\n\n` +
    `${table(results)}\n\n${goals(results).join('\n') || 'No goal was measured.'}`,
)
if (process.env.FANOUT_PLOT !== undefined)
  await plotCosts(
    process.env.FANOUT_PLOT,
    crowds.flatMap(viewers =>
      names.map(name => ({ name, viewers, perGigabit: results.median(viewers, name, 'perGigabit') })),
    ),
  )

async function measureOne(name: SubjectName, viewers: number): Promise<Outcome> {
  await using subject = await subjects[name](stream, broker)
  return await measure(name, subject, viewers, times)
}
