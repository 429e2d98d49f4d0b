/**
 * What viewers that take too little cost the others: 500 viewers of one broadcast, of which 50 read a tenth of it and 10
 * nothing, against a run of the other 440 alone, in turn.
 *
 * SLOW_ROUNDS (3), SLOW_SECONDS (60), SLOW_WARM_UP (25: their buffers are full by then).
 */
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { join } from 'node:path'
import { TestPublisher } from '../test/support/clients.ts'
import { startGateway } from '../test/support/gateway.ts'
import { median } from './lag/figures.ts'
import { ownMemory } from './memory.ts'
import type { ViewersResult } from './slow/viewers.ts'

const number = (name: string, fallback: number): number => Number(process.env[name] ?? fallback)
const rounds = number('SLOW_ROUNDS', 3)
const seconds = number('SLOW_SECONDS', 60)
const warmUp = number('SLOW_WARM_UP', 25)

const crowds = { alone: [440, 0, 0], 'with slow ones': [440, 50, 10] } as const
type Crowd = keyof typeof crowds

interface Outcome extends ViewersResult {
  /** The gateway's own memory at most, MiB. */
  readonly memory: number
}

const outcomes: Record<Crowd, Outcome[]> = { alone: [], 'with slow ones': [] }
for (let round = 1; round <= rounds; round++) {
  const order = Object.keys(crowds) as Crowd[]
  for (const crowd of round % 2 === 1 ? order : order.toReversed()) {
    const outcome = await measure(crowds[crowd])
    outcomes[crowd].push(outcome)
    process.stderr.write(`round ${round}, ${crowd}: ${JSON.stringify(outcome)}\n`)
  }
}
console.log(
  '\n| 440 viewers | gap p50, ms | p99 | max | gateway, MiB at most | ended |\n| --- | --: | --: | --: | --: | --: |',
)
for (const [crowd, all] of Object.entries(outcomes)) {
  const of = (name: keyof Outcome): string =>
    median(all.map(each => each[name])).toFixed(name === 'memory' || name === 'ended' ? 0 : 1)
  console.log(`| ${crowd} | ${of('p50')} | ${of('p99')} | ${of('max')} | ${of('memory')} | ${of('ended')} |`)
}
const ratio = median(
  outcomes['with slow ones'].map(({ p99 }, i) => p99 / (outcomes.alone[i]?.p99 ?? Number.NaN)),
)
console.log(`\n${ratio <= 1.2 ? 'met' : 'missed'}: p99 ÷ alone ${ratio.toFixed(2)}, wanted at most 1.2`)

async function measure(crowd: readonly number[]): Promise<Outcome> {
  await using gateway = await startGateway({ LOG_LEVEL: 'warn' })
  const publisher = await TestPublisher.connect(gateway.ws, 'crowd')
  publisher.publish(1, { bytes: 6000 })
  const sending = setInterval(() => publisher.publish(1, { bytes: 6000 }), 1000 / 30)
  let memory = 0
  const looking = setInterval(() => {
    memory = Math.max(memory, ownMemory(gateway.pid))
  }, 500)
  try {
    const file = join(import.meta.dirname, 'slow', 'viewers.ts')
    const url = `${gateway.ws}/api/v1/broadcasts/crowd/watch`
    const child = spawn(
      process.execPath,
      [file, url, ...crowd.map(String), String(warmUp), String(seconds)],
      {
        stdio: ['ignore', 'pipe', 'inherit'],
      },
    )
    let output = ''
    child.stdout.on('data', (data: Buffer) => {
      output += data
    })
    await once(child, 'close')
    return { ...(JSON.parse(output) as ViewersResult), memory }
  } finally {
    clearInterval(sending)
    clearInterval(looking)
    publisher.cut()
  }
}
