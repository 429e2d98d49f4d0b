/** What a link is like, measured from end to end by programs of the bench's own: the relay is not taken at its word. */
import { execFile, spawn } from 'node:child_process'
import { once } from 'node:events'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { addressOf, type End, type Links } from './links.ts'

export interface LinkCheck {
  /** Round trip from page to page, milliseconds. */
  readonly p50: number
  readonly p99: number
  /** Shares of the datagrams that were lost on the way there, and on the way back. */
  readonly lostThere: number
  readonly lostBack: number
  /** Bits a second of one TCP connection. */
  readonly rate: number
}

export const checkPort = 7070

/** Milliseconds that a check may take. */
const limit = 20_000

export async function checkLinks(links: Links): Promise<LinkCheck> {
  const echo = spawn(...programAt(links, 'viewer', 'echo.ts'), { stdio: ['pipe', 'pipe', 'inherit'] })
  try {
    await once(echo.stdout, 'data', { signal: AbortSignal.timeout(limit) })
    const [command, args] = programAt(links, 'publisher', 'probe.ts', addressOf('viewer'))
    const { stdout } = await promisify(execFile)(command, args, { timeout: limit })
    return JSON.parse(stdout) as LinkCheck
  } finally {
    echo.stdin.end()
    await once(echo, 'exit')
  }
}

function programAt(links: Links, end: End, file: string, ...args: string[]): readonly [string, string[]] {
  const [command, ...there] = links.at(end)
  return [command, [...there, process.execPath, join(import.meta.dirname, file), ...args]]
}

export function words({ p50, p99, lostThere, lostBack, rate }: LinkCheck): string {
  const percent = (share: number): string => (share * 100).toFixed(1)
  return (
    `round trip p50 ${p50.toFixed(1)}, p99 ${p99.toFixed(1)} ms; ` +
    `lost ${percent(lostThere)} % there, ${percent(lostBack)} % back; TCP ${(rate / 1e6).toFixed(2)} Mb/s`
  )
}
