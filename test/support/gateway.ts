/** A gateway in a process of its own, as a user starts it; killed with the test. */
import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { Readable } from 'node:stream'

const root = join(import.meta.dirname, '..', '..')
const bin = join(root, 'bin', 'framelog.js')

/** What the command runs Node with: the first line of its file says it. */
const nodeFlags: readonly string[] = (readFileSync(bin, 'utf8').split('\n', 1)[0] ?? '')
  .split(' ')
  .filter(word => word.startsWith('--'))

export interface RunningGateway extends AsyncDisposable {
  readonly http: string
  readonly ws: string
  readonly port: number
  /** Undefined where it takes no RTMP. */
  readonly rtmp: string | undefined
  readonly pid: number
  /** What it wrote so far, both streams. */
  readonly output: () => string
  /** Resolves when that has matched. */
  said(pattern: RegExp): Promise<void>
  kill(signal?: NodeJS.Signals): Promise<void>
}

const rtmpLine = /publish to (rtmp:\/\/\S+)\/ID/

export type Environment = Readonly<Record<string, string>>

/** Runs `framelog serve` until it prints its address. @throws with its output where it ends before */
export async function startGateway(env: Environment = {}): Promise<RunningGateway> {
  const needsFolder = env.DATA_DIR === undefined && env.BOOTSTRAP_SERVERS === undefined
  const folder = needsFolder ? mkdtempSync(join(tmpdir(), 'framelog-data-')) : undefined
  const child = spawnGateway({
    HTTP_PORT: '0',
    LOG_LEVEL: 'info',
    ...(folder ? { DATA_DIR: folder } : {}),
    ...env,
  })
  let output = ''
  const hasRtmp = env.RTMP_PORT !== undefined
  const port = await new Promise<number>((resolve, reject) => {
    const onData = (data: Buffer): void => {
      output += data
      const match = /Framelog is at https?:\/\/[^/]*:(\d+)\//.exec(output)
      if (match && (!hasRtmp || rtmpLine.test(output))) resolve(Number(match[1]))
    }
    child.stdout?.on('data', onData)
    child.stderr?.on('data', onData)
    child.once('exit', code => reject(new Error(`the gateway ended with ${code}:\n${output}`)))
  })
  const scheme = env.TLS_KEY === undefined ? 'http' : 'https'
  const kill = async (signal: NodeJS.Signals = 'SIGKILL'): Promise<void> => {
    if (child.exitCode !== null || child.signalCode !== null) return
    child.kill(signal)
    await once(child, 'exit')
  }
  return {
    http: `${scheme}://127.0.0.1:${port}`,
    ws: `${scheme.replace('http', 'ws')}://127.0.0.1:${port}`,
    port,
    rtmp: rtmpLine.exec(output)?.[1],
    pid: child.pid ?? 0,
    output: () => output,
    async said(pattern) {
      while (!pattern.test(output))
        await Promise.race([once(child.stdout as Readable, 'data'), once(child.stderr as Readable, 'data')])
    },
    kill,
    async [Symbol.asyncDispose]() {
      await kill()
      if (folder) rmSync(folder, { recursive: true, force: true })
    },
  }
}

/** What `/metrics` tells. @throws where it has no such metric */
export async function metricOf({ http }: RunningGateway, name: string): Promise<number> {
  const text = await (await fetch(`${http}/metrics`)).text()
  const [, value] = new RegExp(`^${name} (\\S+)$`, 'm').exec(text) ?? []
  if (value === undefined) throw new Error(`no ${name} in ${text}`)
  return Number(value)
}

/** Runs `framelog serve` to its end, for settings that cannot work. */
export async function failGateway(env: Environment): Promise<{ code: number; output: string }> {
  const child = spawnGateway({ HTTP_PORT: '0', ...env })
  let output = ''
  child.stdout?.on('data', data => (output += data))
  child.stderr?.on('data', data => (output += data))
  const [code] = (await once(child, 'exit')) as [number]
  return { code, output }
}

function spawnGateway(env: Environment): ChildProcess {
  const inherited = Object.fromEntries(['PATH', 'HOME', 'TMPDIR'].map(name => [name, process.env[name]]))
  const child = spawn(process.execPath, [...nodeFlags, bin, 'serve'], {
    env: { ...inherited, ...env },
    stdio: ['ignore', 'pipe', 'pipe'],
  })
  const end = (): void => void child.kill('SIGKILL')
  process.once('exit', end)
  child.once('exit', () => process.removeListener('exit', end))
  return child
}
