/** What the processes of a subject take of the machine while it is measured. */
import { setTimeout as pause } from 'node:timers/promises'
import { median } from '../lag/figures.ts'
import { type ProcessTime, processTime, timeBetween } from '../lag/processors.ts'
import { ownBytes } from '../memory.ts'

export interface Cost {
  /** Seconds, of the processors and of the clock. */
  readonly cpu: number
  readonly took: number
  /** Own memory, the median of what was read in between, bytes. */
  readonly memory: number
}

/** Milliseconds between two readings of the memory. */
const between = 500

/** @param pids all of the subject. @returns after so many seconds. @throws Error where one of them has ended */
export async function costOf(pids: readonly number[], seconds: number): Promise<Cost> {
  const memory: number[] = []
  const before = pids.map(processTime)
  const since = performance.now()
  const left = (): number => since + seconds * 1000 - performance.now()
  do {
    await pause(Math.min(between, left()))
    memory.push(sum(pids.map(ownBytes)))
  } while (left() > 0)
  const took = (performance.now() - since) / 1000
  const times = pids.map((pid, i) => timeBetween(before[i] as ProcessTime, processTime(pid)))
  return { cpu: sum(times) / 1000, took, memory: median(memory) }
}

const sum = (values: readonly number[]): number => values.reduce((all, value) => all + value, 0)
