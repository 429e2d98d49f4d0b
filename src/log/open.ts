/** Opens the log that the settings name: Kafka where there are bootstrap servers, else the embedded one. */
import type { EmbeddedLogOptions } from './embedded/embedded-log.ts'
import type { KafkaLogOptions } from './kafka/kafka-log.ts'
import type { Log } from './log.ts'

export type LogOptions =
  | ({ readonly backend: 'kafka' } & KafkaLogOptions)
  | ({ readonly backend: 'embedded' } & EmbeddedLogOptions)

/** Registers what a backend needs of the process; to be called once, by the program. */
export async function guardProcess(options: LogOptions): Promise<void> {
  if (options.backend !== 'embedded') return
  const { isCommitEcho } = await import('./embedded/embedded-log.ts')
  process.on('unhandledRejection', reason => {
    if (!isCommitEcho(reason)) throw reason
  })
}

/**
 * A backend is loaded when it is chosen: neither waits for the other's libraries.
 * @throws FramelogError LOG_UNREACHABLE, LOG_AUTHENTICATION, LOG_TLS, LOG_FULL, DATA_DIR_UNUSABLE
 */
export async function openLog(options: LogOptions): Promise<Log> {
  if (options.backend === 'kafka') {
    const { openKafkaLog } = await import('./kafka/kafka-log.ts')
    return openKafkaLog(options)
  }
  const { openEmbeddedLog } = await import('./embedded/embedded-log.ts')
  return openEmbeddedLog(options)
}
