/** The command line. */
import { Command } from 'commander'
import { FramelogError, toFramelogError } from '../errors.ts'
import { list } from './list.ts'
import { serve } from './serve.ts'
import { version } from './version.ts'

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
  .option('--url <url>', 'address of the gateway', process.env.FRAMELOG_URL ?? 'http://127.0.0.1:8080')
  .option('--json', 'print JSON, one broadcast a line')
  .action(list)

program.parseAsync().catch((error: unknown) => {
  const coded = toFramelogError(error)
  process.stderr.write(`framelog: ${coded.toLine()}\n`)
  if (!(error instanceof FramelogError))
    process.stderr.write(`${error instanceof Error ? error.stack : ''}\n`)
  process.exit(1)
})
