/**
 * `ws` as most servers use it: each frame is made once, and sent to each viewer by `send`. Arguments: bytes of a frame, frames a
 * second. Prints its port.
 */
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { WebSocketServer } from 'ws'
import { testBytes } from './moment.ts'

const [bytes = 0, rate = 0] = process.argv.slice(2).map(Number)
const server = createServer()
const sockets = new WebSocketServer({ server, perMessageDeflate: false })
server.listen(0, '127.0.0.1', () => process.stdout.write(`${(server.address() as AddressInfo).port}\n`))
setInterval(() => {
  const frame = testBytes(bytes)
  for (const socket of sockets.clients) socket.send(frame, { binary: true })
}, 1000 / rate)
process.stdin.on('end', () => process.exit()).resume()
