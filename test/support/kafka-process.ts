/**
 * One Apache Kafka broker as a process of its own, run from Kafka's published jars. The process dies with
 * whoever started it, however that ends.
 */
import { type ChildProcess, execFile, spawn } from 'node:child_process'
import { randomBytes } from 'node:crypto'
import { existsSync } from 'node:fs'
import { mkdir, readdir, writeFile } from 'node:fs/promises'
import { createServer } from 'node:net'
import { join, resolve } from 'node:path'
import { promisify } from 'node:util'

const run = promisify(execFile)
const home = resolve(import.meta.dirname, '../../tools/kafka')
const libs = join(home, 'libs')

/** What a broker prints once it is registered, caught up and serves clients. */
const startedLine = /Kafka Server started/

export interface BrokerSettings {
  readonly id: number
  readonly dir: string
  /** Lines of `server.properties`. */
  readonly properties: Readonly<Record<string, string | number>>
  readonly clusterId: string
  /** Arguments of the storage tool, such as users. */
  readonly formatArguments?: readonly string[]
  /** Starts at half the cost and runs slower: for tests. */
  readonly quick?: boolean
}

const quickJvm = ['-XX:TieredStopAtLevel=1', '-XX:+UseSerialGC']

/** Fetches the jars once. @throws Error in one line that says which program is missing */
export async function kafkaJars(): Promise<void> {
  await need('java', '-version', 'A Kafka broker needs Java 17 or newer')
  const present = existsSync(libs) ? await readdir(libs) : []
  if (present.some(file => file.startsWith('kafka-tools-')) && present.includes('slf4j-simple-1.7.36.jar'))
    return
  await need('mvn', '-version', "Kafka's jars come by Maven")
  await run('mvn', [
    '-q',
    '-B',
    '-f',
    join(home, 'pom.xml'),
    'dependency:copy-dependencies',
    '-DoutputDirectory=libs',
  ])
}

async function need(program: string, argument: string, why: string): Promise<void> {
  try {
    await run(program, [argument])
  } catch (cause) {
    throw new Error(`${why}: install it so that \`${program}\` is found on PATH`, { cause })
  }
}

/** A port that was free a moment ago. */
export const freePort = async (): Promise<number> => (await freePorts(1))[0] as number

/** Different ports that were free a moment ago. */
export async function freePorts(count: number): Promise<number[]> {
  const servers = await Promise.all(
    Array.from({ length: count }, async () => {
      const server = createServer()
      await new Promise<void>((done, fail) => server.once('error', fail).listen(0, '127.0.0.1', done))
      return server
    }),
  )
  return Promise.all(
    servers.map(async server => {
      const address = server.address()
      await new Promise(done => server.close(done))
      if (address === null || typeof address === 'string') throw new Error('the server has no port')
      return address.port
    }),
  )
}

export class KafkaProcess {
  readonly #settings: BrokerSettings
  #child: ChildProcess | undefined
  #exited: Promise<void> = Promise.resolve()

  constructor(settings: BrokerSettings) {
    this.#settings = settings
  }

  get id(): number {
    return this.#settings.id
  }

  /** Folder with a folder for each partition. */
  get dataDir(): string {
    return join(this.#settings.dir, 'data')
  }

  /** Resolves when the broker serves clients; rejects with its last lines where it ends before. */
  async start(): Promise<void> {
    if (this.#child) return
    await this.#format()
    const child = spawn(
      'java',
      [
        '-Xmx512m',
        '-Xms256m',
        ...(this.#settings.quick ? quickJvm : []),
        '-Dorg.slf4j.simpleLogger.logFile=System.out',
        '-cp',
        join(libs, '*'),
        'kafka.Kafka',
        this.#file,
      ],
      { stdio: ['ignore', 'pipe', 'pipe'] },
    )
    this.#child = child
    const watchdog = this.#watch(child)
    const last: string[] = []
    const started = Promise.withResolvers<void>()
    let rest = ''
    for (const stream of [child.stdout, child.stderr]) {
      stream?.setEncoding('utf8').on('data', (text: string) => {
        const lines = (rest + text).split('\n')
        rest = lines.pop() ?? ''
        for (const line of lines) {
          if (startedLine.test(line)) started.resolve()
          if (last.push(line) > 40) last.shift()
        }
      })
    }
    this.#exited = new Promise<void>(done => {
      child.once('error', error => {
        last.push(error.message)
        done()
      })
      child.once('exit', () => done())
    }).then(() => {
      watchdog.kill('SIGKILL')
      if (this.#child === child) this.#child = undefined
      started.reject(new Error(`broker ${this.id} ended while it started:\n${last.join('\n')}`))
    })
    await started.promise
  }

  /** Ends it in good order. */
  async stop(): Promise<void> {
    this.#child?.kill('SIGTERM')
    await this.#exited
  }

  /** Ends it as a power cut would, for its clients. */
  async kill(): Promise<void> {
    this.#child?.kill('SIGKILL')
    await this.#exited
  }

  /** It runs no more, and its connections stay open. */
  pause(): void {
    this.#child?.kill('SIGSTOP')
  }

  resume(): void {
    this.#child?.kill('SIGCONT')
  }

  get #file(): string {
    return join(this.#settings.dir, 'server.properties')
  }

  async #format(): Promise<void> {
    const { dir, properties, clusterId, formatArguments = [] } = this.#settings
    await mkdir(dir, { recursive: true })
    const lines = Object.entries({ ...properties, 'log.dirs': this.dataDir })
    await writeFile(this.#file, lines.map(([name, value]) => `${name}=${value}\n`).join(''))
    const meta = join(this.dataDir, 'meta.properties')
    if (existsSync(meta)) return
    if (formatArguments.length === 0) {
      // What the storage tool writes where there are no users to make, without a JVM's start.
      const directory = randomBytes(16)
      directory.writeUInt8(directory.readUInt8(0) & 0x7f, 0)
      const lines = {
        version: 1,
        'cluster.id': clusterId,
        'node.id': this.id,
        'directory.id': directory.toString('base64url'),
      }
      await mkdir(this.dataDir, { recursive: true })
      await writeFile(
        meta,
        Object.entries(lines)
          .map(([name, value]) => `${name}=${value}\n`)
          .join(''),
      )
      return
    }
    const tool = ['-cp', join(libs, '*'), 'kafka.tools.StorageTool', 'format']
    await run('java', [...tool, '-t', clusterId, '-c', this.#file, ...formatArguments])
  }

  /** A shell that waits on a pipe from this process, which closes also where this process is killed. */
  #watch(child: ChildProcess): ChildProcess {
    const watchdog = spawn('/bin/sh', ['-c', `cat >/dev/null; kill -9 ${child.pid}`], {
      stdio: ['pipe', 'ignore', 'ignore'],
      detached: true,
    })
    watchdog.on('error', () => child.kill('SIGKILL'))
    watchdog.stdin?.on('error', () => {})
    return watchdog
  }
}
