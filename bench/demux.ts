/**
 * What it costs to take frames out of a container, how long after its last byte one comes out, and what is held after
 * an hour. mediabunny reads the same pieces in the same run. DEMUX_SECONDS (3600) is the length of the stream.
 */
import { spawnSync } from 'node:child_process'
import { join } from 'node:path'
import { AnyDemuxer } from '../src/container/recognise.ts'
import { delaysOfMediabunny, know, ourDelays } from './demux/delays.ts'
import { type EndlessName, endless, endlessStreams } from './demux/endless.ts'
import type { Held } from './demux/hour.ts'

const seconds = Number(process.env.DEMUX_SECONDS ?? 3600)
const names = Object.keys(endlessStreams) as EndlessName[]

const quantile = (sorted: readonly number[], part: number): number =>
  sorted[Math.min(sorted.length - 1, Math.floor(part * sorted.length))] ?? Number.NaN
const figures = (values: readonly number[], digits: number): string => {
  const sorted = values.toSorted((a, b) => a - b)
  return [0.5, 0.99, 1].map(part => quantile(sorted, part).toFixed(digits)).join(' / ')
}
const mebibytes = (bytes: number): string => (bytes / 1024 / 1024).toFixed(1)

/** Microseconds for each frame of a minute: of the pushes that brought its bytes. */
function costsOnce(name: EndlessName): number[] {
  const found: number[] = []
  let frames = 0
  let spent = 0
  const demuxer = new AnyDemuxer({
    onTracks() {},
    onFrame: () => {
      frames += 1
    },
  })
  for (const piece of endless(name, 60)) {
    const begin = performance.now()
    demuxer.push(piece)
    spent += performance.now() - begin
    if (frames === 0) continue
    for (let i = 0; i < frames; i++) found.push((spent * 1000) / frames)
    frames = 0
    spent = 0
  }
  return found
}

/** The least of several runs, frame by frame: what else the machine does adds to one or the other. */
function costs(name: EndlessName): number[] {
  costsOnce(name)
  const runs = Array.from({ length: 7 }, () => costsOnce(name))
  return (runs[0] ?? []).map((_, frame) => Math.min(...runs.map(run => run[frame] ?? Number.NaN)))
}

function held(name: EndlessName): Held {
  const args = [join(import.meta.dirname, 'demux', 'hour.ts'), name, String(seconds)]
  const { status, stdout, stderr } = spawnSync(process.execPath, args, { encoding: 'utf8' })
  if (status !== 0) throw new Error(stderr)
  return JSON.parse(stdout) as Held
}

console.log(
  '\n| input | time of a frame, µs, p50 / p99 / max | delay, pieces | delay, ms of media | mediabunny, pieces | mediabunny, ms of media |',
)
console.log('|---|---|---|---|---|---|')
for (const name of names) {
  const cost = costs(name)
  const known = know([...endless(name, 30)])
  const ours = ourDelays(known)
  const theirs = await delaysOfMediabunny(known)
  const row = [
    name,
    figures(cost, 1),
    figures(ours.pieces, 0),
    figures(ours.media, 0),
    figures(theirs.pieces, 0),
    figures(theirs.media, 0),
  ]
  console.log(`| ${row.join(' | ')} |`)
}

console.log(
  `\n| input, ${seconds} s of media | frames | CPU of a frame and its making, µs | MiB read | heap after a minute, MiB | at the end | RSS after a minute | at the end |`,
)
console.log('|---|---|---|---|---|---|---|---|')
for (const name of names) {
  const { frames, cpu, bytes, heap, rss } = held(name)
  const row = [name, frames, (cpu / frames).toFixed(1), ...[bytes, ...heap, ...rss].map(mebibytes)]
  console.log(`| ${row.join(' | ')} |`)
}
