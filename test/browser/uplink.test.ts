/** The uplink of a page, in Node, over a real socket to a gateway that the test plays. */
import assert from 'node:assert/strict'
import { once } from 'node:events'
import type { AddressInfo } from 'node:net'
import { describe, it } from 'node:test'
import { type WebSocket, WebSocketServer } from 'ws'
import type { Catalog } from '../../src/media/catalog.ts'
import type { Frame } from '../../src/media/frame.ts'
import { decodeMessage, encodeMessage, type KnownMessage, type Message } from '../../src/wire/message.ts'
import { testCatalog, testFrame } from '../support/clients.ts'
import { until } from '../support/fake-clock.ts'

/** What the test needs of it: its module is typed for browsers. */
interface Uplink {
  open(): void
  describe(catalog: Catalog): void
  offer(frame: Frame, at: number): void
  abandon(reason: string): void
}

// The two things that Node has not got.
Object.assign(globalThis, { addEventListener: () => {}, removeEventListener: () => {} })

class Gateway {
  readonly heard: Message[] = []
  readonly #server: WebSocketServer
  #socket: WebSocket | undefined

  constructor(server: WebSocketServer, next: () => number) {
    this.#server = server
    server.on('connection', socket => {
      this.#socket = socket
      socket.on('message', (data: Buffer) => {
        const message = decodeMessage(data)
        if (message.type === 'hello') {
          this.send({
            type: 'welcome',
            role: 'publish',
            version: 1,
            time: 0,
            gateway: 'test',
            session: 'abcd1234',
            next: next(),
            maxFrameBytes: 1000,
          })
        } else if (message.type !== 'ping') this.heard.push(message)
      })
    })
  }

  static async open(next: () => number): Promise<{ gateway: Gateway; url: string }> {
    const server = new WebSocketServer({
      host: '127.0.0.1',
      port: 0,
      handleProtocols: ([name]) => name ?? false,
    })
    await once(server, 'listening')
    const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}/`
    return { gateway: new Gateway(server, next), url }
  }

  send(message: KnownMessage): void {
    this.#socket?.send(encodeMessage(message))
  }

  cut(): void {
    this.#socket?.terminate()
  }

  close(): Promise<unknown> {
    const closed = once(this.#server, 'close')
    this.#server.close()
    this.cut()
    return closed
  }

  /** Catalogs by the number of their tracks, frames by their numbers. */
  get story(): string[] {
    return this.heard.flatMap(message => {
      if (message.type === 'catalog') return [`${message.catalog.tracks.length} tracks`]
      return message.type === 'frame' ? [String(message.frame.sequence)] : []
    })
  }
}

describe('an uplink', { timeout: 20_000 }, () => {
  const setUp = async () => {
    let next = 0
    const told: string[] = []
    const { gateway, url } = await Gateway.open(() => next)
    const path = new URL('../../src/browser/publisher/uplink.ts', import.meta.url).href
    const module = (await import(path)) as {
      Uplink: new (options: object, handler: Record<string, () => void>) => Uplink
    }
    const handler = Object.fromEntries(
      ['onSession', 'onLive', 'onStalled', 'onLost', 'onFailed', 'onKeyframeWanted', 'onTooLarge'].map(
        name => [name, () => void told.push(name)],
      ),
    )
    const uplink = new module.Uplink(
      { page: new URL(url), path: '/', resume: 'x'.repeat(32), token: undefined },
      handler,
    )
    uplink.open()
    await until(() => told.includes('onSession'))
    const goOnWith = (number: number): void => {
      next = number
    }
    return { gateway, uplink, told, goOnWith }
  }
  const [picture] = testCatalog.tracks
  const silent: Catalog = { version: 1, tracks: picture === undefined ? [] : [picture] }

  it('sends kept frames again under the catalog that they were made under', async () => {
    const { gateway, uplink, goOnWith } = await setUp()
    uplink.describe(testCatalog)
    for (const n of [0, 1]) uplink.offer(testFrame(n), 0)
    uplink.describe(silent)
    for (const n of [2, 3]) uplink.offer(testFrame(n), 0)
    await until(() => gateway.story.includes('3'))
    assert.deepEqual(gateway.story, ['2 tracks', '0', '1', '1 tracks', '2', '3'])
    gateway.heard.length = 0
    goOnWith(1)
    gateway.cut()
    await until(() => gateway.story.includes('3'))
    assert.deepEqual(gateway.story, ['2 tracks', '1', '1 tracks', '2', '3'])
    uplink.abandon('over')
    await gateway.close()
  })

  it('asks once for a keyframe, and for smaller frames where the log takes none so large', async () => {
    const { gateway, uplink, told } = await setUp()
    uplink.describe(testCatalog)
    for (const n of [0, 1, 2]) uplink.offer(testFrame(n), 0)
    await until(() => gateway.story.includes('2'))
    for (const n of [0, 1, 2])
      gateway.send({ type: 'gap', frames: 1, from: n, to: n, reason: 'x', tooLarge: true })
    gateway.send({ type: 'gap', frames: 1, from: 2, to: 2, reason: 'x' })
    gateway.send({ type: 'stall', stalled: true })
    await until(() => told.includes('onStalled'))
    uplink.offer(testFrame(3), 0)
    uplink.offer(testFrame(4, { keyframe: true }), 0)
    await until(() => gateway.story.includes('4'))
    assert.ok(!gateway.story.includes('3'))
    assert.deepEqual(
      told.filter(name => name === 'onTooLarge' || name === 'onKeyframeWanted'),
      ['onTooLarge'],
    )
    // Larger than the welcome allows.
    uplink.offer(testFrame(5, { bytes: 1001 }), 0)
    uplink.offer(testFrame(6, { bytes: 1001 }), 0)
    assert.equal(told.filter(name => name === 'onTooLarge').length, 2)
    uplink.abandon('over')
    await gateway.close()
  })
})
