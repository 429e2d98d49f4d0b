/** The data socket: whoever writes timed data into a broadcast that is on, and is told when the log has it. */
import { FramelogError, toFramelogError } from '../errors.ts'
import { type TimedData, timedDataLimits } from '../media/timed-data.ts'
import type { Relay, Writing } from '../relay/relay.ts'
import type { BroadcastId } from '../units.ts'
import { type Message, type MessageOf, protocolVersion } from '../wire/message.ts'
import type { Connection, ConnectionHandler } from './connection.ts'
import { tellElsewhere } from './elsewhere.ts'
import type { SocketContext } from './sockets.ts'

export class DataSocket implements ConnectionHandler {
  readonly #context: SocketContext
  readonly #relay: Relay
  readonly #id: BroadcastId
  #writing: Writing | undefined
  #gone = false
  /** Number of the next record that comes. */
  #next = 0
  /** Settles when all that came is acknowledged. */
  #acknowledged: Promise<unknown> = Promise.resolve()
  connection: Connection | undefined

  constructor(context: SocketContext, id: BroadcastId) {
    this.#context = context
    this.#relay = context.relay
    this.#id = id
  }

  async onHello(hello: MessageOf<'hello'>): Promise<void> {
    if (hello.role !== 'data')
      throw new FramelogError('BAD_MESSAGE', `The role ${hello.role} on the data socket`)
    const writing = await this.#relay.write(this.#id)
    if (this.#gone) {
      writing.leave()
      return
    }
    this.#writing = writing
    const { gateway, clock } = this.#context
    this.connection?.send({
      type: 'welcome',
      role: 'data',
      version: protocolVersion,
      time: clock.now(),
      gateway,
      maxDataBytes: timedDataLimits.bytes,
    })
    tellElsewhere(this.connection, this.#relay)
  }

  onMessage(message: Message): void {
    const writing = this.#writing
    if (writing === undefined) throw new FramelogError('OUT_OF_ORDER', 'A message before the welcome')
    switch (message.type) {
      case 'data':
        this.#write(writing, message.record)
        return
      case 'unknown':
        return
      default:
        throw new FramelogError('BAD_MESSAGE', `Who writes data sends no ${message.type} message`)
    }
  }

  onClosed(): void {
    this.#gone = true
    this.#writing?.leave()
    this.#writing = undefined
  }

  /** One that fails ends the connection, and nothing behind it is acknowledged: it is sent again over the next one. */
  #write(writing: Writing, record: TimedData): void {
    const sequence = this.#next++
    this.#acknowledged = Promise.all([writing.write(record), this.#acknowledged]).then(() =>
      this.connection?.send({ type: 'ack', sequence }),
    )
    this.#acknowledged.catch((error: unknown) => this.connection?.fail(toFramelogError(error)))
  }
}
