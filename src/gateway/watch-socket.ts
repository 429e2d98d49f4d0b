/** The watch socket: what the relay sends a viewer becomes messages, encoded once for all viewers. */
import { FramelogError } from '../errors.ts'
import { addHops, type Hops } from '../media/hops.ts'
import type { BroadcastState, Encoded, Packet, Place, ViewerEvent, ViewerSink } from '../relay/packet.ts'
import type { Watching } from '../relay/relay.ts'
import type { BroadcastId, Micros } from '../units.ts'
import {
  encodeBundles,
  type KnownMessage,
  type Message,
  type MessageOf,
  protocolVersion,
} from '../wire/message.ts'
import type { Connection, ConnectionHandler } from './connection.ts'
import { tellElsewhere } from './elsewhere.ts'
import { encodeFramed } from './framed.ts'
import type { SocketContext } from './sockets.ts'

export class WatchSocket implements ConnectionHandler, ViewerSink {
  readonly #context: SocketContext
  readonly #id: BroadcastId
  #watching: Watching | undefined
  #isWelcomed = false
  connection: Connection | undefined

  constructor(context: SocketContext, id: BroadcastId) {
    this.#context = context
    this.#id = id
  }

  get buffered(): number {
    return this.connection?.buffered ?? 0
  }

  get waited(): number {
    return this.connection?.waited ?? 0
  }

  drained(size: number): Promise<void> {
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
    this.connection?.send({
      type: 'place',
      seek,
      live: isLive,
      ...(topic === undefined ? {} : { topic }),
      ...(wanted === undefined ? {} : { offset: wanted }),
    })
  }

  send(packet: Packet): void {
    this.connection?.sendFramed(this.#encoded(packet).bytes)
  }

  sendAll(packets: readonly Packet[]): void {
    const messages = packets.map(packet => this.#encoded(packet).message)
    for (const bundle of encodeBundles(messages)) this.connection?.sendBytes(bundle)
  }

  close(error: FramelogError): void {
    this.connection?.fail(error)
  }

  onHello(hello: MessageOf<'hello'>): void {
    if (hello.role !== 'watch')
      throw new FramelogError('BAD_MESSAGE', `The role ${hello.role} on the watch socket`)
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

  /** Made once for all viewers of the broadcast: a frame's way ends with the first of them. */
  #encoded(packet: Packet): Encoded {
    packet.encoded ??= encodeFramed(toMessage(packet.event, this.#relayed(packet)))
    return packet.encoded
  }

  #relayed({ way }: Packet): Hops | undefined {
    if (way?.hops.read === undefined) return undefined
    const { clock, metrics } = this.#context
    const took = clock.monotonic() - way.readAt
    metrics.relayed(took)
    return addHops(way.hops, { relayed: way.hops.read + took * 1000 })
  }

  #checkWelcomed(): void {
    if (!this.#isWelcomed) throw new FramelogError('BAD_MESSAGE', 'A seek or a pause before the welcome')
  }

  onClosed(): void {
    this.#watching?.leave()
  }
}

/** @param hops of a frame that is sent as it came */
function toMessage(event: ViewerEvent, hops: Hops | undefined): KnownMessage {
  if (event.type === 'span') {
    const { type, first, last, gaps, isOver } = event
    return { type, first, last, over: isOver, gaps: gaps.map(([from, to]) => [from, to]) }
  }
  if (event.type !== 'frame' && event.type !== 'data') return event
  const { offset, time } = event
  if (event.type === 'frame') {
    const frame = hops === undefined ? event.frame : { ...event.frame, hops }
    return { type: 'frame', frame, relayed: { offset, time } }
  }
  const { track, session, timestamp, duration, data } = event
  const record = {
    track,
    moment: { session, timestamp },
    ...(duration === undefined ? {} : { duration }),
    data,
  }
  return { type: 'data', record, relayed: { offset, time } }
}
