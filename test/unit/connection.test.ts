import assert from 'node:assert/strict'
import { once } from 'node:events'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import type { Duplex } from 'node:stream'
import { it } from 'node:test'
import { WebSocket, WebSocketServer } from 'ws'
import { Connection, connectionLimits } from '../../src/gateway/connection.ts'
import { encodeFramed } from '../../src/gateway/framed.ts'
import { LimitedSocket } from '../../src/gateway/limited-socket.ts'
import { createLogger } from '../../src/observe/logger.ts'
import { encodeMessage, type KnownMessage, protocolVersion } from '../../src/wire/message.ts'
import { testFrame } from '../support/clients.ts'
import { FakeClock } from '../support/fake-clock.ts'

/** A connection on a clock of its own, and its client. */
async function connect(): Promise<{
  clock: FakeClock
  connection: Connection
  client: WebSocket
  close(): Promise<void>
}> {
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
  return {
    clock,
    connection: await accepted,
    client,
    async close() {
      if (client.readyState !== WebSocket.CLOSED) {
        client.terminate()
        await once(client, 'close')
      }
      sockets.close()
      http.close()
      await once(http, 'close')
    },
  }
}

for (const way of ['sendBytes', 'sendFramed'] as const) {
  it(`a connection tells how long what its client does not take has waited, by ${way}`, {
    timeout: 20_000,
  }, async () => {
    const { clock, connection, client, close } = await connect()
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
    await close()
  })
}

it('a connection asks only who says nothing whether it is there, and ends where nobody answers', {
  timeout: 20_000,
}, async () => {
  const { clock, client, close } = await connect()
  let pings = 0
  client.on('ping', () => {
    pings += 1
  })
  const { heartbeat } = connectionLimits
  const hello: KnownMessage = { type: 'hello', role: 'watch', version: protocolVersion, from: 'live' }
  client.send(encodeMessage(hello))
  const speak = async (): Promise<void> => {
    client.send(encodeMessage({ type: 'ping', sent: 0 }))
    await once(client, 'message')
  }
  for (let i = 0; i < 5; i++) {
    await speak()
    clock.advance(heartbeat)
  }
  await speak()
  assert.equal(pings, 0)
  clock.advance(2 * heartbeat)
  await once(client, 'ping')
  // Its answer is on its way: it is heard before what is said behind it is answered.
  await speak()
  clock.advance(heartbeat)
  await speak()
  assert.equal(client.readyState, WebSocket.OPEN)
  client.pause()
  clock.advance(3 * heartbeat)
  client.resume()
  await once(client, 'close')
  await close()
})
