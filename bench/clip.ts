/**
 * Clips: how long ten minutes out of the middle of a long recording take as a file, from the request to its last byte, beside
 * ffmpeg, which copies the same ten minutes out of a file of the whole recording; and how fast the whole is.
 *
 * CLIP_LOGS (embedded,kafka), CLIP_HOURS (24), CLIP_ROUNDS (5).
 */
import { spawnSync } from 'node:child_process'
import { createWriteStream, mkdtempSync, rmSync, statSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { Readable } from 'node:stream'
import { pipeline } from 'node:stream/promises'
import type { ReadableStream } from 'node:stream/web'
import { openEmbeddedLog } from '../src/log/embedded/embedded-log.ts'
import { openKafkaLog } from '../src/log/kafka/kafka-log.ts'
import type { Log } from '../src/log/log.ts'
import { type Environment, startGateway } from '../test/support/gateway.ts'
import { startKafka } from '../test/support/kafka.ts'
import { median } from './lag/figures.ts'
import { ownMemory } from './memory.ts'
import { bitrate, record } from './seek/recording.ts'

const logs = (process.env.CLIP_LOGS ?? 'embedded,kafka').split(',')
const hours = Number(process.env.CLIP_HOURS ?? 24)
const rounds = Number(process.env.CLIP_ROUNDS ?? 5)
const prefix = 'bench-clip-'
const id = 'long'
/** Of a clip, seconds. */
const length = 600

const begin = Date.now() - hours * 3_600_000
const folder = mkdtempSync(join(tmpdir(), 'framelog-clip-'))

interface Row {
  readonly log: string
  readonly ours: number[]
  readonly ffmpeg: number[]
  readonly bytes: number
  readonly whole: number
  readonly memory: readonly [before: number, most: number]
}

async function make(log: Log): Promise<void> {
  await record(log, await log.create(`${prefix}${id}`, {}), begin, hours * 3600)
}

async function measure(log: string, env: Environment): Promise<Row> {
  await using gateway = await startGateway({
    ...env,
    TOPIC_PREFIX: prefix,
    RETENTION: 'forever',
    LOG_LEVEL: 'warn',
  })
  const before = ownMemory(gateway.pid)
  let most = before
  const looking = setInterval(() => {
    most = Math.max(most, ownMemory(gateway.pid))
  }, 200)
  const address = `${gateway.http}/api/v1/broadcasts/${id}/clip.webm`
  const get = async (query: string, path: string): Promise<number> => {
    const asked = performance.now()
    const response = await fetch(address + query)
    if (!response.ok || response.body === null) throw new Error(await response.text())
    await pipeline(Readable.fromWeb(response.body as ReadableStream), createWriteStream(path))
    return (performance.now() - asked) / 1000
  }
  const file = join(folder, 'whole.webm')
  const whole = await get('', file)
  const [ours, ffmpeg]: [number[], number[]] = [[], []]
  const out = join(folder, 'clip.webm')
  let bytes = 0
  for (let round = 0; round < rounds; round++) {
    // Somewhere else each time: nothing is planned already.
    const at = ((hours * 3600) / (rounds + 1)) * (round + 1)
    const iso = (seconds: number): string => new Date(begin + seconds * 1000).toISOString()
    ours.push(await get(`?from=${iso(at)}&to=${iso(at + length)}`, out))
    bytes = statSync(out).size
    const asked = performance.now()
    const args = ['-v', 'fatal', '-y', '-ss', String(at), '-t', String(length), '-i', file, '-c', 'copy', out]
    const { status } = spawnSync('ffmpeg', args)
    if (status !== 0) throw new Error('ffmpeg did not copy it')
    ffmpeg.push((performance.now() - asked) / 1000)
  }
  clearInterval(looking)
  return { log, ours, ffmpeg, bytes, whole, memory: [before, most] }
}

const rows: Row[] = []
try {
  for (const log of logs) {
    if (log === 'embedded') {
      const dir = join(folder, 'data')
      {
        await using embedded = await openEmbeddedLog({ dir })
        await make(embedded)
      }
      rows.push(await measure('embedded', { DATA_DIR: dir }))
      rmSync(dir, { recursive: true, force: true })
    } else {
      await using kafka = await startKafka({ full: true })
      {
        await using client = await openKafkaLog({ bootstrapServers: kafka.bootstrapServers })
        await make(client)
      }
      rows.push(await measure('one broker', { BOOTSTRAP_SERVERS: kafka.bootstrapServers }))
    }
  }
} finally {
  rmSync(folder, { recursive: true, force: true })
}
console.log(
  `\nTen minutes of a recording of ${hours} h at ${Math.round(bitrate / 1000)} kb/s, medians of ${rounds}\n`,
)
console.log(
  '| log | clip, s | times real time | ffmpeg -c copy, s | ours ÷ ffmpeg | MB | the whole, s | times real time | memory, MiB | most |\n| --- | --: | --: | --: | --: | --: | --: | --: | --: | --: |',
)
for (const { log, ours, ffmpeg, bytes, whole, memory } of rows) {
  const [own, reference] = [median(ours), median(ffmpeg)]
  const cells = [
    ...[own.toFixed(2), Math.round(length / own), reference.toFixed(2), (own / reference).toFixed(2)],
    ...[(bytes / 1e6).toFixed(1), whole.toFixed(1), Math.round((hours * 3600) / whole), ...memory],
  ]
  console.log(`| ${log} | ${cells.join(' | ')} |`)
}
