/**
 * What our log costs against the bare client, in the same run: frames of live broadcasts, appended and followed in one
 * process. Each measurement is a process of its own; within a round the subjects follow each other, in turned order.
 *
 * LOG_ROUNDS, LOG_SECONDS, LOG_WARM_UP, LOG_TRIES, LOG_BROADCASTS (1,10,50,50/1000), LOG_BROKERS (1,3), LOG_ONLY (ours, bare,
 * batched), LOG_PROFILE (a folder for CPU profiles of ours).
 */
import { availableParallelism } from 'node:os'
import { startBrokers, startKafka } from '../test/support/kafka.ts'
import { measure, type Outcome } from './log/measure.ts'
import { type Case, readSettings } from './log/settings.ts'
import type { SubjectName } from './log/subject.ts'
import { caseName, goals, table } from './log/table.ts'
import { makeTopics } from './log/topics.ts'

const warmUpPasses = 10

const settings = readSettings(process.env)
const { rounds, seconds, warmUp, tries, profile } = settings
const results = new Map<Case, Map<SubjectName, Outcome[]>>()

for (const brokers of new Set(settings.cases.map(each => each.brokers))) {
  await using kafka =
    brokers === 1 ? await startKafka({ full: true }) : await startBrokers({ brokers, full: true })
  await warm(kafka.bootstrapServers)
  for (const its of settings.cases.filter(each => each.brokers === brokers))
    results.set(its, await measureCase(its, kafka.bootstrapServers))
}
console.log(
  `\n30 frames/s of 6 kB a broadcast, ${rounds} rounds of ${seconds} s, ${availableParallelism()} cores, milliseconds\n`,
)
console.log(table(results, settings))
console.log(`\n${goals(results).join('\n') || 'No goal was measured in a calm round.'}`)

async function measureCase(its: Case, bootstrapServers: string): Promise<Map<SubjectName, Outcome[]>> {
  const prefix = `bench-log-${process.pid}-${its.live}-${its.open}`
  await using topics = await makeTopics(bootstrapServers, prefix, its.open)
  const found = new Map<SubjectName, Outcome[]>(settings.subjects.map(subject => [subject, []]))
  for (let round = 1; round <= rounds; round++) {
    const order = round % 2 === 1 ? settings.subjects : settings.subjects.toReversed()
    for (const subject of order) {
      const task = { subject, bootstrapServers, topics: topics.names, live: its.live, warmUp, seconds }
      const outcome = await measure(task, tries, subject === 'ours' ? profile : undefined)
      found.get(subject)?.push(outcome)
      process.stderr.write(`${caseName(its)}, round ${round}, ${subject}: ${words(outcome)}\n`)
      if (outcome.kind === 'failed' || outcome.figures.faults.length > 0) process.exitCode = 1
    }
  }
  return found
}

/**
 * A broker compiles what it runs often, and is slow until then: three of them on two cores for some minutes. Whoever is
 * measured first would pay for that, so the load goes on until it gets no quicker.
 */
async function warm(bootstrapServers: string): Promise<void> {
  await using topics = await makeTopics(bootstrapServers, `bench-log-${process.pid}-warm`, 10)
  let best = Number.POSITIVE_INFINITY
  for (let pass = 0; pass < warmUpPasses; pass++) {
    const medians: number[] = []
    for (const subject of settings.subjects) {
      const task = { subject, bootstrapServers, topics: topics.names, live: 10, warmUp: 0, seconds: 8 }
      const outcome = await measure(task, 1, undefined)
      if (outcome.kind === 'measured') medians.push(outcome.figures.delivered.p50)
    }
    const median = Math.max(...medians)
    if (median > best * 0.8) return
    best = median
  }
}

function words(outcome: Outcome): string {
  if (outcome.kind === 'failed') return `failed, ${outcome.reason}`
  const { frames, delivered, near, faults, others } = outcome.figures
  const whole = faults.length === 0 ? 'all of them, in order' : `NOT WHOLE: ${faults.join('; ')}`
  return (
    `${frames} frames, p50 ${delivered.p50.toFixed(2)} p99 ${delivered.p99.toFixed(1)}, ` +
    `${near.frames} near a refresh, others ${others?.toFixed(0) ?? '?'} %, ${whole}`
  )
}
