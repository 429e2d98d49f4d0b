import { startWarmBrokers } from '../log/warm-up.ts'
import type { LogName } from './settings.ts'

/** @returns where they are, once they are warm; undefined for a log that has none */
export async function startBrokersOf(
  log: LogName,
  resources: AsyncDisposableStack,
): Promise<string | undefined> {
  if (log === 'embedded') return undefined
  const kafka = resources.use(await startWarmBrokers(log === 'kafka' ? 1 : 3, ['bare']))
  return kafka.bootstrapServers
}
