/** Connections of a process, as Linux tells them. */
import { readdirSync, readFileSync, readlinkSync } from 'node:fs'

/** `01` in proc(5). */
const established = '01'

/** @returns established ones by the peer's port; undefined where the machine does not tell it as Linux does */
export function connectionsByPort(pid: number = process.pid): ReadonlyMap<number, number> | undefined {
  try {
    const folder = `/proc/${pid}`
    const own = new Set(readdirSync(`${folder}/fd`).map(each => socketInode(`${folder}/fd/${each}`)))
    return countPorts(readFileSync(`${folder}/net/tcp`, 'utf8'), own)
  } catch {
    return undefined
  }
}

/** Fields of a line: local address 1, peer's address 2 (`0100007F:2384`), state 3, inode 9. */
export function countPorts(table: string, own: ReadonlySet<string | undefined>): Map<number, number> {
  const counts = new Map<number, number>()
  for (const line of table.split('\n').slice(1)) {
    const fields = line.trim().split(/\s+/)
    if (fields[3] !== established || !own.has(fields[9])) continue
    const port = Number.parseInt(fields[2]?.split(':')[1] ?? '', 16)
    counts.set(port, (counts.get(port) ?? 0) + 1)
  }
  return counts
}

function socketInode(descriptor: string): string | undefined {
  try {
    return /^socket:\[(\d+)\]$/.exec(readlinkSync(descriptor))?.[1]
  } catch {
    // It was closed since the folder was read.
    return undefined
  }
}
