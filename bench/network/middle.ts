/** The bench itself, in the namespace between the links: gateway and log are its children. */
import { availableParallelism } from 'node:os'
import type { Browser } from 'playwright-core'
import { type RunningGateway, startGateway } from '../../test/support/gateway.ts'
import { startBrokersOf } from '../lag/brokers.ts'
import { bundlePage } from '../lag/bundle.ts'
import { measure, type Outcome, reasonOf } from '../lag/measure.ts'
import { Stage, type StageOptions } from '../lag/stage.ts'
import { choose, type Subject, studios } from '../lag/subjects.ts'
import { besideLinks } from './besides.ts'
import { launchAtEnds } from './browsers.ts'
import { checkLinks, words } from './check.ts'
import { type Condition, conditions } from './conditions.ts'
import { type End, Links, middle } from './links.ts'
import { readSettings } from './settings.ts'
import { type Checked, networkTable } from './table.ts'

/** Milliseconds in which a peer connection comes to its full size, where the link lets it. */
const growth = 8000

process.once('disconnect', () => process.exit(1))
process.channel?.unref()

const settings = readSettings(process.env)
const wanted = conditions.filter(({ name }) => settings.only?.test(name) ?? true)
const chosen = choose(settings.subjects).filter(({ view }) => view !== 'screen')
const script = await bundlePage()

await using resources = new AsyncDisposableStack()
const links = resources.use(await Links.open(settings.congestion, settings.sysctls))
const gateway = await startAtMiddle()
const http = `http://${middle}:${gateway.port}`
const browsers = await launchAtEnds(links, http, resources)
const version = browsers.viewer.version()
console.log(
  `\n### ${settings.log} log, ${[settings.congestion, ...settings.sysctls].join(', ')}, Chromium ${version}, ${availableParallelism()} cores, milliseconds`,
)

const results = new Map<Condition, Checked>()
for (let round = 1; round <= settings.rounds; round++) {
  for (const condition of wanted) {
    await links.set(condition, round)
    const checked = results.get(condition) ?? {
      check: words(await checkLinks(links)),
      outcomes: new Map(chosen.map(subject => [subject, []])),
    }
    results.set(condition, checked)
    process.stderr.write(`${round} ${condition.name}: ${checked.check}\n`)
    for await (const [subject, outcome] of measureAll(condition, round, browsers)) {
      checked.outcomes.get(subject)?.push(outcome)
      process.stderr.write(`${round} ${condition.name}, ${subject.name}: ${tell(outcome)}\n`)
      if (outcome.kind === 'failed') process.exitCode = 1
    }
  }
}
console.log(`\n${networkTable(results)}`)

async function startAtMiddle(): Promise<RunningGateway> {
  const brokers = await startBrokersOf(settings.log, resources)
  const env = brokers === undefined ? {} : { BOOTSTRAP_SERVERS: brokers }
  return resources.use(await startGateway({ LOG_LEVEL: 'warn', HTTP_HOST: '0.0.0.0', ...env }))
}

/** Ours beside one studio, then the references: those have the links to themselves, as ours has. */
async function* measureAll(
  condition: Condition,
  round: number,
  { publisher, viewer }: Readonly<Record<End, Browser>>,
): AsyncGenerator<readonly [Subject, Outcome]> {
  const place = `${conditions.indexOf(condition)}-${round}`
  let codec: string | undefined
  for (const studio of new Set(chosen.map(({ studio }) => studio))) {
    for (const isPeer of [false, true]) {
      const left = chosen.filter(each => each.studio === studio && (each.view === 'peer') === isPeer)
      if (left.length === 0) continue
      const options: StageOptions = {
        ...{ browser: publisher, viewers: viewer, script, http, growth },
        studio: studios[studio],
        broadcast: `network-${studio.toLowerCase()}-${place}`,
        ...(codec === undefined ? {} : { codec }),
      }
      try {
        await using stage = await (isPeer ? Stage.openBare(options) : Stage.open(options))
        if (!isPeer) codec = await stage.codec()
        for (let subject = left.shift(); subject !== undefined; subject = left.shift())
          yield [subject, await measure(stage, subject, settings, besideLinks(links))]
      } catch (error) {
        for (const subject of left) yield [subject, { kind: 'failed', reason: reasonOf(error) }]
      }
    }
  }
}

function tell(outcome: Outcome): string {
  if (outcome.kind !== 'measured')
    return outcome.kind === 'failed' ? `failed, ${outcome.reason}` : 'not in these pages'
  const { p50, p99, size, load, besides } = outcome.figures
  const counts = Object.entries(besides ?? {}).map(([name, count]) => `${name} ${count.toFixed(1)}`)
  return `p50 ${p50.toFixed(0)} p99 ${p99.toFixed(0)}, ${size}, by others ${load.others?.toFixed(0) ?? '?'} %, ${counts.join(' ')}`
}
