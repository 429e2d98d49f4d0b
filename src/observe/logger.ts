/** Log lines: JSON on standard error, or readable where that is a terminal. */
import { type Logger, pino } from 'pino'

export type { Logger }

export const logLevels = ['trace', 'debug', 'info', 'warn', 'error', 'fatal', 'silent'] as const
export type LogLevel = (typeof logLevels)[number]

const colours: Readonly<Record<string, string>> = {
  warn: '\u001b[33m',
  error: '\u001b[31m',
  fatal: '\u001b[31m',
}

export function createLogger(level: LogLevel): Logger {
  const options = { level, base: null, formatters: { level: (label: string) => ({ level: label }) } }
  if (!process.stderr.isTTY)
    return pino({ ...options, timestamp: pino.stdTimeFunctions.isoTime }, pino.destination(2))
  return pino(options, { write: line => process.stderr.write(readable(line)) })
}

function readable(line: string): string {
  const { level, time, msg, ...rest } = JSON.parse(line) as Record<string, unknown>
  const clock = new Date(Number(time)).toISOString().slice(11, 23)
  const fields = Object.entries(rest).map(
    ([name, value]) => `${name}=${typeof value === 'string' ? value : JSON.stringify(value)}`,
  )
  return `${clock} ${colours[String(level)] ?? ''}${String(level).padEnd(5)}\u001b[0m ${String(msg)} ${fields.join(' ')}\n`
}
