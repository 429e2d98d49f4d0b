/** Takes publishers over RTMP: `rtmp://HOST:PORT/live/ID`. */
import { type AddressInfo, createServer, type Server, type Socket } from 'node:net'
import { FramelogError } from '../../errors.ts'
import { ingestLimits } from '../ingest.ts'
import { type RtmpContext, RtmpSession } from './session.ts'

export class RtmpServer implements AsyncDisposable {
  readonly #context: RtmpContext
  readonly #server: Server
  readonly #sockets = new Set<Socket>()

  constructor(context: RtmpContext) {
    this.#context = context
    this.#server = createServer(socket => this.#accept(socket))
  }

  /** @returns the port. @throws FramelogError PORT_UNUSABLE */
  async listen(host: string, port: number): Promise<number> {
    try {
      await new Promise<void>((resolve, reject) => {
        this.#server.once('error', reject)
        this.#server.listen({ host, port }, resolve)
      })
    } catch (cause) {
      const { code } = cause as NodeJS.ErrnoException
      const why = code === 'EADDRINUSE' ? 'is taken' : `cannot be used (${code})`
      throw new FramelogError('PORT_UNUSABLE', `RTMP's address ${host}:${port} ${why}`, { cause })
    }
    return (this.#server.address() as AddressInfo).port
  }

  #accept(socket: Socket): void {
    // As many that have not begun as may publish: what has not begun is gone within seconds.
    if (this.#sockets.size >= 2 * ingestLimits.streams) {
      socket.destroy()
      return
    }
    this.#sockets.add(socket)
    socket.once('close', () => this.#sockets.delete(socket))
    new RtmpSession(socket, this.#context)
  }

  async [Symbol.asyncDispose](): Promise<void> {
    const closed = new Promise(resolve => this.#server.close(resolve))
    for (const socket of this.#sockets) socket.destroy()
    await closed
  }
}
