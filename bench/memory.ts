/** What a process has in memory, MiB. */
import { readFileSync } from 'node:fs'

/**
 * Its own pages. Those of a file that is mapped, as the embedded log's, are the system's cache: it takes them back when it
 * wants to.
 */
export function ownMemory(pid: number): number {
  const match = /^RssAnon:\s*(\d+) kB$/m.exec(readFileSync(`/proc/${pid}/status`, 'utf8'))
  return Math.round(Number(match?.[1]) / 1024)
}
