/** WebSocket upgrades: `/api/v1/broadcasts/ID/publish` and `/watch`. */
import type { IncomingMessage } from 'node:http'
import type { Duplex } from 'node:stream'
import { type Server, WebSocketServer } from 'ws'
import type { Clock } from '../core/clock.ts'
import { FramelogError } from '../errors.ts'
import type { Logger } from '../observe/logger.ts'
import type { Relay } from '../relay/relay.ts'
import { type BroadcastId, isBroadcastId } from '../units.ts'
import { messageLimits, subprotocol } from '../wire/message.ts'
import { Connection } from './connection.ts'
import { LimitedSocket } from './limited-socket.ts'
import { PublishSocket } from './publish-socket.ts'
import { refuse } from './refuse.ts'
import { WatchSocket } from './watch-socket.ts'

export interface SocketContext {
  readonly relay: Relay
  readonly clock: Clock
  readonly log: Logger
  /** Names this gateway. */
  readonly gateway: string
}

export const socketLimits = { connections: 25_000 } as const

const path = /^\/api\/v1\/broadcasts\/([^/]{1,128})\/(publish|watch)$/

export class Sockets {
  readonly #context: SocketContext
  readonly #server: Server<typeof LimitedSocket>
  readonly #connections = new Set<Connection>()

  constructor(context: SocketContext) {
    this.#context = context
    this.#server = new WebSocketServer({
      noServer: true,
      clientTracking: false,
      perMessageDeflate: false,
      WebSocket: LimitedSocket,
      maxPayload: messageLimits.control,
      handleProtocols: offered => (offered.has(subprotocol) ? subprotocol : false),
    })
  }

  upgrade(request: IncomingMessage, stream: Duplex, head: Buffer): void {
    stream.on('error', () => stream.destroy())
    const match = path.exec((request.url ?? '').split('?', 1)[0] ?? '')
    if (!match) {
      refuse(stream, new FramelogError('NOT_FOUND', 'There is no such socket'))
    } else if (!isSameOrigin(request)) {
      refuse(
        stream,
        new FramelogError('FOREIGN_ORIGIN', 'The page that opens this socket is of another origin'),
      )
    } else if (this.#connections.size >= socketLimits.connections) {
      refuse(stream, new FramelogError('TOO_MANY', 'The gateway is at its limit of connections'))
    } else {
      const [, id = '', role] = match
      this.#server.handleUpgrade(request, stream, head, socket => {
        const broadcast = decode(id)
        const handler =
          role === 'publish'
            ? new PublishSocket(this.#context, broadcast as BroadcastId)
            : new WatchSocket(this.#context, broadcast as BroadcastId)
        const log = this.#context.log.child({ broadcast, role })
        const onClosed = handler.onClosed.bind(handler)
        handler.onClosed = () => {
          this.#connections.delete(connection)
          onClosed()
        }
        const connection = new Connection(socket, stream, this.#context.clock, log, handler)
        handler.connection = connection
        this.#connections.add(connection)
        if (!isBroadcastId(broadcast)) {
          connection.fail(
            new FramelogError('BAD_BROADCAST_ID', `${JSON.stringify(broadcast)} is not a broadcast id`),
          )
        }
      })
    }
  }

  close(): void {
    const error = new FramelogError('SHUTTING_DOWN', 'The gateway is stopping')
    for (const connection of [...this.#connections]) connection.fail(error)
  }
}

/** Whether a request asks for a WebSocket, and not for another protocol. */
export function isWebSocket({ headers }: IncomingMessage): boolean {
  return headers.upgrade?.toLowerCase() === 'websocket'
}

/** Browsers always name the page's origin; other programs need not. */
function isSameOrigin({ headers }: IncomingMessage): boolean {
  const { origin, host } = headers
  if (origin === undefined) return true
  return URL.canParse(origin) && new URL(origin).host === host
}

function decode(text: string): string {
  try {
    return decodeURIComponent(text)
  } catch {
    return text
  }
}
