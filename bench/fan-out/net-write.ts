/**
 * The floor in Node: each frame is made once with its head, and written to each raw socket. What a socket does not take at once
 * waits in it. Arguments: bytes of a frame, frames a second, frames in a write. Prints its port.
 */
import { createHash } from 'node:crypto'
import { createServer } from 'node:http'
import type { AddressInfo, Socket } from 'node:net'
import { testBytes } from './moment.ts'

const [bytes = 0, rate = 0, gather = 1] = process.argv.slice(2).map(Number)
const sockets = new Set<Socket>()
const server = createServer()
server.on('upgrade', ({ headers }, socket: Socket) => {
  // RFC 6455 section 4.2.2.
  const accept = createHash('sha1')
    .update(`${headers['sec-websocket-key']}258EAFA5-E914-47DA-95CA-C5AB0DC85B11`)
    .digest('base64')
  socket.setNoDelay(true)
  socket.write(
    `HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: ${accept}\r\n\r\n`,
  )
  socket.on('close', () => sockets.delete(socket))
  socket.on('error', () => socket.destroy())
  socket.resume()
  sockets.add(socket)
})
server.listen(0, '127.0.0.1', () => process.stdout.write(`${(server.address() as AddressInfo).port}\n`))

const head = Buffer.from([0x82, 126, bytes >> 8, bytes & 255])
let frames: Buffer[] = []
setInterval(() => {
  frames.push(head, testBytes(bytes))
  if (frames.length < 2 * gather) return
  const all = Buffer.concat(frames)
  frames = []
  for (const socket of sockets) socket.write(all)
}, 1000 / rate)
process.stdin.on('end', () => process.exit()).resume()
