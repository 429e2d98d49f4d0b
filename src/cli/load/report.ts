/** What a load has come to, in words and as JSON. */
import type { Histogram } from 'node:perf_hooks'
import type { Clip } from './clip.ts'
import type { LoadOptions } from './options.ts'
import { spanNames, type Tally } from './tally.ts'

/** Milliseconds; none where nothing was measured. */
interface Distribution {
  readonly p50: number
  readonly p95: number
  readonly p99: number
  readonly max: number
}

export interface GatewayCost {
  readonly url: string
  /** Share of a core, 0.25 for a quarter. */
  readonly cpu: number
  /** Resident at most, bytes. */
  readonly memory: number
}

export interface LoadReport {
  readonly seconds: number
  readonly broadcasts: number
  readonly viewers: number
  readonly slow: number
  readonly joined: number
  readonly sent: number
  readonly acknowledged: number
  readonly heldBack: number
  readonly delivered: number
  readonly skipped: { readonly quick: number; readonly slow: number }
  readonly lost: number
  /** What viewers got, bits a second. */
  readonly bitrate: number
  readonly lag: Distribution | undefined
  readonly spans: Readonly<Record<string, Distribution>>
  readonly joins: Distribution | undefined
  readonly acknowledgements: Distribution | undefined
  readonly gateways: readonly GatewayCost[]
  /** Seconds of the gateways' CPU for each 10^9 bits that viewers got. */
  readonly cpuPerGigabit: number | undefined
  /** Of this process, share of a core. */
  readonly ownCpu: number
  /** Connections that have ended and should not have: what with, how many. */
  readonly ends: Readonly<Record<string, number>>
}

export interface Measured {
  readonly seconds: number
  readonly broadcasts: number
  readonly gateways: readonly GatewayCost[]
  readonly ownCpu: number
}

export function reportOf(tally: Tally, options: LoadOptions, measured: Measured): LoadReport {
  const { seconds, gateways } = measured
  const bits = tally.deliveredBytes * 8
  const cpu = gateways.reduce((sum, each) => sum + each.cpu, 0) * seconds
  const spans = spanNames.flatMap(name => {
    const told = distribution(tally.spans[name])
    return told === undefined ? [] : [[name, told] as const]
  })
  return {
    ...measured,
    viewers: options.viewers,
    slow: options.slow,
    joined: tally.joined,
    sent: tally.sent,
    acknowledged: tally.acknowledged,
    heldBack: tally.heldBack,
    delivered: tally.delivered,
    skipped: tally.skipped,
    lost: tally.lost,
    bitrate: bits / seconds,
    lag: distribution(tally.lag),
    spans: Object.fromEntries(spans),
    joins: distribution(tally.joins),
    acknowledgements: distribution(tally.acks),
    cpuPerGigabit: gateways.length === 0 || bits === 0 ? undefined : cpu / (bits / 1e9),
    ends: Object.fromEntries(tally.ends),
  }
}

function distribution(histogram: Histogram): Distribution | undefined {
  if (histogram.count === 0) return undefined
  const at = (percentile: number): number => histogram.percentile(percentile) / 1000
  return { p50: at(50), p95: at(95), p99: at(99), max: histogram.max / 1000 }
}

/** Where a span ends, for readers. */
const spanWords: Readonly<Record<string, string>> = {
  sent: 'until sent',
  received: 'to the gateway',
  read: 'through the log',
  relayed: 'in the gateway',
  arrived: 'to the viewer',
}

/** @param clip that was sent; undefined where others send */
export function words(report: LoadReport, clip: Clip | undefined): string {
  const { ends } = report
  const rows: [string, string][] = [
    [
      'Load',
      `${report.seconds.toFixed(0)} s, ${count(report.broadcasts, 'broadcast')}${clip === undefined ? '' : ` of ${clipWords(clip)}`}, ` +
        `${count(report.viewers, 'viewer')}${report.slow > 0 ? `, ${report.slow} of them slow` : ''}, ${count(report.joined, 'join')}`,
    ],
  ]
  if (clip !== undefined)
    rows.push([
      'Sent',
      `${number(report.sent)} frames, ${number(report.acknowledged)} acknowledged${report.heldBack > 0 ? `, ${number(report.heldBack)} held back: the gateway did not take them` : ''}`,
    ])
  if (report.viewers > 0) rows.push(...deliveryRows(report))
  const times: [string, Distribution | undefined][] = [
    ['Lag', report.lag],
    ...Object.entries(report.spans).map(([name, told]): [string, Distribution] => [
      `  ${spanWords[name] ?? name}`,
      told,
    ]),
    ['Acknowledgement', report.acknowledgements],
    ['First frame', report.joins],
  ]
  for (const [name, told] of times) if (told !== undefined) rows.push([name, timeWords(told)])
  for (const { url, cpu, memory } of report.gateways)
    rows.push([
      'Gateway',
      `${percent(cpu)} of a core, ${(memory / 1024 ** 2).toFixed(0)} MiB at most (${url})`,
    ])
  if (report.cpuPerGigabit !== undefined)
    rows.push([
      '',
      `${report.cpuPerGigabit.toFixed(3)} s of CPU, all that it did, for each gigabit that the viewers got`,
    ])
  rows.push([
    'This program',
    `${percent(report.ownCpu)} of a core${report.ownCpu > busy ? ': it was busy itself, times and skipped frames may be its own' : ''}`,
  ])
  for (const [what, times] of Object.entries(ends)) rows.push(['Cut off', `${what}, ${count(times, 'time')}`])
  const width = Math.max(...rows.map(([name]) => name.length))
  return rows.map(([name, text]) => `${name.padEnd(width)}  ${text}\n`).join('')
}

function deliveryRows({ delivered, bitrate, skipped, viewers, slow, lost }: LoadReport): [string, string][] {
  return [
    [
      'Delivered',
      delivered === 0
        ? 'nothing: is the broadcast on air?'
        : `${number(delivered)} frames, ${(bitrate / 1e6).toFixed(1)} Mbit/s`,
    ],
    [
      'Skipped',
      `${number(skipped.quick)} frames by ${count(viewers - slow, 'quick viewer')}` +
        (slow > 0 ? `, ${number(skipped.slow)} by ${count(slow, 'slow one')}` : ''),
    ],
    ['Lost', `${number(lost)} frames`],
  ]
}

/** Share of a core from which on this program itself may be what is slow. */
const busy = 0.8

const timeWords = ({ p50, p95, p99, max }: Distribution): string =>
  `p50 ${p50.toFixed(1)}, p95 ${p95.toFixed(1)}, p99 ${p99.toFixed(1)}, at most ${max.toFixed(1)} ms`

function clipWords({ catalog, span, bytes }: Clip): string {
  const picture = catalog.tracks.find(({ kind }) => kind === 'video')
  const size = picture?.kind === 'video' ? `${picture.width}x${picture.height}, ` : ''
  return `${size}${((bytes * 8) / span).toFixed(2)} Mbit/s`
}

const percent = (share: number): string => `${(share * 100).toFixed(0)} %`
const number = (value: number): string => value.toLocaleString('en')
const count = (value: number, name: string): string => `${number(value)} ${name}${value === 1 ? '' : 's'}`
