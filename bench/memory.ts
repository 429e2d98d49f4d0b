/** What a process has in memory. */
import { readFileSync } from 'node:fs'

/**
 * Its own pages, bytes. Those of a file that is mapped, as the embedded log's, are the system's cache: it takes them back when
 * it wants to.
 */
export function ownBytes(pid: number): number {
  const match = /^RssAnon:\s*(\d+) kB$/m.exec(readFileSync(`/proc/${pid}/status`, 'utf8'))
  return Number(match?.[1]) * 1024
}

/** The same, MiB. */
export const ownMemory = (pid: number): number => Math.round(ownBytes(pid) / 1024 ** 2)
