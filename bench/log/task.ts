/** What the process of one measurement is told, and tells. */
import type { Account, Delays } from './ledger.ts'
import type { RequestCounts } from './requests.ts'
import type { SubjectName } from './subject.ts'

export interface Task {
  readonly subject: SubjectName
  readonly bootstrapServers: string
  readonly topics: readonly string[]
  readonly live: number
  /** Of each broadcast, on a gateway. */
  readonly viewers?: number | undefined
  /** Of each frame; 6 kB where it is not told. */
  readonly bytes?: number | undefined
  /** Whether the gateway is on a log of its own, without brokers. */
  readonly embedded?: boolean | undefined
  /** Broadcasts of a gateway that are watched and send nothing. */
  readonly idle?: number | undefined
  readonly warmUp: number
  readonly seconds: number
  /** Folder for a CPU profile. */
  readonly profile?: string | undefined
}

export interface Result extends Account {
  /** Of a gateway, from the publisher's socket to the viewer's: what `delivered` is part of. */
  readonly outside?: Delays
  readonly faults: readonly string[]
  /** Seconds of what is measured, user and system. */
  readonly cpu: number
  /** The same of publishers and viewers, where they have a process of their own. */
  readonly clients?: number
  readonly requests: RequestCounts
  /** For each broker; undefined where the machine does not tell. */
  readonly connections: readonly number[] | undefined
}

export type Told =
  | { readonly kind: 'begins' | 'ends' }
  | { readonly kind: 'result'; readonly result: Result }
  | { readonly kind: 'failed'; readonly reason: string }

/** Frames a second of a broadcast, and bytes of each where nothing else is told. */
export const rate = 30
export const usualBytes = 6000
/** Seconds for the first records to come, a group's first join included, and for the last ones. */
export const patience = 60

export function tell(told: Told): Promise<void> {
  return new Promise(done => process.send?.(told, undefined, undefined, () => done()))
}

/** Measures, tells the parent what it was, or what went wrong, and ends the process. */
export async function answer(run: () => Promise<Result>): Promise<never> {
  try {
    await tell({ kind: 'result', result: await run() })
  } catch (error) {
    const reason = error instanceof Error ? (error.stack ?? error.message) : String(error)
    await tell({ kind: 'failed', reason })
  }
  process.exit()
}
