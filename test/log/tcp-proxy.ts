/** A proxy between a client and a broker, for faults of the network: connections that break, or hang. */
import { connect, createServer, type Server, type Socket } from 'node:net'

export class TcpProxy implements AsyncDisposable {
  readonly address: string
  readonly #server: Server
  readonly #sockets: Set<Socket>

  private constructor(port: number, server: Server, sockets: Set<Socket>) {
    this.address = `127.0.0.1:${port}`
    this.#server = server
    this.#sockets = sockets
  }

  static async listen(port: number, target: number): Promise<TcpProxy> {
    const sockets = new Set<Socket>()
    const server = createServer(inner => {
      const outer = connect(target, '127.0.0.1')
      for (const [socket, other] of [
        [inner, outer],
        [outer, inner],
      ] as const) {
        sockets.add(socket)
        socket.on('error', () => {})
        socket.on('close', () => {
          sockets.delete(socket)
          other.destroy()
        })
      }
      inner.pipe(outer)
      outer.pipe(inner)
    })
    await new Promise<void>((done, fail) => server.once('error', fail).listen(port, '127.0.0.1', done))
    return new TcpProxy(port, server, sockets)
  }

  /** Ends all connections at once, in the middle of whatever they carry. */
  cut(): void {
    for (const socket of this.#sockets) socket.resetAndDestroy()
  }

  /** From now on the connections that are there carry nothing, and stay open; new ones are well. */
  stall(): void {
    for (const socket of this.#sockets) {
      socket.unpipe()
      socket.pause()
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.cut()
    await new Promise<void>(done => this.#server.close(() => done()))
  }
}
