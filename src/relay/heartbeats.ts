/**
 * Which gateways are alive, what each holds, and who watches there. Every gateway writes a small record twice a
 * second into a topic of its own, and reads everybody's.
 *
 * A gateway counts as gone when several of this one's own heartbeats were read back since its last, and by this
 * one's clock some time has passed too. Own heartbeats are the measure because they stand in the same log behind
 * everybody's: whoever was frozen, or could not read for a while, has read what the others wrote in the meantime
 * before it reads its next own, and while the log does not answer nobody is declared gone.
 */
import type { Clock } from '../core/clock.ts'
import { FramelogError } from '../errors.ts'
import type { Chunk, Damage, Log, LogRecord, Tail, Topic } from '../log/log.ts'
import type { BroadcastId, Millis, Offset } from '../units.ts'
import {
  type Beat,
  beatRecord,
  decodeBeat,
  encodeGoodbye,
  encodeSnapshot,
  type GatewayAddress,
  type Snapshot,
} from './heartbeat-record.ts'

export const heartbeatLimits = {
  /** Milliseconds between two heartbeats. */
  every: 500,
  /** A gateway is gone that was not heard for so many milliseconds, and so many own heartbeats. */
  silence: { time: 1400, beats: 3 },
  /** Records of a long snapshot that go with one heartbeat; the rest goes with the next ones. */
  partsPerBeat: 4,
  /** Gateways that are known at a time; and gone ones that are remembered. */
  gateways: 1024,
  /** Age after which heartbeats may go from the log, milliseconds. */
  retention: 600_000,
  /** Milliseconds without an own heartbeat read back after which the log counts as silent. */
  current: 2000,
  /** Milliseconds that a goodbye may take. */
  goodbye: 1000,
  /** Milliseconds between two attempts to read a topic that could not be read. */
  recover: 1000,
  /** Heartbeats from before its start that a gateway looks at for addresses: those of three gateways for ten minutes. */
  history: 4096,
  historyBytes: 1024 * 1024,
} as const

export interface HeartbeatsOptions {
  readonly log: Log
  readonly clock: Clock
  /** Names this gateway: no other one, at no other time, has the name. */
  readonly gateway: string
  readonly topicName: string
  /** What this gateway has to say now. */
  snapshot(): Snapshot
  /** A gateway is heard no more, or has said that it stops. */
  onGone(gateway: string): void
  /** A gateway, this one or another, perhaps gone by now, has said where it is. */
  onAddress(address: GatewayAddress): void
  /** Where pages may go, `elsewhere`, has changed. */
  onElsewhere(): void
  /** Records cannot be read; what was in them the next heartbeats tell again. */
  onDamage(topic: Topic, span: Damage): void
}

interface Gateway {
  /** When it was last heard, on this gateway's monotonic clock. */
  at: number
  /** Own heartbeats that had been read back by then. */
  ownBeats: number
  /** Its last whole snapshot; undefined until there is one. */
  holds: ReadonlySet<BroadcastId> | undefined
  viewers: ReadonlyMap<BroadcastId, number>
  address: GatewayAddress | undefined
  draining: boolean
  /** The parts that have come of the next one. */
  building: { snapshot: number; parts: Beat[] } | undefined
}

export class Heartbeats {
  readonly #options: HeartbeatsOptions
  readonly #startedAt: Millis
  readonly #begun: number
  readonly #gateways = new Map<string, Gateway>()
  /** When gateways that are gone were last heard, oldest first. */
  readonly #gone = new Map<string, number>()
  #topic: Topic
  #tail: Tail | undefined
  #waiting: Uint8Array[] = []
  #snapshots = 0
  #isSending = false
  #ownBeats = 0
  #ownAt: number
  #settled = false
  #closed = false
  #cancelTick: () => void = () => {}

  private constructor(options: HeartbeatsOptions, topic: Topic) {
    this.#options = options
    this.#topic = topic
    this.#startedAt = options.clock.now()
    this.#begun = options.clock.monotonic()
    this.#ownAt = this.#begun
  }

  /** Begins to listen, then to beat. @throws what the log throws */
  static async open(options: HeartbeatsOptions): Promise<Heartbeats> {
    const topic = await makeTopic(options)
    const heartbeats = new Heartbeats(options, topic)
    await heartbeats.#lookBack()
    await heartbeats.#follow()
    heartbeats.#tick()
    return heartbeats
  }

  /** Whether this gateway has listened for long enough to know who is alive. */
  get isSettled(): boolean {
    return this.#settled
  }

  /** Whether the log answers: what this gateway writes comes back. */
  get isCurrent(): boolean {
    return this.#options.clock.monotonic() - this.#ownAt < heartbeatLimits.current
  }

  /** The gateways that are alive, this one too. */
  get alive(): readonly string[] {
    return [...this.#gateways.keys()]
  }

  /**
   * When a gateway that is gone was last heard, on the monotonic clock; of one that was never heard, when this one
   * began to listen. Undefined where it is alive, or that cannot be known yet.
   */
  goneSince(gateway: string): number | undefined {
    if (!this.#settled || this.#gateways.has(gateway)) return undefined
    return this.#gone.get(gateway) ?? this.#begun
  }

  /** Whether a living gateway says that it holds a broadcast. */
  isHeldBy(gateway: string, id: BroadcastId): boolean {
    const known = this.#gateways.get(gateway)
    // Until it has said all that it holds, it may.
    return known !== undefined && (known.holds?.has(id) ?? true)
  }

  /** Where the living gateways are but this one, without those that are about to stop. */
  get elsewhere(): GatewayAddress[] {
    const found: GatewayAddress[] = []
    for (const [name, { address, draining }] of this.#gateways) {
      if (name !== this.#options.gateway && address !== undefined && !draining) found.push(address)
    }
    return found
  }

  /** Whether there is another gateway that a page may be served by. */
  get hasOthers(): boolean {
    for (const [name, { draining }] of this.#gateways)
      if (name !== this.#options.gateway && !draining) return true
    return false
  }

  /** Whether any living gateway but this one says that it holds a broadcast. */
  isHeldElsewhere(id: BroadcastId): boolean {
    for (const [name, { holds }] of this.#gateways) {
      if (name !== this.#options.gateway && holds?.has(id)) return true
    }
    return false
  }

  /** Viewers of a broadcast on all living gateways but this one. */
  viewersElsewhere(id: BroadcastId): number {
    let sum = 0
    for (const [name, { viewers }] of this.#gateways) {
      if (name !== this.#options.gateway) sum += viewers.get(id) ?? 0
    }
    return sum
  }

  /** Says at once what has changed here, as it matters to the others. */
  sayNow(): void {
    if (this.#closed) return
    this.#waiting = []
    this.#cancelTick()
    this.#tick()
  }

  /** Says that this gateway stops, so that nobody waits for it. Takes a second at most, and never throws. */
  async close(): Promise<void> {
    if (this.#closed) return
    this.#closed = true
    this.#cancelTick()
    this.#tail?.close()
    const said = this.#append(encodeGoodbye(this.#startedAt)).catch(() => {})
    const late = Promise.withResolvers<void>()
    const cancel = this.#options.clock.after(heartbeatLimits.goodbye, late.resolve)
    await Promise.race([said, late.promise])
    cancel()
  }

  #append(value: Uint8Array): Promise<unknown> {
    const { log, gateway, clock } = this.#options
    return log.append(this.#topic, [beatRecord(gateway, value, clock.now())])
  }

  #tick(): void {
    if (this.#closed) return
    this.#cancelTick = this.#options.clock.after(heartbeatLimits.every, () => this.#tick())
    // One at a time: were they to pile up before a log that does not answer, they would come in a burst and make
    // everybody else look silent.
    if (!this.#isSending) void this.#beat()
  }

  async #beat(): Promise<void> {
    if (this.#waiting.length === 0) {
      this.#snapshots += 1
      this.#waiting = encodeSnapshot(this.#startedAt, this.#snapshots, this.#options.snapshot())
    }
    this.#isSending = true
    const values = this.#waiting.splice(0, heartbeatLimits.partsPerBeat)
    const results = await Promise.allSettled(values.map(value => this.#append(value)))
    this.#isSending = false
    // A snapshot with a hole in it is told anew. Why it failed, readiness tells.
    if (results.some(({ status }) => status === 'rejected')) this.#waiting = []
  }

  /** Who was there before says nothing about who is alive, but whose pages may come here. */
  async #lookBack(): Promise<void> {
    const { log, onAddress } = this.#options
    const { first, next } = await log.bounds(this.#topic)
    let at = Math.max(first, next - heartbeatLimits.history) as Offset
    while (at < next) {
      const chunk = await this.#readPast(log, at)
      for (const record of chunk?.records ?? []) {
        const address = decodeBeat(record)?.address
        if (address !== undefined) onAddress(address)
      }
      if (chunk === undefined || chunk.next <= at) return
      at = chunk.next
    }
  }

  /** @returns undefined where retention was quicker */
  async #readPast(log: Log, at: Offset): Promise<Chunk | undefined> {
    try {
      return await log.read(this.#topic, at, heartbeatLimits.historyBytes)
    } catch (error) {
      if (error instanceof FramelogError && error.code === 'OFFSET_OUT_OF_RANGE') return undefined
      throw error
    }
  }

  async #follow(): Promise<void> {
    const { log } = this.#options
    // What was written before tells nothing about who is alive.
    const { next } = await log.bounds(this.#topic)
    if (this.#closed) return
    this.#tail = log.tail(this.#topic, next, {
      onChunk: chunk => {
        for (const record of chunk.records) this.#take(record)
        for (const span of chunk.damaged ?? []) this.#options.onDamage(this.#topic, span)
      },
      onEnd: error => {
        if (error.code !== 'LOG_CLOSED') this.#recoverLater()
      },
    })
  }

  /**
   * The topic was deleted by hand, or this gateway was frozen for longer than heartbeats are kept. After a while, as a
   * tail may end as soon as it begins.
   */
  #recoverLater(): void {
    this.#options.clock.after(heartbeatLimits.recover, () => this.#recover())
  }

  #recover(): void {
    if (this.#closed) return
    const again = async (): Promise<void> => {
      this.#topic = await makeTopic(this.#options)
      await this.#follow()
    }
    again().catch(() => this.#recoverLater())
  }

  #take(record: LogRecord): void {
    const beat = decodeBeat(record)
    if (beat === undefined) return
    const isOwn = beat.gateway === this.#options.gateway
    if (isOwn) this.#ownBeats += 1
    if (beat.leaving) this.#lose(beat.gateway, this.#options.clock.monotonic())
    else this.#hear(beat)
    if (isOwn) this.#judge()
  }

  #hear(beat: Beat): void {
    let known = this.#gateways.get(beat.gateway)
    if (known === undefined) {
      if (this.#gateways.size >= heartbeatLimits.gateways) return
      known = {
        at: 0,
        ownBeats: 0,
        holds: undefined,
        viewers: new Map(),
        address: undefined,
        draining: false,
        building: undefined,
      }
      this.#gateways.set(beat.gateway, known)
      this.#gone.delete(beat.gateway)
    }
    known.at = this.#options.clock.monotonic()
    known.ownBeats = this.#ownBeats
    this.#locate(known, beat)
    if (beat.part === 0) known.building = { snapshot: beat.snapshot, parts: [] }
    const { building } = known
    if (building?.snapshot !== beat.snapshot || building.parts.length !== beat.part) return
    building.parts.push(beat)
    if (building.parts.length < beat.parts) return
    known.holds = new Set(building.parts.flatMap(({ holds }) => holds))
    known.viewers = new Map(building.parts.flatMap(({ viewers }) => viewers))
    known.building = undefined
  }

  #locate(known: Gateway, { gateway, address, draining }: Beat): void {
    if (address !== undefined) this.#options.onAddress(address)
    const isSame = known.address?.url === address?.url && known.draining === draining
    known.address = address
    known.draining = draining
    if (!isSame && gateway !== this.#options.gateway) this.#options.onElsewhere()
  }

  /** Looks who was not heard, at the moment in which that can be known. */
  #judge(): void {
    const now = this.#options.clock.monotonic()
    this.#ownAt = now
    const { time, beats } = heartbeatLimits.silence
    const isSilent = (at: number, ownBeats: number): boolean =>
      now - at >= time && this.#ownBeats - ownBeats >= beats
    if (!this.#settled && isSilent(this.#begun, 0)) this.#settled = true
    for (const [name, { at, ownBeats }] of [...this.#gateways])
      if (isSilent(at, ownBeats)) this.#lose(name, at)
  }

  #lose(gateway: string, at: number): void {
    const known = this.#gateways.get(gateway)
    if (known === undefined) return
    this.#gateways.delete(gateway)
    this.#gone.set(gateway, at)
    for (const oldest of this.#gone.keys()) {
      if (this.#gone.size <= heartbeatLimits.gateways) break
      this.#gone.delete(oldest)
    }
    this.#options.onGone(gateway)
    if (known.address !== undefined && !known.draining) this.#options.onElsewhere()
  }
}

const makeTopic = ({ log, topicName }: HeartbeatsOptions): Promise<Topic> =>
  log.create(topicName, { retention: heartbeatLimits.retention as Millis })
