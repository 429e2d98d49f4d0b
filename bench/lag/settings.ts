/** What a run can be told by the environment. */

export const logs = ['embedded', 'kafka', 'kafka3'] as const
export type LogName = (typeof logs)[number]

export interface LagSettings {
  /** Of one measurement, seconds. */
  readonly seconds: number
  readonly rounds: number
  /** Seconds between the first picture and the measurement. */
  readonly warmUp: number
  /** How often a subject is measured at most where others keep the machine busy; the least disturbed time counts. */
  readonly tries: number
  /** Seconds of a long run; 0 for the table. */
  readonly drift: number
  readonly logs: readonly LogName[]
  /** Folder for a plot of each log; undefined for none. */
  readonly plots: string | undefined
  /** Which subjects, by their names; undefined for all. */
  readonly only: RegExp | undefined
}

export type Environment = Readonly<Record<string, string | undefined>>

/** @throws Error that names the variable */
export function readSettings(env: Environment): LagSettings {
  const names = list(env.LAG_LOGS ?? 'embedded,kafka')
  const chosen = logs.filter(name => names.includes(name))
  if (chosen.length !== names.length) throw new Error(`LAG_LOGS takes ${logs.join(', ')}`)
  return {
    seconds: number(env, 'LAG_SECONDS', 15, 1),
    rounds: number(env, 'LAG_ROUNDS', 2, 1),
    warmUp: number(env, 'LAG_WARM_UP', 3, 0),
    tries: number(env, 'LAG_TRIES', 3, 1),
    drift: number(env, 'LAG_DRIFT', 0, 0),
    logs: chosen,
    plots: env.LAG_PLOTS || undefined,
    only: pattern(env, 'LAG_ONLY'),
  }
}

export function number(env: Environment, name: string, otherwise: number, least: number): number {
  const value = Number(env[name] || otherwise)
  if (!(value >= least && value <= 86_400)) throw new Error(`${name} takes a number from ${least}`)
  return value
}

export function pattern(env: Environment, name: string): RegExp | undefined {
  try {
    return env[name] ? new RegExp(env[name]) : undefined
  } catch (cause) {
    throw new Error(`${name} takes a regular expression`, { cause })
  }
}

export const list = (text: string): string[] =>
  text
    .split(',')
    .map(each => each.trim())
    .filter(each => each !== '')
