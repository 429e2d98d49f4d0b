/** Starts a subject and its viewers, measures it, and ends both. */
import { spawn } from 'node:child_process'
import { createInterface } from 'node:readline'
import { setTimeout as pause } from 'node:timers/promises'
import { costOf } from './meter.ts'
import { endProcess, programOf } from './programs.ts'
import type { Subject } from './subjects.ts'

/** As `viewers` prints it. */
interface Seen {
  readonly frames: number
  readonly least: number
  readonly most: number
  readonly bytes: number
  readonly ended: number
  /** Frames made in that time that a viewer did not get and another one did, of all viewers. */
  readonly missing: number
  /** Age of frames, microseconds. */
  readonly p50: number
  readonly p99: number
  readonly max: number
  readonly cpu: number
}

export interface Outcome extends Seen {
  readonly tellsAge: boolean
  /** Of the processes that send, seconds for each 10^9 bits. */
  readonly perGigabit: number
  /** The same, of a core. */
  readonly share: number
  /** Own memory, bytes. */
  readonly memory: number
}

export interface Times {
  /** From the first frame of all viewers on, and of the measurement. */
  readonly warmUp: number
  readonly seconds: number
}

/** @param name for who reads of an error */
export async function measure(
  name: string,
  subject: Subject,
  count: number,
  { warmUp, seconds }: Times,
): Promise<Outcome> {
  const { port, path, subprotocol, hello, type, tellsAge = true } = subject
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
    const pids = subject.pids()
    viewers.stdin.write('begin\n')
    const { cpu, took, memory } = await costOf(pids, seconds)
    viewers.stdin.write('end\n')
    const seen = JSON.parse(await next()) as Seen
    return {
      ...seen,
      // Without their moments frames are not known apart: where a frame is under way as it begins or ends, one is missing.
      missing: tellsAge ? seen.missing : seen.most - seen.least,
      tellsAge,
      perGigabit: cpu / ((seen.bytes * 8) / 1e9),
      share: cpu / took,
      memory,
    }
  } finally {
    await endProcess(viewers)
  }
}
