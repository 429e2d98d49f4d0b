/**
 * What our log costs against the bare client, in the same run: frames of live broadcasts, appended and followed in one
 * process. Each measurement is a process of its own; within a round the subjects follow each other, in turned order.
 *
 * LOG_ROUNDS, LOG_SECONDS, LOG_WARM_UP, LOG_TRIES, LOG_BROADCASTS (1,10,50,50/1000), LOG_BROKERS (1,3), LOG_ONLY (ours, bare,
 * batched), LOG_PROFILE (a folder for CPU profiles of ours).
 */
import { availableParallelism } from 'node:os'
import { measureCases } from './log/cases.ts'
import { readSettings } from './log/settings.ts'
import { goals, table } from './log/table.ts'

const settings = readSettings(process.env)
const results = await measureCases(settings)
const { rounds, seconds } = settings
console.log(
  `\n30 frames/s of 6 kB a broadcast, ${rounds} rounds of ${seconds} s, ${availableParallelism()} cores, milliseconds\n`,
)
console.log(table(results, settings))
console.log(`\n${goals(results).join('\n') || 'No goal was measured in a calm round.'}`)
