/**
 * Two gateways that fight for one broadcast: publishers that come and go on both, gateways that are stopped in the
 * middle and wake as zombies, and readers of every kind. What they all saw is returned for the test to judge.
 */
import { setTimeout as pause } from 'node:timers/promises'
import { micros } from '../../src/units.ts'
import { type MessageOf, protocolVersion } from '../../src/wire/message.ts'
import { testCatalog, testFrame, WireClient } from './clients.ts'
import type { RunningGateway } from './gateway.ts'

/** Small, seeded, good enough to choose by (mulberry32). */
export function seededRandom(seed: number): () => number {
  let a = seed | 0
  return () => {
    a = (a + 0x6d2b79f5) | 0
    let t = Math.imul(a ^ (a >>> 15), 1 | a)
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t
    return ((t ^ (t >>> 14)) >>> 0) / 4294967296
  }
}

/** A frame as somebody saw it. `content` is unique among all that were ever made. */
export interface Seen {
  readonly session: string
  readonly sequence: number
  readonly content: number
}

export interface SeenAt extends Seen {
  readonly offset: number
}

export const contentOf = (data: Uint8Array): number => Buffer.from(data).readUInt32BE(4)

/** A page's publisher: numbers, keeps, sends again, and hears no socket that it has left. */
export class Fighter {
  readonly acknowledged: Seen[] = []
  readonly #id: string
  readonly #resume: string
  readonly #newContent: () => number
  #session: string | undefined
  #next = 0
  #kept: { sequence: number; content: number }[] = []
  #client: WireClient | undefined
  #heard = 0
  /** Connections left open: a page that was cut off by its network does not close. */
  readonly #left: WireClient[] = []

  constructor(id: string, resume: string, newContent: () => number) {
    this.#id = id
    this.#resume = resume
    this.#newContent = newContent
  }

  get unacknowledged(): number {
    this.#hear()
    return this.#kept.length
  }

  get isOn(): boolean {
    return this.#client !== undefined && this.#client.closed === undefined
  }

  /** @returns whether the gateway took it, within a while */
  async connect(gateway: RunningGateway, patience: number): Promise<boolean> {
    this.leave('cut')
    const client = new WireClient(`${gateway.ws}/api/v1/broadcasts/${this.#id}/publish`)
    const session = this.#session === undefined ? {} : { session: this.#session }
    const hello = { type: 'hello', role: 'publish', version: protocolVersion, resume: this.#resume } as const
    const greeted = client
      .opened()
      .then(() => client.send({ ...hello, ...session }))
      .then(() => client.next('welcome'))
    const welcome = await Promise.race([greeted.catch(() => undefined), pause(patience, undefined)])
    if (welcome?.role !== 'publish') {
      client.cut()
      return false
    }
    this.#client = client
    this.#heard = client.messages.length
    if (welcome.session !== this.#session) {
      this.#session = welcome.session
      this.#kept = []
      this.#next = welcome.next
    }
    for (const { sequence, content } of this.#kept.splice(0)) {
      // What the gateway has already is in the log: that is an acknowledgement too.
      if (sequence < welcome.next) this.#acknowledge(sequence, content)
      else this.#kept.push({ sequence, content })
    }
    client.send({ type: 'catalog', catalog: testCatalog })
    for (const { sequence, content } of this.#kept) this.#send(sequence, content)
    return true
  }

  publish(): void {
    this.#hear()
    const sequence = this.#next++
    const content = this.#newContent()
    this.#kept.push({ sequence, content })
    this.#send(sequence, content)
  }

  /** @param how `cut` closes the connection; `drift` leaves it open and listens no more */
  leave(how: 'cut' | 'drift'): void {
    this.#hear()
    const client = this.#client
    this.#client = undefined
    if (client === undefined) return
    if (how === 'cut') client.cut()
    else this.#left.push(client)
  }

  end(): void {
    this.#client?.send({ type: 'end', reason: 'the fight is over' })
    this.#client = undefined
    for (const client of this.#left) client.cut()
  }

  #send(sequence: number, content: number): void {
    if (this.#client?.socket.readyState !== this.#client?.socket.OPEN) return
    const frame = testFrame(sequence, { keyframe: sequence % 30 === 0 })
    Buffer.from(frame.data.buffer, frame.data.byteOffset).writeUInt32BE(content, 4)
    this.#client?.send({ type: 'frame', frame })
  }

  #hear(): void {
    const { messages = [] } = this.#client ?? {}
    for (; this.#heard < messages.length; this.#heard++) {
      const message = messages[this.#heard]
      if (message?.type === 'gap') {
        const { from = 0, to = -1 } = message
        this.#kept = this.#kept.filter(({ sequence }) => sequence < from || sequence > to)
      }
      if (message?.type !== 'ack') continue
      while ((this.#kept[0]?.sequence ?? Number.POSITIVE_INFINITY) <= message.sequence) {
        const { sequence, content } = this.#kept.shift() as { sequence: number; content: number }
        this.#acknowledge(sequence, content)
      }
    }
  }

  #acknowledge(sequence: number, content: number): void {
    this.acknowledged.push({ session: this.#session ?? '', sequence, content })
  }
}

/** A viewer that comes back to where it was when its connection breaks. */
export class Onlooker {
  readonly seen: SeenAt[] = []
  readonly #gateway: RunningGateway
  readonly #id: string
  #client!: WireClient
  #heard = 0
  #session = ''
  #stopped = false

  constructor(gateway: RunningGateway, id: string, from = 'live') {
    this.#gateway = gateway
    this.#id = id
    this.#connect(from)
  }

  /** @param deadline on the clock of `performance.now()` */
  async until(content: number, deadline: number): Promise<void> {
    while (this.seen.at(-1)?.content !== content) {
      if (performance.now() > deadline) {
        const { type = 'nothing' } = this.#client.messages.at(-1) ?? {}
        throw new Error(`a viewer saw ${JSON.stringify(this.seen.at(-1))} last, and ${type}; not ${content}`)
      }
      await pause(10)
    }
  }

  stop(): void {
    this.#stopped = true
    this.#client.cut()
  }

  #connect(from: string): void {
    const client = new WireClient(`${this.#gateway.ws}/api/v1/broadcasts/${this.#id}/watch`)
    this.#client = client
    this.#heard = 0
    client.on('change', () => {
      if (this.#client !== client) return
      this.#hear()
      if (client.closed === undefined || this.#stopped) return
      const last = this.seen.at(-1)
      setTimeout(() => this.#connect(last ? `@${last.offset + 1}` : from), 100)
    })
    client
      .opened()
      .then(() => client.send({ type: 'hello', role: 'watch', version: protocolVersion, from }))
      .catch(() => {})
  }

  #hear(): void {
    const { messages } = this.#client
    for (; this.#heard < messages.length; this.#heard++) {
      const message = messages[this.#heard]
      if (message?.type === 'catalog') this.#session = message.session ?? ''
      if (message?.type === 'frame') this.#see(message)
    }
  }

  #see({ frame, relayed }: MessageOf<'frame'>): void {
    const { offset = -1 } = relayed ?? {}
    if (offset <= (this.seen.at(-1)?.offset ?? -1)) return
    const session = this.#session
    this.seen.push({ offset, session, sequence: frame.sequence, content: contentOf(frame.data) })
    this.#client.send({ type: 'position', session, timestamp: micros(frame.timestamp) })
  }
}

export interface Fight {
  /** All that either publisher was told to be safe. */
  readonly acknowledged: readonly Seen[]
  /** Those who watched all the time, and those who came at the end and watched from the start. */
  readonly onlookers: readonly Onlooker[]
  readonly late: readonly Onlooker[]
  readonly last: number
  readonly stops: number
  readonly takeovers: number
}

/** @param span milliseconds of it, about */
export async function fight(
  gateways: readonly [RunningGateway, RunningGateway],
  id: string,
  span: number,
  random: () => number,
): Promise<Fight> {
  let content = 0
  const newContent = (): number => ++content
  const first = new Fighter(id, 'token-of-the-first-one', newContent)
  const second = new Fighter(id, 'token-of-the-second-one', newContent)
  const onlookers = gateways.map(gateway => new Onlooker(gateway, id))
  const until = performance.now() + span
  const isOver = (): boolean => performance.now() > until
  const between = (least: number, most: number): number => least + random() * (most - least)
  const some = (): RunningGateway => gateways[random() < 0.5 ? 0 : 1]
  let stops = 0
  let takeovers = 0

  const run = async (fighter: Fighter, time: number): Promise<void> => {
    const end = performance.now() + time
    while (performance.now() < end && fighter.isOn && !isOver()) {
      fighter.publish()
      await pause(10)
    }
  }
  const alternate = async (): Promise<void> => {
    for (let turn = 0; !isOver(); turn++) {
      if (await first.connect(gateways[turn % 2 === 0 ? 0 : 1], 2500)) {
        takeovers += 1
        await run(first, between(200, 1500))
      }
      // Mostly straight to the other gateway; now and then away for long enough for the other publisher.
      first.leave(random() < 0.5 ? 'cut' : 'drift')
      if (random() < 0.25) await pause(between(500, 2500))
    }
  }
  const intrude = async (): Promise<void> => {
    while (!isOver()) {
      if (await second.connect(some(), 1000)) {
        takeovers += 1
        await run(second, between(100, 600))
        second.leave(random() < 0.5 ? 'cut' : 'drift')
      }
      await pause(150)
    }
  }
  const stopAndGo = async (): Promise<void> => {
    while (!isOver()) {
      await pause(between(200, 800))
      const { pid } = some()
      process.kill(pid, 'SIGSTOP')
      stops += 1
      await pause(Math.min(between(200, 4000), Math.max(0, until - performance.now())))
      process.kill(pid, 'SIGCONT')
    }
  }
  await Promise.all([alternate(), intrude(), stopAndGo()])

  // Everything is quiet: the first one says something last, and finishes.
  second.leave('cut')
  const deadline = performance.now() + 60_000
  for (;;) {
    if (performance.now() > deadline) throw new Error('the last publisher was not taken, or not acknowledged')
    if (await first.connect(gateways[0], 20_000)) {
      for (let i = 0; i < 40; i++) first.publish()
      while (first.isOn && first.unacknowledged > 0 && performance.now() < deadline) await pause(10)
      if (first.unacknowledged === 0) break
    }
    await pause(100)
  }
  const last = first.acknowledged.at(-1)?.content ?? -1
  first.end()
  const late = gateways.map(gateway => new Onlooker(gateway, id, 'start'))
  await Promise.all([...onlookers, ...late].map(onlooker => onlooker.until(last, deadline)))
  for (const onlooker of [...onlookers, ...late]) onlooker.stop()
  second.end()
  return {
    acknowledged: [...first.acknowledged, ...second.acknowledged],
    onlookers,
    late,
    last,
    stops,
    takeovers,
  }
}
