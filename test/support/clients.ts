/** A publisher and a viewer that speak the wire protocol from Node: real sockets, made-up frames. */
import { EventEmitter, once } from 'node:events'
import { WebSocket } from 'ws'
import type { Catalog } from '../../src/media/catalog.ts'
import type { Frame, NumberedFrame } from '../../src/media/frame.ts'
import type { Moment, TimedData } from '../../src/media/timed-data.ts'
import { type Millis, micros, trackName } from '../../src/units.ts'
import {
  type Delivery,
  decodeMessage,
  encodeMessage,
  type KnownMessage,
  type Message,
  type MessageOf,
  protocolVersion,
  subprotocol,
} from '../../src/wire/message.ts'

export const testCatalog: Catalog = {
  version: 1,
  tracks: [
    { name: trackName('video'), kind: 'video', codec: 'vp8', width: 640, height: 360, frameRate: 30 },
    { name: trackName('audio'), kind: 'audio', codec: 'opus', sampleRate: 48000, channels: 1 },
  ],
}

const video = trackName('video')

/** A video frame whose data tells its number. */
export function testFrame(
  sequence: number,
  options: { keyframe?: boolean; bytes?: number } = {},
): NumberedFrame {
  const data = Buffer.alloc(options.bytes ?? 64)
  data.writeUInt32BE(sequence)
  return {
    track: video,
    sequence,
    timestamp: micros(sequence * 33_333),
    duration: micros(33_333),
    keyframe: options.keyframe ?? sequence % 60 === 0,
    capturedAt: Date.now() as Millis,
    data,
  }
}

/** Timed data whose bytes are a text. @param moment absent for that of the newest frame */
export const testData = (text: string, moment?: Moment): TimedData => ({
  track: trackName('meta-test'),
  ...(moment === undefined ? {} : { moment }),
  data: Buffer.from(text),
})

/** A WebSocket with its messages in order: nothing that arrives is missed. */
export class WireClient extends EventEmitter {
  readonly socket: WebSocket
  readonly messages: Message[] = []
  #taken = 0
  closed: { code: number; reason: string } | undefined

  constructor(url: string) {
    super()
    this.setMaxListeners(0)
    this.socket = new WebSocket(url, subprotocol, { perMessageDeflate: false })
    this.socket.binaryType = 'nodebuffer'
    this.socket.on('message', (data: Buffer) => {
      const message = decodeMessage(data)
      if (message.type === 'bundle') this.messages.push(...message.parts.map(decodeMessage))
      else this.messages.push(message)
      this.emit('change')
    })
    this.socket.on('close', (code, reason) => {
      this.closed = { code, reason: reason.toString() }
      this.emit('change')
    })
    this.socket.on('error', () => {})
  }

  async opened(): Promise<this> {
    if (this.socket.readyState === WebSocket.CONNECTING) await once(this.socket, 'open')
    return this
  }

  send(message: KnownMessage): void {
    this.socket.send(encodeMessage(message))
  }

  /** The next message of a type, in order; those of other types before it are passed over. */
  async next<Type extends Message['type']>(type: Type): Promise<MessageOf<Type>> {
    return this.until((message): message is MessageOf<Type> => message.type === type, type)
  }

  async until<Wanted extends Message>(
    wanted: (message: Message) => message is Wanted,
    name: string,
  ): Promise<Wanted> {
    for (;;) {
      while (this.#taken < this.messages.length) {
        const message = this.messages[this.#taken++] as Message
        if (wanted(message)) return message
        if (message.type === 'error')
          throw new Error(`${message.code}: ${message.message}, where ${name} was expected`)
      }
      if (this.closed)
        throw new Error(`closed with ${this.closed.code} ${this.closed.reason}, where ${name} was expected`)
      await once(this, 'change')
    }
  }

  /** Its messages were taken out: what comes next is the first. */
  forget(): void {
    this.messages.length = 0
    this.#taken = 0
  }

  async ended(): Promise<{ code: number; reason: string }> {
    while (this.closed === undefined) await once(this, 'change')
    return this.closed
  }

  frames(): MessageOf<'frame'>[] {
    return this.messages.filter(message => message.type === 'frame')
  }

  /** Sends a close frame and waits for the other side's. */
  async close(): Promise<void> {
    this.socket.close()
    await this.ended()
  }

  /** Ends as a killed page does: no close frame. */
  cut(): void {
    this.socket.terminate()
  }
}

export interface PublishOptions {
  readonly resume?: string
  readonly session?: string
  readonly catalog?: Catalog
}

export class TestPublisher extends WireClient {
  welcome: (MessageOf<'welcome'> & { role: 'publish' }) | undefined
  sequence = 0

  static async connect(base: string, id: string, options: PublishOptions = {}): Promise<TestPublisher> {
    const publisher = new TestPublisher(`${base}/api/v1/broadcasts/${id}/publish`)
    await publisher.opened()
    const { resume = `resume-token-of-${id}`, session } = options
    publisher.send({
      type: 'hello',
      role: 'publish',
      version: protocolVersion,
      resume,
      ...(session ? { session } : {}),
    })
    const welcome = await publisher.next('welcome')
    if (welcome.role !== 'publish') throw new Error('a viewer welcome')
    publisher.welcome = welcome
    publisher.sequence = welcome.next
    publisher.send({ type: 'catalog', catalog: options.catalog ?? testCatalog })
    return publisher
  }

  /** Sends the next frames. */
  publish(count: number, options: { keyframe?: boolean; bytes?: number } = {}): void {
    for (let i = 0; i < count; i++) this.send({ type: 'frame', frame: testFrame(this.sequence++, options) })
  }

  /** Sends frames that were made elsewhere. */
  publishFrames(frames: readonly Frame[]): void {
    for (const frame of frames) this.send({ type: 'frame', frame: { ...frame, sequence: this.sequence++ } })
  }

  /** Finishes the broadcast. */
  async end(): Promise<void> {
    this.send({ type: 'end', reason: 'the test is over' })
    await this.ended()
  }

  async acknowledged(sequence: number): Promise<void> {
    await this.until(
      (message): message is MessageOf<'ack'> => message.type === 'ack' && message.sequence >= sequence,
      `ack ${sequence}`,
    )
  }
}

/** A broadcast that is over, with these frames in the log. */
export async function publishRecording(
  base: string,
  id: string,
  ...parts: readonly { readonly catalog: Catalog; readonly frames: readonly Frame[] }[]
): Promise<void> {
  const publisher = await TestPublisher.connect(base, id)
  for (const { catalog, frames } of parts) {
    publisher.send({ type: 'catalog', catalog })
    publisher.publishFrames(frames)
  }
  await publisher.acknowledged(publisher.sequence - 1)
  await publisher.end()
}

/** Writes timed data, as any program may. */
export class TestWriter extends WireClient {
  welcome: (MessageOf<'welcome'> & { role: 'data' }) | undefined

  static async hello(base: string, id: string): Promise<TestWriter> {
    const writer = new TestWriter(`${base}/api/v1/broadcasts/${id}/data`)
    await writer.opened()
    writer.send({ type: 'hello', role: 'data', version: protocolVersion })
    return writer
  }

  static async connect(base: string, id: string): Promise<TestWriter> {
    const writer = await TestWriter.hello(base, id)
    const welcome = await writer.next('welcome')
    if (welcome.role !== 'data') throw new Error('a welcome for something else')
    writer.welcome = welcome
    return writer
  }

  write(...records: readonly TimedData[]): void {
    for (const record of records) this.send({ type: 'data', record })
  }
}

export class TestViewer extends WireClient {
  readonly openedAt = performance.now()

  static async connect(
    base: string,
    id: string,
    from = 'live',
    asks: { readonly delivery?: Delivery; readonly rendition?: string } = {},
  ): Promise<TestViewer> {
    const viewer = new TestViewer(`${base}/api/v1/broadcasts/${id}/watch`)
    await viewer.opened()
    viewer.send({ type: 'hello', role: 'watch', version: protocolVersion, from, ...asks })
    return viewer
  }

  async frame(sequence: number): Promise<MessageOf<'frame'>> {
    return this.until(
      (message): message is MessageOf<'frame'> =>
        message.type === 'frame' && message.frame.sequence === sequence,
      `frame ${sequence}`,
    )
  }

  get sequences(): number[] {
    return this.frames().map(({ frame }) => frame.sequence)
  }
}
