/** The command line. */
import cluster from 'node:cluster'
import { Command } from 'commander'
import { FramelogError, toFramelogError } from '../errors.ts'
import type { ClipFlags } from './clip.ts'
import { list } from './list.ts'
import type { LoadFlags } from './load/options.ts'
import type { PublishFlags } from './publish.ts'
import { serve } from './serve.ts'
import { version } from './version.ts'
import type { WatchOptions } from './watch.ts'

const defaultUrl = process.env.FRAMELOG_URL ?? 'http://127.0.0.1:8080'

const program = new Command('framelog')
  .description('Live video on Kafka: every encoded frame is a record.')
  .version(version().version)

program
  .command('serve')
  .description('Start a gateway. It is configured by environment variables; see docs/configuration.md.')
  .action(serve)

program
  .command('list')
  .description('List the broadcasts that a gateway knows.')
  .option('--url <url>', 'address of the gateway', defaultUrl)
  .option('--json', 'print JSON, one broadcast a line')
  .action(list)

program
  .command('watch')
  .description('Write a broadcast into a file that players open, or to the standard output.')
  .argument('<id>', 'of the broadcast; one that has not begun is waited for')
  .requiredOption('-o, --output <file>', 'a .webm, .mkv or .mp4 file, or - for the standard output')
  .option(
    '--from <position>',
    'live (of one that is over: all of it), start, a span such as -30s, an ISO time, or @ and an offset',
    'live',
  )
  .option('--duration <span>', 'how much of it, such as 10s or 5m (default: until it ends)')
  .option('--format <format>', 'webm, mkv or mp4, whatever the name of the file (default for -: mkv)')
  .option('--force', 'write over a file that is there already')
  .option('--url <url>', 'address of the gateway', defaultUrl)
  .action(async (id: string, options: WatchOptions) => {
    // The container library is larger than all of this: the other commands start without it.
    const { watch } = await import('./watch.ts')
    await watch(id, options)
  })

program
  .command('publish')
  .description('Send a file, a stream or a camera into a broadcast.')
  .argument('<id>', 'of the broadcast')
  .argument(
    '<source>',
    'a file, - for the standard input, or an address that an installed ffmpeg reads, as rtsp://…',
  )
  .option('--title <title>', 'what it is called, for people')
  .option('--loop', 'again and again, until it is stopped')
  .option('--rate <number>', 'how fast a file is sent: 1 as it plays, or max', '1')
  .option('--transcode', 'let ffmpeg encode the picture anew, as H.264')
  .option('--url <url>', 'address of the gateway', defaultUrl)
  .action(async (id: string, source: string, options: PublishFlags) => {
    const { publish } = await import('./publish.ts')
    await publish(id, source, options)
  })

program
  .command('clip')
  .description(
    'Write what is kept of a broadcast between two positions into a file, with index and duration.',
  )
  .argument('<id>', 'of the broadcast')
  .requiredOption('-o, --output <file>', 'an .mp4 or .webm file, or - for the standard output')
  .option('--from <position>', 'start, a span such as -30s, an ISO time, or @ and an offset', 'start')
  .option('--to <position>', 'the same (default: all that is there)')
  .option('--exact', 'begin there, and not with the keyframe before (.mp4)')
  .option('--format <format>', 'mp4 or webm, whatever the name of the file (default for -: mp4)')
  .option('--force', 'write over a file that is there already')
  .option('--url <url>', 'address of the gateway', defaultUrl)
  .action(async (id: string, options: ClipFlags) => {
    const { clip } = await import('./clip.ts')
    await clip(id, options)
  })

program
  .command('load')
  .description('Put virtual publishers and viewers on a gateway, and tell what became of every frame.')
  .argument('[id...]', 'broadcasts to watch; without any, it publishes its own, and deletes them at the end')
  .option('--publishers <number>', 'broadcasts that it publishes', '1')
  .option('--viewers <number>', 'viewers of them all', '10')
  .option('--slow <number>', 'how many of the viewers take a tenth of what comes', '0')
  .option('--stay <span>', 'viewers come and go, and stay so long on average (default: to the end)')
  .option('--duration <span>', 'how long it measures', '30s')
  .option('--delivery <how>', 'what viewers ask for: prompt (lowest lag) or gathered (lowest cost)')
  .option('--warm-up <span>', 'how long all are there before', '3s')
  .option('--pace <number>', 'viewers that join in a second', '200')
  .option(
    '--file <file>',
    'WebM or fragmented MP4 to publish over and over (default: 2 s of 640x360, 1.5 Mbit/s)',
  )
  .option('--json', 'print the report as JSON')
  .option('--url <url...>', 'addresses of gateways of one log; clients go to each in turn', [defaultUrl])
  .action(async (ids: string[], options: LoadFlags) => {
    const { load } = await import('./load.ts')
    await load(ids, options)
  })

// Whoever handed over to this process (bin/framelog.js) is gone: it stops as if told to.
if (process.channel !== undefined && cluster.isPrimary) {
  process.once('disconnect', () => process.kill(process.pid, 'SIGTERM'))
  process.channel?.unref()
}

program.parseAsync().catch((error: unknown) => {
  const coded = toFramelogError(error)
  process.stderr.write(`framelog: ${coded.toLine()}\n`)
  if (!(error instanceof FramelogError))
    process.stderr.write(`${error instanceof Error ? error.stack : ''}\n`)
  process.exit(1)
})
