/** WebSocket upgrades: `/api/v1/broadcasts/ID/publish`, `/watch` and `/data`. */
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
import { DataSocket } from './data-socket.ts'
import { elsewhere } from './elsewhere.ts'
import type { Gather } from './gather.ts'
import type { Joins } from './joins.ts'
import { LimitedSocket } from './limited-socket.ts'
import { isOurs } from './origin.ts'
import { PublishSocket } from './publish-socket.ts'
import { refuse } from './refuse.ts'
import { WatchSocket } from './watch-socket.ts'

export interface SocketContext {
  readonly relay: Relay
  readonly clock: Clock
  readonly log: Logger
  /** When viewers are sent what has come for them, and what those who join are sent. */
  readonly gather: Gather
  readonly joins: Joins
  /** Names this gateway. */
  readonly gateway: string
}

export const socketLimits = { connections: 25_000 } as const

const path = /^\/api\/v1\/broadcasts\/([^/]{1,128})\/(publish|watch|data)$/

const handlers = { publish: PublishSocket, watch: WatchSocket, data: DataSocket } as const

export class Sockets {
  readonly #context: SocketContext
  readonly #server: Server<typeof LimitedSocket>
  readonly #connections = new Set<Connection>()
  /** Of `drain`. */
  #onEmpty: () => void = () => {}
  #onAlone: () => void = () => {}

  constructor(context: SocketContext) {
    this.#context = context
    context.relay.onElsewhere = () => {
      this.#tellElsewhere()
      if (!context.relay.hasOthers) this.#onAlone()
    }
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
    } else if (!isOurs(request, this.#context.relay)) {
      refuse(
        stream,
        new FramelogError('FOREIGN_ORIGIN', 'The page that opens this socket is of another origin'),
      )
    } else if (this.#context.relay.isDraining) {
      refuse(stream, new FramelogError('SHUTTING_DOWN', 'The gateway is stopping'))
    } else if (this.#connections.size >= socketLimits.connections) {
      refuse(stream, new FramelogError('TOO_MANY', 'The gateway is at its limit of connections'))
    } else {
      const [, id = '', role] = match
      this.#server.handleUpgrade(request, stream, head, socket => {
        const broadcast = decode(id)
        const Handler = handlers[role as keyof typeof handlers]
        const handler = new Handler(this.#context, broadcast as BroadcastId)
        const log = this.#context.log.child({ broadcast, role })
        const onClosed = handler.onClosed.bind(handler)
        handler.onClosed = () => {
          this.#connections.delete(connection)
          onClosed()
          if (this.#connections.size === 0) this.#onEmpty()
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

  /**
   * Sends those that are there to other gateways; a relay that drains takes no more.
   * @returns when all have gone, there is nowhere to go to any more, or time is up, milliseconds
   */
  async drain(time: number): Promise<void> {
    if (!this.#context.relay.hasOthers || this.#connections.size === 0) return
    const { promise, resolve } = Promise.withResolvers<void>()
    this.#onEmpty = resolve
    this.#onAlone = resolve
    const cancel = this.#context.clock.after(time, resolve)
    this.#tellElsewhere()
    await promise
    cancel()
  }

  /** Whoever has not said hello yet is told with its welcome. */
  #tellElsewhere(): void {
    for (const connection of this.#connections)
      if (connection.isGreeted) connection.send(elsewhere(this.#context.relay))
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

function decode(text: string): string {
  try {
    return decodeURIComponent(text)
  } catch {
    return text
  }
}
