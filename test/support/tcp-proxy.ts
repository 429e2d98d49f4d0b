/** A proxy between a client and a broker, for faults of the network: connections that break, hang, or are slow. */
import { connect, createServer, type Server, type Socket } from 'node:net'

/** Bytes that pass at a time where there is a rate, and that may wait for their turn. */
const packet = 1500
const most = 32 * 1024

export class TcpProxy implements AsyncDisposable {
  readonly address: string
  /** Milliseconds by which what passes is held back, each way. */
  latency = 0
  /** Bytes a second that pass each way. What does not is left with its sender, but for a little. */
  rate = Number.POSITIVE_INFINITY
  /** The port that new connections go to. */
  target: number
  /** New connections carry nothing either, as where the network is gone. */
  isDown = false
  readonly #server: Server
  readonly #links = new Set<Link>()

  private constructor(port: number, target: number, server: Server) {
    this.address = `127.0.0.1:${port}`
    this.target = target
    this.#server = server
  }

  static async listen(port: number, target: number): Promise<TcpProxy> {
    const server = createServer()
    const proxy = new TcpProxy(port, target, server)
    server.on('connection', inner => proxy.#join(inner, connect(proxy.target, '127.0.0.1')))
    await new Promise<void>((done, fail) => server.once('error', fail).listen(port, '127.0.0.1', done))
    return proxy
  }

  /** Ends all connections at once, in the middle of whatever they carry. */
  cut(): void {
    for (const { sockets } of this.#links) {
      for (const socket of sockets) {
        // A reset of one that is shutting down fails, and Node then waits for it in vain when the process ends.
        if (socket.writableEnded) socket.destroy()
        else socket.resetAndDestroy()
      }
    }
  }

  /** From now on the connections that are there carry nothing, and stay open; new ones are well. */
  stall(): void {
    for (const link of this.#links) link.stalled = true
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.cut()
    await new Promise<void>(done => this.#server.close(() => done()))
  }

  #join(inner: Socket, outer: Socket): void {
    const link: Link = { sockets: [inner, outer], stalled: this.isDown }
    this.#links.add(link)
    for (const [from, to] of [
      [inner, outer],
      [outer, inner],
    ] as const) {
      from.setNoDelay(true)
      from.on('error', () => {})
      from.on('close', () => {
        this.#links.delete(link)
        to.destroy()
      })
      // One timer for all that waits: two that are due about the same time may fire in either order.
      const waiting: { readonly due: number; readonly bytes: Buffer }[] = []
      let queued = 0
      let free = 0
      const release = (): void => {
        for (let first = waiting[0]; first !== undefined; first = waiting[0]) {
          const wait = first.due - performance.now()
          if (wait > 0) {
            setTimeout(release, Math.ceil(wait))
            return
          }
          if (!link.stalled && !to.destroyed) to.write(first.bytes)
          waiting.shift()
          queued -= first.bytes.byteLength
          if (queued < most) from.resume()
        }
      }
      from.on('data', (bytes: Buffer) => {
        if (link.stalled) return
        const isWide = this.rate === Number.POSITIVE_INFINITY
        if (isWide && this.latency === 0 && waiting.length === 0) {
          to.write(bytes)
          return
        }
        const isFirst = waiting.length === 0
        for (let at = 0; at < bytes.byteLength; at += packet) {
          const part = bytes.subarray(at, at + packet)
          free = Math.max(free, performance.now()) + (part.byteLength * 1000) / this.rate
          waiting.push({ due: free + this.latency, bytes: part })
        }
        queued += bytes.byteLength
        if (!isWide && queued >= most) from.pause()
        if (isFirst) release()
      })
    }
  }
}

interface Link {
  readonly sockets: readonly [Socket, Socket]
  stalled: boolean
}
