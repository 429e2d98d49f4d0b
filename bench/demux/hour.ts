/**
 * What a demuxer holds at the start of a stream and after an hour of it: a process of its own, which prints JSON.
 * Arguments: the stream's name, seconds.
 */
import { AnyDemuxer } from '../../src/container/recognise.ts'
import { heldBytes } from '../../test/support/memory.ts'
import { type EndlessName, endless } from './endless.ts'

export interface Held {
  readonly frames: number
  readonly bytes: number
  /** Microseconds of the process for the whole stream, making it included. */
  readonly cpu: number
  /** Bytes, after the first minute and at the end. */
  readonly heap: readonly [number, number]
  readonly rss: readonly [number, number]
}

const [name, seconds] = process.argv.slice(2)
let frames = 0
let bytes = 0
let time = 0
const demuxer = new AnyDemuxer({
  onTracks() {},
  onFrame: ({ timestamp }) => {
    frames += 1
    time = timestamp
  },
})
let early: [number, number] | undefined
for (const piece of endless(name as EndlessName, Number(seconds))) {
  bytes += piece.byteLength
  demuxer.push(piece)
  if (early === undefined && time > 60_000_000) early = [heldBytes(), process.memoryUsage.rss()]
}
const { user, system } = process.cpuUsage()
const late = [heldBytes(), process.memoryUsage.rss()] as const
const [heap, rss] = early ?? late
process.stdout.write(
  JSON.stringify({
    frames,
    bytes,
    cpu: user + system,
    heap: [heap, late[0]],
    rss: [rss, late[1]],
  } satisfies Held),
)
