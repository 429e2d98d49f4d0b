/** What a run can be told by the environment. */
import { type Environment, list, logs, number, pattern } from '../lag/settings.ts'

export interface NetworkSettings {
  /** Of one measurement, seconds. */
  readonly seconds: number
  readonly rounds: number
  /** Seconds between the first picture and the measurement. */
  readonly warmUp: number
  /** How often a subject is measured at most where others keep the machine busy. */
  readonly tries: number
  readonly log: (typeof logs)[number]
  /** Which conditions, by their names; undefined for all. */
  readonly only: RegExp | undefined
  /** Which subjects, by their names. */
  readonly subjects: RegExp
  /** What the gateway's TCP goes by. */
  readonly congestion: string
  /** Further settings of the kernel, at the gateway's side. */
  readonly sysctls: readonly string[]
}

/** @throws Error that names the variable */
export function readSettings(env: Environment): NetworkSettings {
  const log = logs.find(name => name === (env.NETWORK_LOG || 'embedded'))
  if (log === undefined) throw new Error(`NETWORK_LOG takes one of ${logs.join(', ')}`)
  return {
    seconds: number(env, 'NETWORK_SECONDS', 15, 1),
    rounds: number(env, 'NETWORK_ROUNDS', 1, 1),
    warmUp: number(env, 'NETWORK_WARM_UP', 3, 0),
    tries: number(env, 'NETWORK_TRIES', 2, 1),
    log,
    only: pattern(env, 'NETWORK_ONLY'),
    subjects: pattern(env, 'NETWORK_SUBJECTS') ?? /^WebCodecs/,
    congestion: env.NETWORK_CONGESTION || 'cubic',
    sysctls: list(env.NETWORK_SYSCTLS ?? ''),
  }
}
