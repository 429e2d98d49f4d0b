/** How busy the machine is, and how much of that is not the bench's doing: a run beside others says less. */
import { existsSync, readdirSync, readFileSync } from 'node:fs'
import { cpus } from 'node:os'

export interface ProcessorTimes {
  /** Milliseconds of all processors together. */
  readonly all: number
  readonly busy: number
  /** Of this process and all that it started; undefined where the machine does not tell it as Linux does. */
  readonly own?: number
}

export interface Load {
  /** Percent of the machine. */
  readonly busy: number
  readonly others?: number
}

export function processorTimes(): ProcessorTimes {
  let [busy, all] = [0, 0]
  for (const { times } of cpus()) {
    const { user, nice, sys, idle, irq } = times
    busy += user + nice + sys + irq
    all += user + nice + sys + irq + idle
  }
  const own = ownTime()
  return { all, busy, ...(own === undefined ? {} : { own }) }
}

export function loadBetween(before: ProcessorTimes, after: ProcessorTimes): Load {
  const all = after.all - before.all
  const busy = after.busy - before.busy
  if (before.own === undefined || after.own === undefined) return { busy: (100 * busy) / all }
  // Processes that ended in between take their time with them: never below zero.
  const others = Math.max(0, busy - Math.max(0, after.own - before.own))
  return { busy: (100 * busy) / all, others: (100 * others) / all }
}

/** Milliseconds of a tick of proc(5), which is a hundredth of a second on every Linux there is. */
const tick = 10

/** What a process has had of the processors, all its threads, milliseconds. */
export interface ProcessTime {
  readonly ticks: number
  /** The same to the microsecond, but of the threads that there are; undefined where the machine does not tell. */
  readonly fine: number | undefined
}

/** @throws Error where it has ended */
export function processTime(pid: number): ProcessTime {
  const fields = statOf(pid)
  if (fields === undefined) throw new Error(`process ${pid} has ended`)
  return { ticks: timeOf(fields), fine: threadsTime(pid) }
}

/** @returns milliseconds */
export function timeBetween(before: ProcessTime, after: ProcessTime): number {
  const ticks = after.ticks - before.ticks
  const fine = (after.fine ?? Number.NaN) - (before.fine ?? Number.NaN)
  // User and system time are each told to a tick: where the sum says less than both, a thread took its time with it.
  return fine >= ticks - 2 * tick ? fine : ticks
}

/** `schedstat` of each thread begins with the nanoseconds that it ran. */
function threadsTime(pid: number): number | undefined {
  try {
    const folder = `/proc/${pid}/task`
    return readdirSync(folder).reduce((sum, thread) => sum + threadTime(`${folder}/${thread}`), 0)
  } catch {
    return undefined
  }
}

function threadTime(folder: string): number {
  try {
    return Number(readFileSync(`${folder}/schedstat`, 'utf8').split(' ', 1)[0]) / 1e6
  } catch (error) {
    // It has ended since the folder was read; any other reason is the machine's.
    if (existsSync(folder)) throw error
    return 0
  }
}

interface Process {
  readonly parent: number
  /** Milliseconds. */
  readonly time: number
}

/** @returns a process and all that it started, directly or not. @throws where the machine does not tell */
export function familyOf(pid: number, all: ReadonlyMap<number, Process> = processes()): number[] {
  const family = [pid]
  // It grows while it is gone through.
  for (const member of family)
    for (const [child, { parent }] of all) if (parent === member) family.push(child)
  return family
}

/** Of this process and all that it started. */
function ownTime(): number | undefined {
  try {
    const all = processes()
    if (all.size === 0) return undefined
    return familyOf(process.pid, all).reduce((sum, pid) => sum + (all.get(pid)?.time ?? 0), 0)
  } catch {
    return undefined
  }
}

function processes(): ReadonlyMap<number, Process> {
  const all = new Map<number, Process>()
  for (const name of readdirSync('/proc')) {
    const pid = Number(name)
    const fields = Number.isInteger(pid) ? statOf(pid) : undefined
    if (fields !== undefined) all.set(pid, { parent: Number(fields[1]), time: timeOf(fields) })
  }
  return all
}

/** Fields of `/proc/PID/stat` after the name in brackets: parent 1, user time 11, system time 12. */
const timeOf = (fields: readonly string[]): number => (Number(fields[11]) + Number(fields[12])) * tick

function statOf(pid: number): readonly string[] | undefined {
  try {
    const text = readFileSync(`/proc/${pid}/stat`, 'utf8')
    return text.slice(text.lastIndexOf(')') + 2).split(' ')
  } catch {
    // It has ended since the folder was read.
    return undefined
  }
}
