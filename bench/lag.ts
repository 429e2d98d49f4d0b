/**
 * Glass to glass: how old a viewer's picture is, in one Chromium on one machine with one clock. The camera's picture has
 * the time in it; the viewer's page reads it back at every refresh. A bare peer connection and the camera on its own
 * screen are measured in the same run, by the same probe.
 *
 * LAG_SECONDS, LAG_ROUNDS, LAG_WARM_UP, LAG_TRIES, LAG_LOGS (embedded, kafka, kafka3), LAG_ONLY (a regular
 * expression), LAG_PLOTS (a folder), LAG_DRIFT (seconds: follows the chosen ones for so long, beside each other).
 */
import { availableParallelism } from 'node:os'
import { join } from 'node:path'
import type { Browser } from 'playwright-core'
import { launch } from '../test/support/chromium.ts'
import { type RunningGateway, startGateway } from '../test/support/gateway.ts'
import { startBrokersOf } from './lag/brokers.ts'
import { bundlePage } from './lag/bundle.ts'
import { drift } from './lag/drift.ts'
import { measure, type Outcome, reasonOf } from './lag/measure.ts'
import { plotAges } from './lag/plot.ts'
import { type LogName, readSettings } from './lag/settings.ts'
import { Stage, type StageOptions } from './lag/stage.ts'
import { choose, chooseLong, type Subject, studios } from './lag/subjects.ts'
import { curvesOf, table } from './lag/table.ts'
import { measure as measureLog } from './log/measure.ts'
import { makeTopics } from './log/topics.ts'

const settings = readSettings(process.env)
const chosen = choose(settings.only)
const script = await bundlePage()
/** Peer connections between two pages of one machine, also where loopback is its only network. */
const args = ['--disable-features=WebRtcHideLocalIpsWithMdns', '--allow-loopback-in-peer-connection']

for (const log of settings.logs) {
  await using resources = new AsyncDisposableStack()
  const brokers = await startBrokersOf(log, resources)
  const env = brokers === undefined ? {} : { BOOTSTRAP_SERVERS: brokers }
  const gateway = resources.use(await startGateway({ LOG_LEVEL: 'warn', ...env }))
  const browser = resources.adopt(await launch({ args }), each => each.close())
  const cores = availableParallelism()
  console.log(`\n### ${log} log, Chromium ${browser.version()}, ${cores} cores, milliseconds`)
  if (settings.drift > 0) await longRuns(browser, gateway)
  else {
    await rounds(browser, gateway, log)
    if (brokers !== undefined) await tellBrokers(brokers)
  }
}

/** What the brokers themselves take for a frame of one broadcast: the bare client's produce to consume. */
async function tellBrokers(bootstrapServers: string): Promise<void> {
  await using topics = await makeTopics(bootstrapServers, `bench-lag-${process.pid}`, 1)
  const task = { subject: 'bare', bootstrapServers, topics: topics.names, live: 1 } as const
  const outcome = await measureLog(
    { ...task, warmUp: settings.warmUp, seconds: settings.seconds },
    settings.tries,
  )
  if (outcome.kind === 'failed') throw new Error(outcome.reason)
  const { p50, p99 } = outcome.figures.delivered
  console.log(
    `\nThe brokers' own, bare client, produce to consume: p50 ${p50.toFixed(1)}, p99 ${p99.toFixed(1)}`,
  )
}

async function rounds(browser: Browser, gateway: RunningGateway, log: LogName): Promise<void> {
  const results = new Map<Subject, Outcome[]>(chosen.map(subject => [subject, []]))
  for (let round = 1; round <= settings.rounds; round++) {
    for (const studio of studiosOf(chosen)) {
      const broadcast = `lag-${studio.toLowerCase()}-${round}`
      const mine = chosen.filter(each => each.studio === studio)
      for await (const [subject, outcome] of measureAll(mine, {
        browser,
        script,
        http: gateway.http,
        studio: studios[studio],
        broadcast,
      })) {
        results.get(subject)?.push(outcome)
        process.stderr.write(`${round} ${subject.name}: ${words(outcome)}\n`)
        if (outcome.kind === 'failed') process.exitCode = 1
      }
    }
  }
  console.log(`\n${table(results)}`)
  if (settings.plots !== undefined) await plotAges(join(settings.plots, `lag-${log}.svg`), curvesOf(results))
}

/** One after the other, beside the same studio. */
async function* measureAll(
  list: readonly Subject[],
  options: StageOptions,
): AsyncGenerator<readonly [Subject, Outcome]> {
  const left = [...list]
  try {
    await using stage = await Stage.open(options)
    for (let subject = left.shift(); subject !== undefined; subject = left.shift())
      yield [subject, await measure(stage, subject, settings)]
  } catch (error) {
    for (const subject of left) yield [subject, { kind: 'failed', reason: reasonOf(error) }]
  }
}

async function longRuns(browser: Browser, gateway: RunningGateway): Promise<void> {
  const long = chooseLong(settings.only)
  for (const name of studiosOf(long)) {
    const broadcast = `drift-${name.toLowerCase()}`
    const studio = studios[name]
    await using stage = await Stage.open({ browser, script, http: gateway.http, studio, broadcast })
    const mine = long.filter(subject => subject.studio === name)
    const tables = await Promise.all(mine.map(subject => drift(stage, subject, settings.drift)))
    console.log(tables.join('\n'))
  }
}

function studiosOf(list: readonly Subject[]): Set<Subject['studio']> {
  return new Set(list.map(({ studio }) => studio))
}

function words(outcome: Outcome): string {
  if (outcome.kind !== 'measured')
    return outcome.kind === 'failed' ? `failed, ${outcome.reason}` : 'not in these pages'
  const { p50, p99, size, look, clockOffset, load } = outcome.figures
  return (
    `p50 ${p50.toFixed(0)} p99 ${p99.toFixed(0)}, ${size}, a look ${look.toFixed(2)} ms, ` +
    `clock off by at least ${clockOffset.toFixed(1)} ms, busy ${load.busy.toFixed(0)} %, by others ${load.others?.toFixed(0) ?? '?'} %`
  )
}
