/**
 * One broadcast to many viewers on this machine: what a gigabit costs the process that sends, against the least that it can
 * cost. Viewers are another process, in C, which takes little of the machine.
 *
 * FANOUT_VIEWERS (50,200,500,1000), FANOUT_ROUNDS (3), FANOUT_SECONDS (10), FANOUT_WARM_UP (3), FANOUT_ONLY (names of
 * subjects, all, with ; between them), FANOUT_PLOT (an SVG file), FANOUT_BYTES (6250 a frame), FANOUT_RATE (30 frames a second).
 */
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { createInterface } from 'node:readline'
import { setTimeout as pause } from 'node:timers/promises'
import { type Cost, plotCosts } from './fan-out/plot.ts'
import { programOf } from './fan-out/programs.ts'
import { type SubjectName, subjects } from './fan-out/subjects.ts'
import { median } from './lag/figures.ts'
import { processTime } from './lag/processors.ts'
import { ownMemory } from './memory.ts'

const number = (name: string, fallback: number): number => Number(process.env[name] ?? fallback)
const list = (name: string, fallback: string): string[] => (process.env[name] ?? fallback).split(',')
const rounds = number('FANOUT_ROUNDS', 3)
const seconds = number('FANOUT_SECONDS', 10)
const warmUp = number('FANOUT_WARM_UP', 3)
const stream = { bytes: number('FANOUT_BYTES', 6250), rate: number('FANOUT_RATE', 30) }
const crowds = list('FANOUT_VIEWERS', '50,200,500,1000').map(Number)
const names = (process.env.FANOUT_ONLY?.split(';') ?? Object.keys(subjects)) as SubjectName[]

/** As `viewers` prints it. */
interface Seen {
  readonly frames: number
  readonly least: number
  readonly most: number
  readonly bytes: number
  readonly ended: number
  /** Age of frames, microseconds. */
  readonly p50: number
  readonly p99: number
  readonly max: number
  readonly cpu: number
}

interface Outcome extends Seen {
  readonly tellsAge: boolean
  /** Of the process that sends, seconds for each 10^9 bits. */
  readonly perGigabit: number
  /** The same, of a core. */
  readonly share: number
  /** MiB. */
  readonly memory: number
}

const outcomes = new Map<string, Outcome[]>()
for (let round = 1; round <= rounds; round++) {
  for (const viewers of crowds) {
    for (const name of round % 2 === 1 ? names : names.toReversed()) {
      const outcome = await measure(name, viewers)
      const key = `${viewers} ${name}`
      outcomes.set(key, [...(outcomes.get(key) ?? []), outcome])
      process.stderr.write(`round ${round}, ${viewers} viewers, ${name}: ${JSON.stringify(outcome)}\n`)
    }
  }
}
console.log(
  `\n${stream.rate} frames/s of ${stream.bytes} bytes, ${rounds} rounds of ${seconds} s, medians\n\n` +
    '| viewers |  | CPU s/Gbit | ÷ floor | of a core, % | frames missing | age p50, ms | p99 | memory, MiB |\n' +
    '| --: | --- | --: | --: | --: | --: | --: | --: | --: |',
)
const costs: Cost[] = []
for (const viewers of crowds) {
  const of = (name: string, what: Exclude<keyof Outcome, 'tellsAge'>): number =>
    median((outcomes.get(`${viewers} ${name}`) ?? []).map(each => each[what]))
  for (const name of names) {
    const all = outcomes.get(`${viewers} ${name}`) ?? []
    costs.push({ name, viewers, perGigabit: of(name, 'perGigabit') })
    const missing = median(all.map(({ least, most }) => most - least))
    const tellsAge = all.every(each => each.tellsAge)
    const cells = [
      of(name, 'perGigabit').toFixed(3),
      (of(name, 'perGigabit') / of('floor', 'perGigabit')).toFixed(2),
      (100 * of(name, 'share')).toFixed(1),
      String(missing),
      ...(tellsAge ? [(of(name, 'p50') / 1000).toFixed(2), (of(name, 'p99') / 1000).toFixed(2)] : ['', '']),
      String(of(name, 'memory')),
    ]
    console.log(`| ${viewers} | ${name} | ${cells.join(' | ')} |`)
  }
}

if (process.env.FANOUT_PLOT !== undefined) await plotCosts(process.env.FANOUT_PLOT, costs)

async function measure(name: SubjectName, count: number): Promise<Outcome> {
  await using subject = await subjects[name](stream)
  const { port, path, subprotocol, hello, type, pid } = subject
  const args = ['127.0.0.1', port, path, subprotocol, hello, count, type].map(String)
  const viewers = spawn(programOf('viewers'), args, { stdio: ['pipe', 'pipe', 'inherit'] })
  try {
    const lines = createInterface(viewers.stdout)[Symbol.asyncIterator]()
    const next = async (): Promise<string> => {
      const { value, done } = await lines.next()
      if (done === true) throw new Error(`the viewers of ${name} have ended`)
      return value
    }
    await next()
    await pause(warmUp * 1000)
    viewers.stdin.write('begin\n')
    const [before, since] = [processTime(pid), performance.now()]
    await pause(seconds * 1000)
    viewers.stdin.write('end\n')
    const took = (performance.now() - since) / 1000
    const cpu = (processTime(pid) - before) / 1000
    const memory = ownMemory(pid)
    const seen = JSON.parse(await next()) as Seen
    return {
      ...seen,
      tellsAge: subject.tellsAge !== false,
      perGigabit: cpu / ((seen.bytes * 8) / 1e9),
      share: cpu / took,
      memory,
    }
  } finally {
    if (viewers.exitCode === null) {
      viewers.kill()
      await once(viewers, 'exit')
    }
  }
}
