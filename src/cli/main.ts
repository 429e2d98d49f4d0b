/** The command line. */
import { Command } from 'commander'
import { FramelogError, toFramelogError } from '../errors.ts'
import { list } from './list.ts'
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

// Whoever handed over to this process (bin/framelog.js) is gone: it stops as if told to.
if (process.channel !== undefined) {
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
