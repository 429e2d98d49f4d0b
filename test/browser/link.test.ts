import assert from 'node:assert/strict'
import { once } from 'node:events'
import type { AddressInfo } from 'node:net'
import { after, describe, it } from 'node:test'
import { type WebSocket, WebSocketServer } from 'ws'
import {
  decodeMessage,
  encodeMessage,
  type KnownMessage,
  type Message,
  type MessageOf,
} from '../../src/wire/message.ts'
import { until } from '../support/fake-clock.ts'

// The two things that Node has not got.
Object.assign(globalThis, { addEventListener: () => {}, removeEventListener: () => {} })

/** What the test needs of it: its module is typed for browsers. */
interface Link {
  readonly isOpen: boolean
  readonly origin: string
  open(): void
  close(): void
}

/** A gateway as far as a page's link sees one. */
class Gateway {
  readonly heard: Message[] = []
  readonly url: string
  greets = true
  answersPings = true
  readonly #server: WebSocketServer
  readonly sockets = new Set<WebSocket>()

  private constructor(server: WebSocketServer) {
    this.#server = server
    this.url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`
    server.on('connection', socket => {
      this.sockets.add(socket)
      socket.on('close', () => this.sockets.delete(socket))
      socket.on('message', (data: Buffer) => {
        const message = decodeMessage(data)
        this.heard.push(message)
        if (message.type === 'ping' && this.answersPings)
          this.send({ type: 'pong', sent: message.sent, time: 0 })
        if (message.type !== 'hello' || !this.greets) return
        this.send({ type: 'welcome', role: 'watch', version: 1, time: 0, gateway: this.url, state: 'live' })
      })
    })
  }

  static async open(): Promise<Gateway> {
    const server = new WebSocketServer({
      host: '127.0.0.1',
      port: 0,
      handleProtocols: ([name]) => name ?? false,
    })
    await once(server, 'listening')
    return new Gateway(server)
  }

  send(message: KnownMessage): void {
    for (const socket of this.sockets) socket.send(encodeMessage(message))
  }

  /** As a killed process does. */
  die(): Promise<unknown> {
    const closed = once(this.#server, 'close')
    this.#server.close()
    for (const socket of this.sockets) socket.terminate()
    return closed
  }

  get isConnected(): boolean {
    return this.sockets.size > 0
  }
}

describe('a page’s link', { timeout: 60_000 }, () => {
  const links: Link[] = []
  after(() => {
    for (const link of links) link.close()
  })

  const setUp = async (count: number) => {
    const gateways = await Promise.all(Array.from({ length: count }, () => Gateway.open()))
    const welcomes: MessageOf<'welcome'>[] = []
    const problems: unknown[] = []
    const { Link } = (await import(new URL('../../src/browser/net/link.ts', import.meta.url).href)) as {
      Link: new (url: URL, path: string, handler: object) => Link
    }
    const [first = assert.fail()] = gateways
    const link = new Link(new URL(`${first.url}/watch/cam`), '/socket', {
      hello: () => ({ type: 'hello', role: 'watch', version: 1, from: 'live' }),
      onWelcome: (welcome: MessageOf<'welcome'>) => welcomes.push(welcome),
      onMessage: () => {},
      onLost: (problem: unknown) => problems.push(problem),
      onFailed: () => assert.fail('it has failed'),
    })
    links.push(link)
    link.open()
    await until(() => welcomes.length === 1)
    const [, ...others] = gateways.map(({ url }) => url)
    if (others.length > 0) first.send({ type: 'gateways', urls: others })
    const last = (): string | undefined => welcomes.at(-1)?.gateway
    return { gateways, link, welcomes, problems, last }
  }

  it('goes on with another gateway when its own dies, at once', async () => {
    const { gateways, link, last, problems } = await setUp(3)
    const [a = assert.fail(), b = assert.fail(), c = assert.fail()] = gateways
    await a.die()
    await until(() => link.isOpen && last() === b.url)
    assert.equal(problems.length, 1)
    await b.die()
    await until(() => link.isOpen && last() === c.url)
    link.close()
    await c.die()
  })

  it('opens the next connection before it leaves a gateway that is about to stop', async () => {
    const { gateways, link, last, problems } = await setUp(2)
    const [a = assert.fail(), b = assert.fail()] = gateways
    let wasConnected = false
    b.greets = false
    a.send({ type: 'gateways', urls: [b.url], leave: true })
    await until(() => {
      if (b.heard.length === 0) wasConnected = a.isConnected
      return b.heard.some(({ type }) => type === 'hello')
    })
    assert.equal(wasConnected, true)
    assert.deepEqual(problems, [], 'nothing was lost')
    b.greets = true
    b.send({ type: 'welcome', role: 'watch', version: 1, time: 0, gateway: b.url, state: 'live' })
    await until(() => link.isOpen && last() === b.url)
    await until(() => !a.isConnected)
    link.close()
    await Promise.all([a.die(), b.die()])
  })

  it('stays where it is told to leave and there is nobody else, until it is closed', async () => {
    const { gateways, link, welcomes } = await setUp(1)
    const [a = assert.fail()] = gateways
    a.send({ type: 'gateways', urls: [], leave: true })
    // Behind one address there may be another gateway: it is asked for.
    await until(() => welcomes.length === 2)
    assert.equal(link.isOpen, true)
    link.close()
    await a.die()
  })

  it('leaves a gateway that says nothing any more', async () => {
    const { gateways, link, last } = await setUp(2)
    const [a = assert.fail(), b = assert.fail()] = gateways
    a.answersPings = false
    assert.equal(link.origin, a.url)
    await until(() => link.isOpen && last() === b.url)
    assert.equal(link.origin, b.url)
    link.close()
    await Promise.all([a.die(), b.die()])
  })

  it('is not silent as long as anything comes, be it no pong', async () => {
    const { gateways, link, welcomes } = await setUp(2)
    const [a = assert.fail(), b = assert.fail()] = gateways
    a.answersPings = false
    for (let i = 0; i < 25; i++) {
      a.send({ type: 'state', state: 'live' })
      await new Promise(resolve => setTimeout(resolve, 200))
    }
    assert.equal(welcomes.length, 1)
    link.close()
    await Promise.all([a.die(), b.die()])
  })

  it('pings where nothing comes, and hardly where a viewer hears frames anyway', async () => {
    const { gateways, link } = await setUp(1)
    const [a = assert.fail()] = gateways
    const pings = (): number => a.heard.filter(({ type }) => type === 'ping').length
    // Those with which a connection begins.
    await until(() => pings() >= 6)
    let frames = 0
    const before = pings()
    const camera = setInterval(() => {
      frames += 1
      a.send({ type: 'state', state: 'live' })
    }, 50)
    await until(() => frames >= 60)
    const meanwhile = pings() - before
    clearInterval(camera)
    assert.ok(meanwhile <= 1, `${meanwhile} pings in three seconds of frames`)
    await until(() => pings() >= before + meanwhile + 2)
    link.close()
    await a.die()
  })

  it('tries a gateway beside the one that takes a connection and says nothing', async () => {
    const { gateways, link, last } = await setUp(2)
    const [a = assert.fail(), b = assert.fail()] = gateways
    // A stopped process: its kernel takes the connection, and nobody answers.
    const { createServer } = await import('node:net')
    const deaf = createServer(socket => socket.on('error', () => {}))
    deaf.listen(0, '127.0.0.1')
    await once(deaf, 'listening')
    a.send({ type: 'gateways', urls: [`http://127.0.0.1:${(deaf.address() as AddressInfo).port}`, b.url] })
    await until(() => a.heard.length > 0)
    await new Promise(resolve => setTimeout(resolve, 50))
    await a.die()
    await until(() => link.isOpen && last() === b.url)
    link.close()
    deaf.close()
    await b.die()
  })
})
