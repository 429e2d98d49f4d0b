/** A relay on a real log and a clock that the test moves, without sockets. */
import type { FramelogError } from '../../src/errors.ts'
import type { Chunk, Log, LogRecord, Topic } from '../../src/log/log.ts'
import type { Dropped } from '../../src/relay/held-frames.ts'
import type { PublishRequest } from '../../src/relay/holder.ts'
import type { BroadcastState, Packet, Place, ViewerEvent, ViewerSink } from '../../src/relay/packet.ts'
import type { PublisherSink } from '../../src/relay/publication.ts'
import { Relay, type RelayEvent } from '../../src/relay/relay.ts'
import type { Offset } from '../../src/units.ts'
import { FakeClock } from './fake-clock.ts'

/** A publisher's connection. */
export class TestPublisherSink implements PublisherSink {
  acknowledged = -1
  error: FramelogError | undefined
  readonly lost: Dropped[] = []
  acknowledge(sequence: number): void {
    this.acknowledged = sequence
  }
  stalled(): void {}
  dropped(numbers: Dropped): void {
    this.lost.push(numbers)
  }
  close(error: FramelogError): void {
    this.error = error
  }
}

/** A viewer's connection that takes everything at once. */
export class TestViewerSink implements ViewerSink {
  readonly buffered = 0
  readonly waited = 0
  readonly events: ViewerEvent[] = []
  readonly places: Place[] = []
  state: BroadcastState | undefined
  error: FramelogError | undefined
  begin(state: BroadcastState): void {
    this.state = state
  }
  place(place: Place): void {
    this.places.push(place)
  }
  send({ event }: Packet): void {
    this.events.push(event)
  }
  sendAll(packets: readonly Packet[]): void {
    for (const packet of packets) this.send(packet)
  }
  async drained(): Promise<void> {}
  close(error: FramelogError): void {
    this.error = error
  }
  get numbers(): number[] {
    return this.events.flatMap(event => (event.type === 'frame' ? [event.frame.sequence] : []))
  }
  /** The numbers of frames and the texts of timed data, as they came. */
  get course(): (number | string)[] {
    return this.events.flatMap((event): (number | string)[] => {
      if (event.type === 'data') return [Buffer.from(event.data).toString()]
      return event.type === 'frame' ? [event.frame.sequence] : []
    })
  }
}

/** A log some of whose calls do something else. */
export const logWith = (log: Log, calls: Partial<Log>): Log =>
  new Proxy(log, {
    get: (target, name) => {
      const value: unknown = Reflect.get(calls, name) ?? Reflect.get(target, name)
      return typeof value === 'function' ? value.bind(target) : value
    },
  })

/** A log some of whose records cannot be read. Offsets go up by one in what is changed. */
export function logDamaged(log: Log, isDamaged: (topic: Topic, record: LogRecord) => boolean): Partial<Log> {
  const damage = (topic: Topic, chunk: Chunk): Chunk => {
    const [bad, good] = [true, false].map(wanted =>
      chunk.records.filter(record => isDamaged(topic, record) === wanted),
    ) as [LogRecord[], LogRecord[]]
    if (bad.length === 0) return chunk
    const damaged = bad.map(({ offset }) => ({ from: offset, next: (offset + 1) as Offset }))
    return { ...chunk, records: good, damaged }
  }
  return {
    read: async (topic, from, maxBytes) => damage(topic, await log.read(topic, from, maxBytes)),
    tail: (topic, from, sink) =>
      log.tail(topic, from, {
        onChunk: chunk => sink.onChunk(damage(topic, chunk)),
        onEnd: error => sink.onEnd(error),
      }),
  }
}

/** How many tails of a topic are open, and how many there have been. */
export function countTails(log: Log, name: string): { tail: Log['tail']; open: number; begun: number } {
  const count = {
    open: 0,
    begun: 0,
    tail: ((topic, from, sink) => {
      const tail = log.tail(topic, from, sink)
      if (topic.name !== name) return tail
      count.open += 1
      count.begun += 1
      return {
        close: () => {
          count.open -= 1
          tail.close()
        },
      }
    }) satisfies Log['tail'],
  }
  return count
}

/** Names differ over all relays of a test. */
let random = 0

export function relayOn(
  log: Log,
  prefix: string,
  calls: Partial<Log> = {},
): { clock: FakeClock; relay: Relay; events: RelayEvent[] } {
  const clock = new FakeClock()
  const events: RelayEvent[] = []
  const relay = new Relay({
    log: logWith(log, calls),
    clock,
    gateway: 'test',
    topicPrefix: prefix,
    topicOptions: {},
    publisherGrace: 30_000,
    random: length => String(++random).padStart(length, '0'),
    onEvent: event => void events.push(event),
  })
  return { clock, relay, events }
}

/** @param resumeHash names the publisher */
export const publishRequest = (resumeHash = 'hash', session?: string): PublishRequest => ({
  resumeHash,
  session,
  isWanted: () => true,
})
