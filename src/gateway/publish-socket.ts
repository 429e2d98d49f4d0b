/** The publish socket: a publisher's messages become calls on the relay. */
import { createHash } from 'node:crypto'
import { FramelogError, toFramelogError } from '../errors.ts'
import { timedDataLimits } from '../media/timed-data.ts'
import { publicationLimits } from '../relay/publication.ts'
import type { Publishing, Relay } from '../relay/relay.ts'
import type { BroadcastId } from '../units.ts'
import { type Message, type MessageOf, protocolVersion } from '../wire/message.ts'
import type { Connection, ConnectionHandler } from './connection.ts'
import { tellElsewhere } from './elsewhere.ts'
import type { SocketContext } from './sockets.ts'

export class PublishSocket implements ConnectionHandler {
  readonly #context: SocketContext
  readonly #relay: Relay
  readonly #id: BroadcastId
  #publishing: Publishing | undefined
  #gone = false
  connection: Connection | undefined

  constructor(context: SocketContext, id: BroadcastId) {
    this.#context = context
    this.#relay = context.relay
    this.#id = id
  }

  async onHello(hello: MessageOf<'hello'>): Promise<void> {
    if (hello.role !== 'publish')
      throw new FramelogError('BAD_MESSAGE', `The role ${hello.role} on the publish socket`)
    const resumeHash = createHash('sha256').update(hello.resume).digest('hex')
    const publishing = await this.#relay.publish(
      this.#id,
      { resumeHash, session: hello.session, isWanted: () => !this.#gone },
      {
        acknowledge: sequence => this.connection?.send({ type: 'ack', sequence }),
        stalled: stalled => this.connection?.send({ type: 'stall', stalled }),
        dropped: ({ from, to }, reason, isTooLarge) => {
          const tooLarge = isTooLarge ? { tooLarge: true } : {}
          this.connection?.send({ type: 'gap', frames: to - from + 1, from, to, reason, ...tooLarge })
        },
        close: error => this.connection?.fail(error),
      },
    )
    if (this.#gone) {
      publishing.leave()
      return
    }
    this.#publishing = publishing
    const { session, next } = publishing
    const { gateway, clock } = this.#context
    const maxFrameBytes = publicationLimits.frameBytes
    this.connection?.allowFrames()
    this.connection?.send({
      type: 'welcome',
      role: 'publish',
      version: protocolVersion,
      time: clock.now(),
      gateway,
      session,
      next,
      maxFrameBytes,
      maxDataBytes: timedDataLimits.bytes,
    })
    tellElsewhere(this.connection, this.#relay)
  }

  onMessage(message: Message): void {
    const publishing = this.#publishing
    if (publishing === undefined) throw new FramelogError('OUT_OF_ORDER', 'A message before the welcome')
    switch (message.type) {
      case 'frame':
        publishing.frame(message.frame)
        return
      case 'data':
        publishing.data(message.record)
        return
      case 'catalog':
        publishing.catalog(message.catalog)
        return
      case 'end':
        this.#publishing = undefined
        publishing.end(message.reason).then(
          () => this.connection?.close(1000, 'ended'),
          (error: unknown) => this.connection?.fail(toFramelogError(error)),
        )
        publishing.leave()
        return
      case 'unknown':
        return
      default:
        throw new FramelogError('BAD_MESSAGE', `A publisher sends no ${message.type} message`)
    }
  }

  onClosed(): void {
    this.#gone = true
    this.#publishing?.leave()
    this.#publishing = undefined
  }
}
