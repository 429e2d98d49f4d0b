/** Who sends frames to many viewers, each a process of its own whose processor time is what counts. */
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { join } from 'node:path'
import type { Broker } from './broker.ts'
import { framelog, framelogOnKafka } from './framelog.ts'
import { nodeMediaServer } from './node-media-server.ts'
import { endProcess, programOf } from './programs.ts'

export interface Stream {
  /** Bytes of a frame, and frames a second. */
  readonly bytes: number
  readonly rate: number
}

export interface Subject extends AsyncDisposable {
  /** Of the process that sends, and of all that it needs for that: they stay the same. */
  pids(): readonly number[]
  /** What a viewer asks for: port, path, subprotocol, the message that it sends first, the type of message that counts. */
  readonly port: number
  readonly path: string
  readonly subprotocol: string
  readonly hello: string
  readonly type: number
  /** Whether its messages tell when they were made. */
  readonly tellsAge?: boolean
}

export type Start = (stream: Stream, broker: Broker) => Promise<Subject>

const none = { path: '/', subprotocol: '-', hello: '-', type: -1 } as const

/** A program that prints its port, and ends with its input. */
async function program(command: string, args: readonly string[]): Promise<Subject> {
  const child = spawn(command, args, { stdio: ['pipe', 'pipe', 'inherit'] })
  const [line] = (await Promise.race([
    once(child.stdout, 'data'),
    once(child, 'exit').then(([code]) => {
      throw new Error(`${command} ended with ${code}`)
    }),
  ])) as [Buffer]
  return {
    ...none,
    pids: () => [child.pid ?? 0],
    port: Number(line.toString()),
    async [Symbol.asyncDispose]() {
      await endProcess(child)
    },
  }
}

const floor =
  (gather: number): Start =>
  ({ bytes, rate }) =>
    program(programOf('floor'), [bytes, rate, gather].map(String))

const inNode =
  (name: string, ...further: readonly number[]): Start =>
  ({ bytes, rate }) =>
    program(process.execPath, [join(import.meta.dirname, name), ...[bytes, rate, ...further].map(String)])

const usual = {
  floor: floor(1),
  'floor, 2 frames a write': floor(2),
  'floor, 3 frames a write': floor(3),
  'net.write': inNode('net-write.ts', 1),
  'net.write, 3 frames a write': inNode('net-write.ts', 3),
  'ws.send': inNode('ws-send.ts'),
  'node-media-server': nodeMediaServer,
  framelog: framelog('prompt'),
  'framelog, gathered': framelog('gathered'),
} as const satisfies Record<string, Start>

const onKafka = {
  'framelog, one broker': framelogOnKafka(1),
  'framelog, one broker, 2 workers': framelogOnKafka(2),
} as const satisfies Record<string, Start>

/** As a gateway does it by itself: prompt while it has time to spare, and gathered where it has not. */
const byLoad = { 'framelog, by load': framelog(undefined) } as const satisfies Record<string, Start>

export const subjects = { ...usual, ...byLoad, ...onKafka } as const

export type SubjectName = keyof typeof subjects

export const needsBroker = (name: SubjectName): boolean => Object.hasOwn(onKafka, name)

/** @param text names with ; between them; undefined for the usual ones. @throws Error that tells the names */
export function readNames(text: string | undefined): readonly SubjectName[] {
  const names = text?.split(';').map(each => each.trim()) ?? Object.keys(usual)
  return names.map(name => {
    if (!Object.hasOwn(subjects, name))
      throw new Error(`FANOUT_ONLY takes, with ; between them: ${Object.keys(subjects).join('; ')}`)
    return name as SubjectName
  })
}
