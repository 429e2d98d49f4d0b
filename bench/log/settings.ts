/** What a run can be told by the environment, and which cases that makes. */
import { logSubjects, type SubjectName } from './subject.ts'
import { usualBytes } from './task.ts'

export interface Case {
  readonly brokers: 1 | 3
  /** The gateway is on the embedded log; the bare client beside it has the brokers. */
  readonly embedded?: true
  /** Broadcasts that send. */
  readonly live: number
  /** Broadcasts that are followed, those that send among them. */
  readonly open: number
  /** Of each broadcast, on a gateway. */
  readonly viewers?: number
  /** Of each frame. */
  readonly bytes?: number
}

export interface LogSettings {
  readonly rounds: number
  /** Of one measurement, seconds. */
  readonly seconds: number
  /** Seconds of the same load before it. */
  readonly warmUp: number
  /** How often a subject is measured at most where others keep the machine busy; the least disturbed time counts. */
  readonly tries: number
  readonly cases: readonly Case[]
  readonly subjects: readonly SubjectName[]
  /** Folder for a CPU profile of each measurement of what is ours. */
  readonly profile: string | undefined
}

type Environment = Readonly<Record<string, string | undefined>>

/** @throws Error that names the variable */
export function readSettings(env: Environment): LogSettings {
  const broadcasts = list(env.LOG_BROADCASTS || '1,10,50,50/1000').map(each => readBroadcasts(each, 'LOG'))
  const cases = readLogs(env, 'LOG').flatMap(log => broadcasts.map(each => ({ ...log, ...each })))
  return { ...readRounds(env, 'LOG'), cases, subjects: readSubjects(env.LOG_ONLY) }
}

/** Of a gateway beside the bare client. @throws Error that names the variable */
export function readGatewaySettings(env: Environment): LogSettings {
  const viewers = number(env, 'GATEWAY_VIEWERS', 1, 1, 1000)
  const bytes = number(env, 'GATEWAY_BYTES', usualBytes, 200, 100_000)
  const broadcasts = list(env.GATEWAY_BROADCASTS || '1,10').map(each => ({
    ...readBroadcasts(each, 'GATEWAY'),
    viewers,
    bytes,
  }))
  const cases = readLogs(env, 'GATEWAY').flatMap(log => broadcasts.map(each => ({ ...log, ...each })))
  return { ...readRounds(env, 'GATEWAY'), cases, subjects: ['gateway', 'bare'] }
}

type Prefix = 'LOG' | 'GATEWAY'

const readRounds = (env: Environment, prefix: Prefix): Omit<LogSettings, 'cases' | 'subjects'> => ({
  rounds: number(env, `${prefix}_ROUNDS`, 3, 1, 100),
  seconds: number(env, `${prefix}_SECONDS`, 12, 1, 600),
  warmUp: number(env, `${prefix}_WARM_UP`, 3, 0, 60),
  tries: number(env, `${prefix}_TRIES`, 2, 1, 10),
  profile: env[`${prefix}_PROFILE`] || undefined,
})

type CaseLog = Pick<Case, 'brokers' | 'embedded'>

const brokers: readonly (readonly [string, CaseLog])[] = [
  ['1', { brokers: 1 }],
  ['3', { brokers: 3 }],
]

/** The log's bench has nothing to compare the embedded one with. */
const logs: Readonly<Record<Prefix, ReadonlyMap<string, CaseLog>>> = {
  LOG: new Map(brokers),
  GATEWAY: new Map([...brokers, ['embedded', { brokers: 1, embedded: true }]]),
}

function readLogs(env: Environment, prefix: Prefix): readonly CaseLog[] {
  return list(env[`${prefix}_BROKERS`] || '1,3').map(each => {
    const log = logs[prefix].get(each)
    if (log === undefined) throw new Error(`${prefix}_BROKERS takes ${[...logs[prefix].keys()].join(', ')}`)
    return log
  })
}

/** `50` or `50/1000`: fifty that send, of a thousand that are followed. */
function readBroadcasts(text: string, prefix: Prefix): Pick<Case, 'live' | 'open'> {
  const match = /^(\d{1,4})(?:\/(\d{1,5}))?$/.exec(text)
  const live = Number(match?.[1])
  const open = Number(match?.[2] ?? live)
  if (!(live >= 1 && open >= live))
    throw new Error(`${prefix}_BROADCASTS takes numbers such as 50, or 50/1000`)
  return { live, open }
}

function readSubjects(text: string | undefined): readonly SubjectName[] {
  const names = list(text || 'ours,bare')
  const chosen = logSubjects.filter(name => names.includes(name))
  if (chosen.length === 0 || chosen.length !== names.length)
    throw new Error(`LOG_ONLY takes ${logSubjects.join(', ')}`)
  return chosen
}

function number(env: Environment, name: string, otherwise: number, least: number, most: number): number {
  const value = Number(env[name] || otherwise)
  if (!(value >= least && value <= most)) throw new Error(`${name} takes a number from ${least} to ${most}`)
  return value
}

const list = (text: string): string[] =>
  text
    .split(',')
    .map(each => each.trim())
    .filter(each => each !== '')
