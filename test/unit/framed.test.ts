import assert from 'node:assert/strict'
import { once } from 'node:events'
import type { IncomingMessage } from 'node:http'
import type { AddressInfo } from 'node:net'
import { describe, it } from 'node:test'
import { WebSocket, WebSocketServer } from 'ws'
import { encodeFramed } from '../../src/gateway/framed.ts'
import { Packet } from '../../src/relay/packet.ts'
import { millis, offset } from '../../src/units.ts'
import { encodeMessage } from '../../src/wire/message.ts'
import { testFrame } from '../support/clients.ts'

describe('a message with its head', () => {
  it('is read off the network as that message, of any size and between others that ws sends', async () => {
    const server = new WebSocketServer({ port: 0, host: '127.0.0.1', perMessageDeflate: false })
    await once(server, 'listening')
    const client = new WebSocket(`ws://127.0.0.1:${(server.address() as AddressInfo).port}`)
    const [socket, { socket: stream }] = (await once(server, 'connection')) as [WebSocket, IncomingMessage]
    // Past 125 and 65,535 bytes of a message its head is longer.
    const around = (size: number): number[] => Array.from({ length: 9 }, (_, i) => size - overhead - 4 + i)
    const overhead = encodeMessage({ type: 'frame', frame: testFrame(0, { bytes: 100 }) }).byteLength - 100
    const sizes = [4, ...around(125), 6000, ...around(65_535), 300_000]
    const messages = sizes.map((bytes, i) => ({ type: 'frame', frame: testFrame(i, { bytes }) }) as const)
    const all: Buffer[] = []
    const done = new Promise<void>(resolve =>
      client.on('message', (data: Buffer) => {
        all.push(data)
        if (all.length === 2 * messages.length) resolve()
      }),
    )
    for (const message of messages) {
      const framed = encodeFramed(message)
      assert.deepEqual(Buffer.from(framed.message), Buffer.from(encodeMessage(message)))
      stream.write(framed.bytes)
      socket.send(encodeMessage(message), { binary: true, compress: false })
    }
    await done
    assert.deepEqual(
      all,
      messages.flatMap(message => Array(2).fill(Buffer.from(encodeMessage(message)))),
    )
    client.terminate()
    server.close()
  })

  it('holds the one copy of a packet’s media, for all who have the packet', () => {
    const frame = testFrame(7, { bytes: 6000 })
    const packet = new Packet({
      type: 'frame',
      frame: { ...frame },
      session: 'abcdefgh',
      offset: offset(1),
      time: millis(2),
    })
    packet.encoded = encodeFramed({ type: 'frame', frame })
    const { event } = packet
    assert.ok(event.type === 'frame')
    assert.equal(event.frame.data.buffer, packet.encoded.bytes.buffer)
    assert.deepEqual(Buffer.from(event.frame.data), frame.data)
    assert.equal(packet.size, 6000)
  })
})
