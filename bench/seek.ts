/**
 * How long a seek takes in a short and in a long recording: from the seek's message to the first byte of a frame, over a
 * real socket to a gateway of its own process. The long one is the short one's length times 24; both are asked in turn.
 *
 * SEEK_LOGS (embedded,kafka), SEEK_HOURS (1,24), SEEK_COUNT (1000).
 */
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { openEmbeddedLog } from '../src/log/embedded/embedded-log.ts'
import { openKafkaLog } from '../src/log/kafka/kafka-log.ts'
import type { Log } from '../src/log/log.ts'
import { protocolVersion } from '../src/wire/message.ts'
import { WireClient } from '../test/support/clients.ts'
import { seededRandom } from '../test/support/fight.ts'
import { type Environment, type RunningGateway, startGateway } from '../test/support/gateway.ts'
import { startKafka } from '../test/support/kafka.ts'
import { median, quantile } from './lag/figures.ts'
import { ownMemory } from './memory.ts'
import { bitrate, record } from './seek/recording.ts'

const list = (name: string, fallback: string): string[] => (process.env[name] ?? fallback).split(',')
const hours = list('SEEK_HOURS', '1,24').map(Number)
const count = Number(process.env.SEEK_COUNT ?? 1000)
const prefix = 'bench-seek-'

interface Row {
  readonly log: string
  readonly hours: number
  readonly times: number[]
}

async function measureEmbedded(): Promise<void> {
  const dir = mkdtempSync(join(tmpdir(), 'framelog-seek-'))
  try {
    {
      await using log = await openEmbeddedLog({ dir })
      await make(log)
    }
    await measure('embedded', { DATA_DIR: dir })
  } finally {
    rmSync(dir, { recursive: true, force: true })
  }
}

async function measureKafka(): Promise<void> {
  await using kafka = await startKafka({ full: true })
  {
    await using log = await openKafkaLog({ bootstrapServers: kafka.bootstrapServers })
    await make(log)
  }
  await measure('one broker', { BOOTSTRAP_SERVERS: kafka.bootstrapServers })
}

async function make(log: Log): Promise<void> {
  for (const length of hours) {
    const begun = performance.now()
    const topic = await log.create(`${prefix}${nameOf(length)}`, {})
    await record(log, topic, Date.now() - length * 3_600_000, length * 3600)
    process.stderr.write(`${length} h written in ${((performance.now() - begun) / 1000).toFixed(0)} s\n`)
  }
}

async function measure(log: string, env: Environment): Promise<void> {
  await using gateway = await startGateway({
    ...env,
    TOPIC_PREFIX: prefix,
    RETENTION: 'forever',
    LOG_LEVEL: 'warn',
  })
  const random = seededRandom(1)
  const seekers = await Promise.all(hours.map(length => Seeker.open(gateway, length)))
  // The first ones find cold caches, of all recordings alike.
  for (let i = 0; i < 50; i++) for (const seeker of seekers) await seeker.seek(random())
  const memory = [ownMemory(gateway.pid)]
  const times = seekers.map((): number[] => [])
  for (let i = 0; i < count; i++) {
    for (const [which, seeker] of seekers.entries()) times[which]?.push(await seeker.seek(random()))
    if ((i + 1) % Math.ceil(count / 10) === 0) memory.push(ownMemory(gateway.pid))
  }
  memories.push(
    `${log}: the gateway's own memory before, and after each tenth of ${count * seekers.length} seeks, MiB: ${memory.join(', ')}`,
  )
  for (const [which, length] of hours.entries()) rows.push({ log, hours: length, times: times[which] ?? [] })
  for (const seeker of seekers) seeker.client.cut()
}

function nameOf(length: number): string {
  return `h${length}`.replace('.', '-')
}

/** One viewer of one recording. */
class Seeker {
  readonly client: WireClient
  readonly #begin: number
  readonly #span: number
  #seek = 0

  private constructor(client: WireClient, begin: number, span: number) {
    this.client = client
    this.#begin = begin
    this.#span = span
  }

  static async open({ ws }: RunningGateway, length: number): Promise<Seeker> {
    const client = new WireClient(`${ws}/api/v1/broadcasts/${nameOf(length)}/watch`)
    await client.opened()
    client.send({ type: 'hello', role: 'watch', version: protocolVersion, from: 'start' })
    const { first, last } = await client.next('span')
    return new Seeker(client, first, last - first)
  }

  /** @param share of the recording. @returns milliseconds to the first frame; a wrong one ends the bench */
  async seek(share: number): Promise<number> {
    const { client } = this
    const to = Math.floor(this.#begin + share * (this.#span - 5000))
    this.#seek += 1
    client.forget()
    const sent = performance.now()
    client.send({ type: 'seek', seek: this.#seek, from: new Date(to).toISOString() })
    const place = await client.until(
      (message): message is typeof message & { type: 'place' } =>
        message.type === 'place' && message.seek === this.#seek,
      'the place',
    )
    await client.next('frame')
    const took = performance.now() - sent
    const wanted = await client.until(
      (message): message is typeof message & { type: 'frame' } =>
        message.type === 'frame' && (message.relayed?.offset ?? -1) >= (place.offset ?? 0),
      'the frame that was asked for',
    )
    const off = (wanted.relayed?.time ?? 0) - to
    if (off < 0 || off > 50) throw new Error(`asked for ${to}, and got a frame ${off} ms from it`)
    return took
  }
}

const rows: Row[] = []
const memories: string[] = []
for (const log of list('SEEK_LOGS', 'embedded,kafka')) {
  if (log === 'embedded') await measureEmbedded()
  else await measureKafka()
}
console.log(
  `\n${count} seeks in turn, ${Math.round(bitrate / 1000)} kb/s, milliseconds from the seek to the first byte of a frame\n`,
)
console.log(
  '| log | length | p50 | p95 | p99 | max | p50 ÷ shortest |\n| --- | --: | --: | --: | --: | --: | --: |',
)
for (const { log, hours, times } of rows) {
  const ordered = times.toSorted((a, b) => a - b)
  const reference = rows.find(row => row.log === log)?.times ?? times
  const cells = [0.5, 0.95, 0.99, 1].map(share => quantile(ordered, share).toFixed(1))
  console.log(
    `| ${log} | ${hours} h | ${cells.join(' | ')} | ${(median(times) / median(reference)).toFixed(2)} |`,
  )
}
console.log(`\n${memories.join('\n')}`)
