/** How busy the machine is, and how much of that is not the bench's doing: a run beside others says less. */
import { readdirSync, readFileSync } from 'node:fs'
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

/** @returns milliseconds that a process has had a processor, all its threads. @throws Error where it has ended */
export function processTime(pid: number): number {
  const fields = statOf(pid)
  if (fields === undefined) throw new Error(`process ${pid} has ended`)
  return timeOf(fields)
}

const timeOf = (fields: readonly string[]): number => (Number(fields[11]) + Number(fields[12])) * tick

/** Fields of `/proc/PID/stat` after the name in brackets: parent 1, user time 11, system time 12. */
function ownTime(): number | undefined {
  const children = new Map<number, number[]>()
  const times = new Map<number, number>()
  try {
    for (const name of readdirSync('/proc')) {
      const pid = Number(name)
      if (!Number.isInteger(pid)) continue
      const fields = statOf(pid)
      if (fields === undefined) continue
      const parent = Number(fields[1])
      children.set(parent, [...(children.get(parent) ?? []), pid])
      times.set(pid, timeOf(fields))
    }
  } catch {
    return undefined
  }
  if (times.size === 0) return undefined
  let sum = 0
  const left = [process.pid]
  for (let pid = left.pop(); pid !== undefined; pid = left.pop()) {
    sum += times.get(pid) ?? 0
    left.push(...(children.get(pid) ?? []))
  }
  return sum
}

function statOf(pid: number): readonly string[] | undefined {
  try {
    const text = readFileSync(`/proc/${pid}/stat`, 'utf8')
    return text.slice(text.lastIndexOf(')') + 2).split(' ')
  } catch {
    // It has ended since the folder was read.
    return undefined
  }
}
