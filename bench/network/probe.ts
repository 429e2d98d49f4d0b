/** The publisher's end of a check: measures the way to the viewer's end and back, and prints what it saw. */
import { createSocket } from 'node:dgram'
import { once } from 'node:events'
import { connect } from 'node:net'
import { createInterface } from 'node:readline'
import { setTimeout as sleep } from 'node:timers/promises'
import { quantile } from '../lag/figures.ts'
import { checkPort, type LinkCheck } from './check.ts'

/** Datagrams: 200 a second take little of a slow link. */
const datagrams = { count: 600, distance: 5, size: 200, patience: 1000 } as const

/** Seconds that TCP has to find its rate, and in which it is counted. */
const transfer = { before: 1, counted: 2 } as const

const [address = ''] = process.argv.slice(2)
const result: LinkCheck = { ...(await bounce()), rate: await push() }
console.log(JSON.stringify(result))

async function bounce(): Promise<Omit<LinkCheck, 'rate'>> {
  const socket = createSocket('udp4')
  const sent: number[] = []
  const times = new Map<number, number>()
  let came = 0
  socket.on('message', message => {
    const number = message.readUInt32BE(0)
    times.set(number, performance.now() - (sent[number] ?? Number.NaN))
    came = Math.max(came, message.readUInt32BE(4))
  })
  const message = Buffer.alloc(datagrams.size)
  const begun = performance.now()
  for (let i = 0; i < datagrams.count; i++) {
    const due = begun + i * datagrams.distance
    if (due > performance.now()) await sleep(due - performance.now())
    message.writeUInt32BE(i, 0)
    sent.push(performance.now())
    // The bytes are the socket's until it says that they are sent.
    socket.send(Buffer.from(message), checkPort, address)
  }
  await sleep(datagrams.patience)
  socket.close()
  const ordered = [...times.values()].sort((a, b) => a - b)
  return {
    p50: quantile(ordered, 0.5),
    p99: quantile(ordered, 0.99),
    lostThere: 1 - came / datagrams.count,
    lostBack: 1 - times.size / came,
  }
}

/** @returns bits a second that one TCP connection brings */
async function push(): Promise<number> {
  const socket = connect(checkPort, address)
  await once(socket, 'connect')
  const points: { bytes: number; at: number }[] = []
  createInterface({ input: socket }).on('line', line => {
    const [bytes, at] = line.split(' ').map(Number)
    points.push({ bytes: bytes ?? 0, at: at ?? 0 })
  })
  const chunk = Buffer.alloc(64 * 1024)
  const fill = (): void => {
    while (socket.write(chunk));
  }
  socket.on('drain', fill)
  fill()
  await sleep((transfer.before + transfer.counted) * 1000)
  socket.removeListener('drain', fill)
  socket.resetAndDestroy()
  const last = points.at(-1)
  const first = points.find(({ at }) => at >= (last?.at ?? 0) - transfer.counted * 1000)
  if (first === undefined || last === undefined || first === last) return 0
  return ((last.bytes - first.bytes) * 8000) / (last.at - first.at)
}
