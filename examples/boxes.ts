/**
 * Draws a box on every picture of a broadcast, as a program that looks for something in them would: it watches, and for each
 * frame of the picture writes where it has found it, with the frame's own time. Every page that watches draws the box on the
 * frame that it belongs to: a replay on the very frame, a live one as soon as it comes.
 *
 *   make boxes ID=front-door [URL=http://127.0.0.1:8080]
 */
import { WebSocket } from 'ws'
import { mainTrack } from '../src/media/catalog.ts'
import { isBroadcastId, micros, trackName } from '../src/units.ts'
import {
  decodeBundle,
  decodeMessage,
  encodeMessage,
  isBundle,
  type Message,
  protocolVersion,
  subprotocol,
} from '../src/wire/message.ts'

const [id = '', gateway = 'http://127.0.0.1:8080'] = process.argv.slice(2)
if (!isBroadcastId(id) || !/^https?:/.test(gateway)) {
  process.stderr.write('Which broadcast? make boxes ID=front-door [URL=http://127.0.0.1:8080]\n')
  process.exit(2)
}
const base = `${gateway.replace(/^http/, 'ws')}/api/v1/broadcasts/${id}`
const track = trackName('meta-boxes')

const open = (role: 'watch' | 'data', onMessage: (message: Message) => void): WebSocket => {
  const socket = new WebSocket(`${base}/${role}`, subprotocol, { perMessageDeflate: false })
  socket.binaryType = 'nodebuffer'
  socket.on('open', () => {
    const hello = { type: 'hello', version: protocolVersion } as const
    socket.send(encodeMessage(role === 'data' ? { ...hello, role } : { ...hello, role, from: 'live' }))
  })
  socket.on('message', (bytes: Buffer) => {
    for (const part of isBundle(bytes) ? decodeBundle(bytes).parts : [bytes]) onMessage(decodeMessage(part))
  })
  socket.on('error', ({ message }) => process.stderr.write(`No gateway answers at ${gateway}: ${message}\n`))
  socket.on('close', (code, reason) => {
    process.stderr.write(`The ${role} socket is closed: ${code} ${reason}\n`)
    process.exit(1)
  })
  return socket
}

let session = ''
let picture: string | undefined

const writer = open('data', message => {
  if (message.type === 'error')
    process.stderr.write(`${message.message} [${message.code}] ${message.advice}\n`)
  if (message.type === 'ack' && message.sequence % 100 === 99)
    process.stdout.write(`${message.sequence + 1} boxes are in the log\n`)
})

open('watch', message => {
  if (message.type === 'catalog') {
    session = message.session ?? ''
    picture = mainTrack(message.catalog)?.name
  } else if (message.type === 'frame' && message.frame.track === picture) find(message.frame.timestamp)
})

/** Here a program would decode the frame and look at it. @param timestamp of the frame, microseconds */
function find(timestamp: number): void {
  if (writer.readyState !== WebSocket.OPEN) return
  const turn = (timestamp / 1_000_000) % (2 * Math.PI)
  const box = { x: 0.4 + 0.3 * Math.cos(turn), y: 0.4 + 0.3 * Math.sin(turn), width: 0.2, height: 0.2 }
  const label = `${(timestamp / 1_000_000).toFixed(2)} s`
  const data = Buffer.from(JSON.stringify({ boxes: [{ ...box, label }] }))
  const moment = { session, timestamp: micros(timestamp) }
  writer.send(encodeMessage({ type: 'data', record: { track, moment, data } }))
}
