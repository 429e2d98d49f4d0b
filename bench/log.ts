/**
 * What our log costs against the bare client, in the same run: frames of live broadcasts, appended and followed in one
 * process. Each measurement is a process of its own; within a round the subjects follow each other, in turned order.
 *
 * LOG_ROUNDS, LOG_SECONDS, LOG_WARM_UP, LOG_TRIES, LOG_BROADCASTS (1,10,50,50/1000), LOG_BROKERS (1,3), LOG_ONLY (ours, bare,
 * batched), LOG_PROFILE (a folder for CPU profiles of ours).
 */
import { bench } from './log/cases.ts'
import { readSettings } from './log/settings.ts'

await bench(readSettings(process.env))
