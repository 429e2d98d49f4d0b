/** Who sends frames to many viewers, each a process of its own whose processor time is what counts. */
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { join } from 'node:path'
import { type Delivery, encodeMessage, protocolVersion, subprotocol, types } from '../../src/wire/message.ts'
import { TestPublisher, testFrame } from '../../test/support/clients.ts'
import { startGateway } from '../../test/support/gateway.ts'
import { testBytes } from './moment.ts'
import { nodeMediaServer } from './node-media-server.ts'
import { endProcess, programOf } from './programs.ts'

export interface Stream {
  /** Bytes of a frame, and frames a second. */
  readonly bytes: number
  readonly rate: number
}

export interface Subject extends AsyncDisposable {
  /** Of the process that sends. */
  readonly pid: number
  /** What a viewer asks for: port, path, subprotocol, the message that it sends first, the type of message that counts. */
  readonly port: number
  readonly path: string
  readonly subprotocol: string
  readonly hello: string
  readonly type: number
  /** Whether its messages tell when they were made. */
  readonly tellsAge?: boolean
}

export type Start = (stream: Stream) => Promise<Subject>

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
    pid: child.pid ?? 0,
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

/** As `framelog serve` runs, on a log in a folder of its own; its publisher is in this process. */
const framelog =
  (delivery: Delivery | undefined): Start =>
  async ({ bytes, rate }) => {
    const gateway = await startGateway({ LOG_LEVEL: 'warn' })
    const publisher = await TestPublisher.connect(gateway.ws, 'crowd')
    const send = (): void => {
      const frame = { ...testFrame(publisher.sequence++), data: testBytes(bytes) }
      publisher.socket.send(encodeMessage({ type: 'frame', frame }))
      publisher.forget()
    }
    send()
    const camera = setInterval(send, 1000 / rate)
    const asks = delivery === undefined ? {} : { delivery }
    const hello = encodeMessage({
      type: 'hello',
      role: 'watch',
      version: protocolVersion,
      from: 'live',
      ...asks,
    })
    return {
      pid: gateway.pid,
      port: gateway.port,
      path: '/api/v1/broadcasts/crowd/watch',
      subprotocol,
      hello: Buffer.from(hello).toString('hex'),
      type: types.frame,
      async [Symbol.asyncDispose]() {
        clearInterval(camera)
        publisher.cut()
        await gateway[Symbol.asyncDispose]()
      },
    }
  }

export const subjects = {
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

export type SubjectName = keyof typeof subjects
