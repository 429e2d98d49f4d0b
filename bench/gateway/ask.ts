/** What a gateway that has `look.ts` loaded tells of itself. */
import { setTimeout as sleep } from 'node:timers/promises'
import type { RunningGateway } from '../../test/support/gateway.ts'
import type { RequestCounts } from '../log/requests.ts'

export interface Look {
  /** Microseconds of the process, user and system. */
  readonly cpu: number
  /** What it uses of its heap, bytes, what can be collected included. */
  readonly heap: number
  readonly counts: RequestCounts
  /** When metadata was asked for, milliseconds of the wall clock. */
  readonly refreshes: readonly number[]
}

/** Begins the line of an answer. */
export const lookMark = 'bench-look '

/** One at a time: it answers on its standard error, in order. @throws Error where it has ended */
export async function ask(gateway: RunningGateway): Promise<Look> {
  const answers = (): string[] =>
    gateway
      .output()
      .split('\n')
      .slice(0, -1)
      .filter(each => each.startsWith(lookMark))
  const before = answers().length
  for (process.kill(gateway.pid, 'SIGUSR2'); ; await sleep(5)) {
    const line = answers()[before]
    if (line !== undefined) return JSON.parse(line.slice(lookMark.length)) as Look
    // Throws where there is none any more.
    process.kill(gateway.pid, 0)
  }
}
