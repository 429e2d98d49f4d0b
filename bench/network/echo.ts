/**
 * The viewer's end of a check: sends datagrams back, with the number of those that came, and swallows what TCP brings.
 * Ends with its input.
 */
import { createSocket } from 'node:dgram'
import { once } from 'node:events'
import { createServer } from 'node:net'
import { checkPort } from './check.ts'

let came = 0
const echo = createSocket('udp4')
echo.on('message', (message, { address, port }) => {
  came += 1
  message.writeUInt32BE(came, 4)
  echo.send(message, port, address)
})
echo.bind(checkPort)
// Each connection is told ten times a second how many of its bytes came, and when.
const sink = createServer(socket => {
  let bytes = 0
  socket.on('data', data => {
    bytes += data.byteLength
  })
  const tell = setInterval(() => {
    if (socket.writable) socket.write(`${bytes} ${performance.timeOrigin + performance.now()}\n`)
  }, 100)
  socket.on('error', () => socket.destroy())
  socket.on('close', () => clearInterval(tell))
})
sink.listen(checkPort)
await Promise.all([once(echo, 'listening'), once(sink, 'listening')])
process.stdin.resume()
process.stdin.on('end', () => process.exit())
console.log('ready')
