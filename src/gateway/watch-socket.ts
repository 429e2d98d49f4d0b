/** The watch socket: what the relay sends a viewer is gathered to writes, each of them made once for all viewers. */
import { FramelogError, toFramelogError } from '../errors.ts'
import type { BroadcastState, Packet, Place, ViewerSink } from '../relay/packet.ts'
import type { Watching } from '../relay/relay.ts'
import type { BroadcastId, Micros } from '../units.ts'
import { type Message, type MessageOf, protocolVersion } from '../wire/message.ts'
import type { Connection, ConnectionHandler } from './connection.ts'
import { tellElsewhere } from './elsewhere.ts'
import { gatherLimits, type Lane, type Outlet } from './gather.ts'
import type { Run } from './run.ts'
import type { SocketContext } from './sockets.ts'

export class WatchSocket implements ConnectionHandler, ViewerSink, Outlet {
  readonly #context: SocketContext
  readonly #id: BroadcastId
  #watching: Watching | undefined
  #isWelcomed = false
  #lane: Lane
  /** What was not handed to the connection yet, and whether the lane will ask for it. */
  #run: Run | undefined
  #isWaiting = false
  connection: Connection | undefined

  constructor(context: SocketContext, id: BroadcastId) {
    this.#context = context
    this.#id = id
    this.#lane = context.gather.lane(undefined)
  }

  get buffered(): number {
    return (this.connection?.buffered ?? 0) + (this.#run?.size ?? 0)
  }

  get waited(): number {
    return this.connection?.waited ?? 0
  }

  drained(size: number): Promise<void> {
    this.#flush()
    return this.connection?.drained(size) ?? Promise.resolve()
  }

  begin(state: BroadcastState): void {
    const { gateway, clock } = this.#context
    const time = clock.now()
    this.#isWelcomed = true
    this.connection?.send({ type: 'welcome', role: 'watch', version: protocolVersion, time, gateway, state })
    tellElsewhere(this.connection, this.#context.relay)
  }

  place({ seek, isLive, topic, wanted }: Place): void {
    this.#flush()
    this.connection?.send({
      type: 'place',
      seek,
      live: isLive,
      ...(topic === undefined ? {} : { topic }),
      ...(wanted === undefined ? {} : { offset: wanted }),
    })
  }

  send(packet: Packet): void {
    this.#run = this.#run?.and(packet) ?? this.#lane.begin(packet)
    if (this.#run.size > gatherLimits.run) this.#flush()
    else if (!this.#isWaiting) {
      this.#isWaiting = true
      this.#lane.add(this)
    }
  }

  onLane(): void {
    this.#isWaiting = false
    try {
      this.#flush()
    } catch (error) {
      // The others of the lane are still to be sent theirs.
      this.connection?.fail(toFramelogError(error))
    }
  }

  sendAll(packets: readonly Packet[]): void {
    this.#flush()
    for (const bundle of this.#context.joins.bundlesOf(packets)) this.connection?.sendBytes(bundle)
  }

  /** Sends what was gathered, where there is something. */
  #flush(): void {
    const run = this.#run
    if (run === undefined) return
    this.#run = undefined
    this.connection?.sendFramed(run.bytes(this.#lane.encode))
  }

  close(error: FramelogError): void {
    this.#flush()
    this.connection?.fail(error)
  }

  onHello(hello: MessageOf<'hello'>): void {
    if (hello.role !== 'watch')
      throw new FramelogError('BAD_MESSAGE', `The role ${hello.role} on the watch socket`)
    this.#lane = this.#context.gather.lane(hello.delivery)
    this.#watching = this.#context.relay.watch(this.#id, hello, this)
  }

  onMessage(message: Message): void {
    switch (message.type) {
      case 'position':
        this.#watching?.position(message.session, message.timestamp as Micros)
        return
      case 'seek':
        this.#checkWelcomed()
        this.#watching?.seek(message.seek, message.from, message.step ?? 0)
        return
      case 'rendition':
        this.#watching?.want(message.track)
        return
      case 'pause':
        this.#checkWelcomed()
        this.#watching?.pause()
        return
      case 'unknown':
        return
      default:
        throw new FramelogError('BAD_MESSAGE', `A viewer sends no ${message.type} message`)
    }
  }

  #checkWelcomed(): void {
    if (!this.#isWelcomed) throw new FramelogError('BAD_MESSAGE', 'A seek or a pause before the welcome')
  }

  onClosed(): void {
    this.#watching?.leave()
  }
}
