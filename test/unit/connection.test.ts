import assert from 'node:assert/strict'
import { once } from 'node:events'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import type { Duplex } from 'node:stream'
import { it } from 'node:test'
import { WebSocket, WebSocketServer } from 'ws'
import { Connection } from '../../src/gateway/connection.ts'
import { encodeFramed } from '../../src/gateway/framed.ts'
import { LimitedSocket } from '../../src/gateway/limited-socket.ts'
import { createLogger } from '../../src/observe/logger.ts'
import { testFrame } from '../support/clients.ts'
import { FakeClock } from '../support/fake-clock.ts'

for (const way of ['sendBytes', 'sendFramed'] as const) {
  it(`a connection tells how long what its client does not take has waited, by ${way}`, {
    timeout: 20_000,
  }, async () => {
    const clock = new FakeClock()
    const http = createServer()
    const sockets = new WebSocketServer({ noServer: true, WebSocket: LimitedSocket })
    const accepted = new Promise<Connection>(resolve => {
      http.on('upgrade', (request, stream: Duplex, head) => {
        sockets.handleUpgrade(request, stream, head, socket => {
          const handler = { onHello() {}, onMessage() {}, onClosed() {} }
          resolve(new Connection(socket, stream, clock, createLogger('error'), handler))
        })
      })
    })
    http.listen(0, '127.0.0.1')
    await once(http, 'listening')
    const client = new WebSocket(`ws://127.0.0.1:${(http.address() as AddressInfo).port}`)
    await once(client, 'open')
    const connection = await accepted
    const message = encodeFramed({ type: 'frame', frame: testFrame(0, { bytes: 64 * 1024 }) })
    const send = (): void => connection[way](way === 'sendFramed' ? message.bytes : message.message)
    send()
    await connection.drained(0)
    assert.equal(connection.waited, 0)
    client.pause()
    // The system takes some of it, however much that is here.
    while (connection.buffered < 1024 * 1024) {
      send()
      await new Promise(setImmediate)
    }
    clock.advance(1500)
    assert.equal(connection.waited, 1500)
    send()
    clock.advance(500)
    assert.equal(connection.waited, 2000)
    client.resume()
    await connection.drained(0)
    assert.equal(connection.waited, 0)
    client.terminate()
    await once(client, 'close')
    sockets.close()
    http.close()
    await once(http, 'close')
  })
}
