/** Starts one measurement in a process of its own, and watches what else the machine does meanwhile. */
import { fork } from 'node:child_process'
import { availableParallelism } from 'node:os'
import { join } from 'node:path'
import { loadBetween, type ProcessorTimes, processorTimes } from '../lag/processors.ts'
import type { Result, Task, Told } from './task.ts'

export interface Measured extends Result {
  /** Percent of the machine, while it was measured. */
  readonly busy: number
  readonly others: number | undefined
  readonly cores: number
}

export type Outcome =
  | { readonly kind: 'measured'; readonly figures: Measured }
  | { readonly kind: 'failed'; readonly reason: string }

/** Seconds beyond the load: opening, a group's first join, the last records; and for each broadcast that a gateway opens. */
const patience = 150
const perBroadcast = 0.3
/** Percent of the machine. */
const othersLimit = 10

/** Where the machine does not tell, it is taken for calm. */
export const isCalm = ({ others }: Measured): boolean => (others ?? 0) <= othersLimit

/**
 * Which try counts is decided by what others did, never by what came out; one that lost a frame counts at once.
 */
export async function measure(task: Task, tries: number): Promise<Outcome> {
  let best: Outcome | undefined
  for (let i = 0; i < tries; i++) {
    const outcome = await measureOnce(task)
    if (outcome.kind === 'failed' || outcome.figures.faults.length > 0) return outcome
    if (best?.kind !== 'measured' || othersIn(outcome.figures) < othersIn(best.figures)) best = outcome
    if (isCalm(outcome.figures)) break
  }
  return best ?? { kind: 'failed', reason: 'it was not tried' }
}

const othersIn = ({ others }: Measured): number => others ?? 0

async function measureOnce(task: Task): Promise<Outcome> {
  const isGateway = task.subject === 'gateway'
  const { profile } = task
  const execArgv = profile === undefined || isGateway ? [] : ['--cpu-prof', `--cpu-prof-dir=${profile}`]
  const file = join(import.meta.dirname, ...(isGateway ? ['..', 'gateway'] : []), 'run.ts')
  const child = fork(file, [JSON.stringify(task)], { execArgv })
  const opening = patience + perBroadcast * (task.live + (task.idle ?? 0))
  const timer = setTimeout(() => child.kill('SIGKILL'), (task.warmUp + task.seconds + opening) * 1000)
  let outcome: Outcome | undefined
  let began: ProcessorTimes | undefined
  let load: { readonly busy: number; readonly others?: number } | undefined
  child.on('message', (told: Told) => {
    if (told.kind === 'begins') began = processorTimes()
    else if (told.kind === 'ends' && began) load = loadBetween(began, processorTimes())
    else if (told.kind === 'failed') outcome = told
    else if (told.kind === 'result') {
      const { busy = Number.NaN, others } = load ?? {}
      outcome = { kind: 'measured', figures: { ...told.result, busy, others, cores: availableParallelism() } }
    }
  })
  const how = await new Promise<string>(done => {
    child.once('error', error => done(error.message))
    child.once('close', (code, signal) => done(`the process ended with ${signal ?? code}`))
  })
  clearTimeout(timer)
  return outcome ?? { kind: 'failed', reason: how }
}
