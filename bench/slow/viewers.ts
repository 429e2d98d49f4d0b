/**
 * A process of viewers: most take what comes, some a tenth of it, some nothing at all. Prints what those who take it all
 * waited for between two frames. Arguments: the socket's URL, how many of each kind, seconds before it counts, and counted.
 */
import { randomBytes } from 'node:crypto'
import { connect, type Socket } from 'node:net'
import { setTimeout as pause } from 'node:timers/promises'
import { WebSocket } from 'ws'
import { encodeMessage, protocolVersion, subprotocol } from '../../src/wire/message.ts'
import { quantile } from '../lag/figures.ts'

export interface ViewersResult {
  readonly frames: number
  readonly p50: number
  readonly p99: number
  readonly max: number
  /** Connections that the gateway has ended, of all kinds. */
  readonly ended: number
}

const [url = '', ...counts] = process.argv.slice(2)
const [takers = 0, slow = 0, stuck = 0, warmUp = 0, seconds = 0] = counts.map(Number)
/** Bytes a second that a slow one takes: a tenth of 30 frames of 6 kB. */
const slowRate = 18_000
const frameType = 4

const hello = encodeMessage({ type: 'hello', role: 'watch', version: protocolVersion, from: 'live' })
const gaps: number[] = []
let isCounting = false
let ended = 0

function take(): Promise<void> {
  const socket = new WebSocket(url, subprotocol, { perMessageDeflate: false })
  socket.binaryType = 'nodebuffer'
  let before: number | undefined
  socket.on('message', (data: Buffer) => {
    if (data[0] !== frameType) return
    const now = performance.now()
    if (isCounting && before !== undefined) gaps.push(now - before)
    before = now
  })
  socket.on('close', () => {
    ended += 1
  })
  return new Promise((resolve, reject) => {
    socket.on('error', reject)
    socket.on('open', () => {
      socket.send(hello)
      resolve()
    })
  })
}

/** A connection that reads only what it is told to: the system's own buffers fill, then the gateway's. */
async function hold(bytesPerSecond: number): Promise<void> {
  const { hostname, port, pathname } = new URL(url)
  const socket: Socket = connect(Number(port), hostname)
  socket.on('close', () => {
    ended += 1
  })
  socket.on('error', () => {})
  await new Promise(resolve => socket.once('connect', resolve))
  const key = randomBytes(16).toString('base64')
  socket.write(
    `GET ${pathname} HTTP/1.1\r\nHost: ${hostname}:${port}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n` +
      `Sec-WebSocket-Key: ${key}\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Protocol: ${subprotocol}\r\n\r\n`,
  )
  await new Promise(resolve => socket.once('readable', resolve))
  socket.read()
  // A client's frame is masked; with a mask of zeros its bytes stay as they are.
  const head = Buffer.from([0x82, 0x80 | hello.byteLength, 0, 0, 0, 0])
  socket.write(Buffer.concat([head, hello]))
  if (bytesPerSecond === 0) return
  const timer = setInterval(() => {
    if (socket.destroyed) clearInterval(timer)
    for (let left = bytesPerSecond / 10; left > 0; ) {
      const chunk: Buffer | null = socket.read(Math.min(left, socket.readableLength || 1))
      if (chunk === null) return
      left -= chunk.byteLength
    }
  }, 100)
}

await Promise.all(Array.from({ length: takers }, take))
await Promise.all(Array.from({ length: slow }, () => hold(slowRate)))
await Promise.all(Array.from({ length: stuck }, () => hold(0)))
await pause(warmUp * 1000)
isCounting = true
await pause(seconds * 1000)
isCounting = false
const ordered = gaps.sort((a, b) => a - b)
const result: ViewersResult = {
  frames: ordered.length,
  p50: quantile(ordered, 0.5),
  p99: quantile(ordered, 0.99),
  max: quantile(ordered, 1),
  ended,
}
process.stdout.write(`${JSON.stringify(result)}\n`)
process.exit(0)
