/** Measures each case of a run: its own brokers, warmed up, and the subjects in turn. */
import { availableParallelism } from 'node:os'
import { measure, type Outcome } from './measure.ts'
import type { Case, LogSettings } from './settings.ts'
import type { SubjectName } from './subject.ts'
import { caseName, goals, type Results, table } from './table.ts'
import { usualBytes } from './task.ts'
import { makeTopics } from './topics.ts'
import { startWarmBrokers } from './warm-up.ts'

/** Measures, and prints the table and what was wanted. */
export async function bench(settings: LogSettings): Promise<void> {
  const results = await measureCases(settings)
  const { rounds, seconds } = settings
  const cores = availableParallelism()
  const sizes = [...new Set(settings.cases.map(({ bytes = usualBytes }) => `${bytes / 1000} kB`))].join(', ')
  console.log(
    `\n30 frames/s of ${sizes} a broadcast, ${rounds} rounds of ${seconds} s, ${cores} cores, milliseconds\n`,
  )
  console.log(table(results, settings))
  console.log(`\n${goals(results).join('\n') || 'No goal was measured in a calm round.'}`)
}

async function measureCases(settings: LogSettings): Promise<Results> {
  const results = new Map<Case, Map<SubjectName, Outcome[]>>()
  for (const brokers of new Set(settings.cases.map(each => each.brokers))) {
    await using kafka = await startWarmBrokers(brokers, settings.subjects)
    for (const its of settings.cases.filter(each => each.brokers === brokers))
      results.set(its, await measureCase(settings, its, kafka.bootstrapServers))
  }
  return results
}

async function measureCase(
  { subjects, rounds, warmUp, seconds, tries, profile }: LogSettings,
  its: Case,
  bootstrapServers: string,
): Promise<Map<SubjectName, Outcome[]>> {
  const { live, open, viewers, bytes, embedded } = its
  // A name that was just deleted is not to be had at once.
  const prefix = `bench-log-${process.pid}-${embedded ? 'embedded-' : ''}${live}-${open}`
  await using topics = await makeTopics(bootstrapServers, prefix, its.open)
  const found = new Map<SubjectName, Outcome[]>(subjects.map(subject => [subject, []]))
  for (let round = 1; round <= rounds; round++) {
    const order = round % 2 === 1 ? subjects : subjects.toReversed()
    for (const subject of order) {
      const isOurs = subject === 'ours' || subject === 'gateway'
      const load = { live, idle: open - live, viewers, bytes }
      const task = { subject, bootstrapServers, topics: topics.names, ...load, embedded, warmUp, seconds }
      const outcome = await measure({ ...task, profile: isOurs ? profile : undefined }, tries)
      found.get(subject)?.push(outcome)
      process.stderr.write(`${caseName(its)}, round ${round}, ${subject}: ${words(outcome)}\n`)
      if (outcome.kind === 'failed' || outcome.figures.faults.length > 0) process.exitCode = 1
    }
  }
  return found
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
