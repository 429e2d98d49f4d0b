import assert from 'node:assert/strict'
import { once } from 'node:events'
import { connect, type Socket } from 'node:net'
import { text } from 'node:stream/consumers'
import { after, before, describe, it } from 'node:test'
import { setTimeout as pause } from 'node:timers/promises'
import { WebSocket } from 'ws'
import { encodeMessage, messageLimits, protocolVersion, subprotocol } from '../../src/wire/message.ts'
import { TestPublisher, TestViewer, testFrame, WireClient } from '../support/clients.ts'
import { type RunningGateway, startGateway } from '../support/gateway.ts'

describe('bad input on the sockets', { timeout: 60_000 }, () => {
  let gateway: RunningGateway
  before(async () => {
    gateway = await startGateway()
  })
  after(() => gateway[Symbol.asyncDispose]())

  let refusals = 0
  const errorOf = async (client: WireClient): Promise<string> => {
    const { code } = await client.next('error').catch(error => ({ code: String(error) }))
    await client.ended()
    refusals += 1
    return code
  }

  for (const role of ['publish', 'watch', 'data']) {
    it(`gets a coded error and a close on the ${role} socket, and harms nobody else`, async () => {
      const publisher = await TestPublisher.connect(gateway.ws, `calm-${role}`)
      const url = `${gateway.ws}/api/v1/broadcasts/garbage/${role}`
      const garbage: [string, string | Uint8Array][] = [
        ['BAD_MESSAGE', 'text'],
        ['BAD_MESSAGE', new Uint8Array()],
        ['BAD_MESSAGE', new Uint8Array([1, 123])],
        ['BAD_MESSAGE', encodeMessage({ type: 'ack', sequence: 1 })],
        ['BAD_MESSAGE', encodeMessage({ type: 'frame', frame: testFrame(0) })],
        [
          'BAD_MESSAGE',
          encodeMessage({
            type: 'hello',
            role: role === 'publish' ? 'watch' : 'publish',
            version: 1,
            from: 'live',
            resume: 'x'.repeat(16),
          } as never),
        ],
        ['UNSUPPORTED_VERSION', encodeMessage({ type: 'hello', role: 'watch', version: 99, from: 'live' })],
        ['MESSAGE_TOO_LARGE', new Uint8Array(messageLimits.control + 1).fill(1)],
      ]
      for (const [code, bytes] of garbage) {
        const client = await new WireClient(url).opened()
        client.socket.send(bytes)
        assert.equal(await errorOf(client), code)
      }
      publisher.publish(3)
      await publisher.acknowledged(2)
      await publisher.close()
    })
  }

  it('is refused where the broadcast id is none', async () => {
    const client = await new WireClient(`${gateway.ws}/api/v1/broadcasts/No%20Such/watch`).opened()
    assert.equal(await errorOf(client), 'BAD_BROADCAST_ID')
  })

  it('is refused where the position is none', async () => {
    const viewer = await TestViewer.connect(gateway.ws, 'where', 'yesterday')
    assert.equal(await errorOf(viewer), 'BAD_POSITION')
  })

  it('is refused where frames come before a catalog, name no track, or skip the hello', async () => {
    const early = await new WireClient(`${gateway.ws}/api/v1/broadcasts/early/publish`).opened()
    early.send({ type: 'hello', role: 'publish', version: protocolVersion, resume: 'x'.repeat(32) })
    await early.next('welcome')
    early.send({ type: 'frame', frame: testFrame(0) })
    assert.equal(await errorOf(early), 'OUT_OF_ORDER')

    const stray = await TestPublisher.connect(gateway.ws, 'stray')
    stray.send({ type: 'frame', frame: { ...testFrame(0), track: 'other' as never } })
    assert.equal(await errorOf(stray), 'BAD_MESSAGE')
  })

  it('is cut off past the largest message, and the gateway lives', async () => {
    const client = await TestPublisher.connect(gateway.ws, 'huge')
    client.socket.send(new Uint8Array(messageLimits.frame + 1))
    assert.equal(await errorOf(client), 'FRAME_TOO_LARGE')
    assert.equal(client.closed?.code, 4413)
    assert.equal((await fetch(`${gateway.http}/ping`)).status, 200)
  })

  it('is refused by the first bytes of a message that is too large, before a welcome and from viewers', async () => {
    const urlOf = (role: string): string => `${gateway.ws}/api/v1/broadcasts/early-bytes/${role}`
    const greeted = await TestViewer.connect(gateway.ws, 'early-bytes')
    await greeted.next('welcome')
    const clients = [
      await new WireClient(urlOf('publish')).opened(),
      await new WireClient(urlOf('watch')).opened(),
      greeted,
    ]
    for (const client of clients) {
      sendUnfinished(client, 1024 * 1024)
      assert.equal(await errorOf(client), 'MESSAGE_TOO_LARGE')
      assert.equal(client.closed?.code, 4413)
    }
    const parts = await new WireClient(urlOf('publish')).opened()
    for (let i = 0; i < 3; i++)
      parts.socket.send(new Uint8Array(messageLimits.control / 2), { fin: false, binary: true })
    assert.equal(await errorOf(parts), 'MESSAGE_TOO_LARGE')
  })

  it('takes frames of several MiB right behind the welcome, and gives them to viewers', async () => {
    const publisher = await TestPublisher.connect(gateway.ws, 'large')
    publisher.publish(1, { keyframe: true, bytes: 4 * 1024 * 1024 })
    await publisher.acknowledged(0)
    const viewer = await TestViewer.connect(gateway.ws, 'large', 'start')
    assert.equal((await viewer.frame(0)).frame.data.byteLength, 4 * 1024 * 1024)
    await Promise.all([publisher.close(), viewer.close()])
  })

  it('goes on after messages of a type that it does not know', async () => {
    const publisher = await TestPublisher.connect(gateway.ws, 'newer')
    publisher.socket.send(new Uint8Array([250, 1, 2, 3]))
    publisher.publish(1)
    await publisher.acknowledged(0)
    await publisher.close()
  })

  it('is refused from a page of another origin', async () => {
    const socket = new WebSocket(`${gateway.ws}/api/v1/broadcasts/mine/watch`, subprotocol, {
      origin: 'http://elsewhere.example',
    })
    const [, response] = (await once(socket, 'unexpected-response')) as [unknown, { statusCode: number }]
    assert.equal(response.statusCode, 403)
  })

  it('is answered where it is no WebSocket', async () => {
    for (const bytes of [
      'GET /api/v1/broadcasts/x/publish HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\n',
    ]) {
      const socket = connect(gateway.port, '127.0.0.1')
      await once(socket, 'connect')
      socket.write(bytes)
      const [answer] = (await once(socket, 'data')) as [Buffer]
      assert.match(answer.toString(), /^HTTP\/1\.1 4\d\d /)
      socket.destroy()
    }
  })

  it('writes one line for each refusal and no stack', async () => {
    const lines = (): number => gateway.output().match(/connection refused or ended/g)?.length ?? 0
    while (lines() < refusals) await pause(20)
    assert.ok(refusals > 0)
    assert.equal(lines(), refusals)
    assert.doesNotMatch(gateway.output(), /\n\s+at /)
  })
})

/** The header and the first KiB of a message, on the connection below the WebSocket: the rest never comes. */
function sendUnfinished(client: WireClient, size: number): void {
  const header = Buffer.alloc(14)
  header.writeUInt16BE(0x82ff)
  header.writeUInt32BE(size, 6)
  const { _socket } = client.socket as unknown as { _socket: Socket }
  _socket.write(Buffer.concat([header, Buffer.alloc(1024, 1)]))
}

describe('HTTP', { timeout: 30_000 }, () => {
  let gateway: RunningGateway
  before(async () => {
    gateway = await startGateway()
  })
  after(() => gateway[Symbol.asyncDispose]())

  it('answers /ping and /version', async () => {
    assert.deepEqual(await (await fetch(`${gateway.http}/ping`)).json(), { message: 'pong' })
    const version = (await (await fetch(`${gateway.http}/version`)).json()) as Record<string, string>
    assert.match(version.version ?? '', /^\d+\.\d+\.\d+/)
    assert.ok(version.build_time)
  })

  it('serves the pages anew each time, and what they load for good', async () => {
    for (const path of ['/', '/static/index.html', '/watch/any']) {
      const response = await fetch(`${gateway.http}${path}`)
      assert.equal(response.status, 200, path)
      assert.equal(response.headers.get('cache-control'), 'no-cache')
      const [asset] = /\/assets\/[^"]+\.js/.exec(await response.text()) ?? []
      const loaded = await fetch(`${gateway.http}${asset}`)
      assert.match(loaded.headers.get('cache-control') ?? '', /immutable/)
    }
  })

  it('gives coded errors with advice', async () => {
    const missing = await fetch(`${gateway.http}/api/v1/broadcasts/nowhere`)
    assert.equal(missing.status, 404)
    const { error } = (await missing.json()) as { error: Record<string, string> }
    assert.equal(error.code, 'BROADCAST_NOT_FOUND')
    assert.ok(error.message && error.advice)
    assert.equal((await fetch(`${gateway.http}/api/v1/broadcasts/NO`)).status, 400)
    assert.equal((await fetch(`${gateway.http}/nothing/here`)).status, 404)
  })

  const codeIn = (body: string): string => (JSON.parse(body) as { error: { code: string } }).error.code

  it('gives coded errors for addresses that the router does not take', async () => {
    const cases: [path: string, status: number, code: string][] = [
      ['/api/v1/broadcasts/%ff', 400, 'BAD_BROADCAST_ID'],
      [`/api/v1/broadcasts/${'x'.repeat(10_000)}`, 400, 'BAD_BROADCAST_ID'],
      ['/%ff', 404, 'NOT_FOUND'],
      [`/watch/${'x'.repeat(10_000)}`, 404, 'NOT_FOUND'],
    ]
    for (const [path, status, code] of cases) {
      const response = await fetch(`${gateway.http}${path}`)
      assert.deepEqual([response.status, codeIn(await response.text())], [status, code])
    }
  })

  /** What comes back for these bytes, up to the end of the connection. */
  const answer = async (bytes: string | Uint8Array): Promise<{ head: string; body: string }> => {
    const socket = connect(gateway.port, '127.0.0.1')
    socket.write(bytes)
    const [head = '', body = ''] = (await text(socket)).split('\r\n\r\n')
    return { head, body }
  }

  it('gives coded errors for what is no HTTP, or asks for a socket that is none', async () => {
    const upgrade = 'Host: x\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n'
    const cases: [bytes: string | Uint8Array, status: number, code: string][] = [
      [Buffer.from([0x16, 3, 1, 0, 0xff]), 400, 'BAD_MESSAGE'],
      ['CONJURE / HTTP/1.1\r\nHost: x\r\n\r\n', 400, 'BAD_MESSAGE'],
      [`GET / HTTP/1.1\r\nHost: x\r\nLong: ${'x'.repeat(20_000)}\r\n\r\n`, 413, 'MESSAGE_TOO_LARGE'],
      [`GET /ping HTTP/1.1\r\n${upgrade}\r\n`, 404, 'NOT_FOUND'],
      [
        `GET /api/v1/broadcasts/x/watch HTTP/1.1\r\n${upgrade}Origin: http://y\r\n\r\n`,
        403,
        'FOREIGN_ORIGIN',
      ],
    ]
    for (const [bytes, status, code] of cases) {
      const { head, body } = await answer(bytes)
      assert.match(head, new RegExp(`^HTTP/1.1 ${status} `))
      assert.equal(codeIn(body), code)
    }
  })

  it('answers a request that offers h2c as if it did not', async () => {
    const { head, body } = await answer(
      'GET /ping HTTP/1.1\r\nHost: x\r\nConnection: Upgrade, HTTP2-Settings, close\r\nUpgrade: h2c\r\n' +
        'HTTP2-Settings: AAMAAABkAAQCAAAAAAIAAAAA\r\n\r\n',
    )
    assert.match(head, /^HTTP\/1.1 200 /)
    assert.deepEqual(JSON.parse(body), { message: 'pong' })
  })
})
