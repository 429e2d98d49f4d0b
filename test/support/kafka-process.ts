/**
 * One Apache Kafka broker as a process of its own, run from Kafka's published jars. The process dies with
 * whoever started it, however that ends.
 */
import { type ChildProcess, execFile, spawn } from 'node:child_process'
import { randomBytes, randomInt } from 'node:crypto'
import { existsSync } from 'node:fs'
import { mkdir, readdir, readFile, writeFile } from 'node:fs/promises'
import { createServer, type Server } from 'node:net'
import { join, resolve } from 'node:path'
import { createInterface } from 'node:readline'
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

/**
 * Below what the system gives to whoever asks for any: a port that it gave a moment ago it may give to the next connection out,
 * before a broker has begun to listen there.
 */
const ownPorts = { first: 10_240, last: 32_767 } as const

/** Different ports that were free a moment ago. */
export async function freePorts(count: number): Promise<number[]> {
  const ports = new Set<number>()
  while (ports.size < count) {
    const port = randomInt(ownPorts.first, ownPorts.last + 1)
    if ((await portInUse([port])) === undefined) ports.add(port)
  }
  return [...ports]
}

async function listenOn(port: number): Promise<Server> {
  const server = createServer()
  await new Promise<void>((done, fail) => server.once('error', fail).listen(port, '127.0.0.1', done))
  return server
}

/** The first of the ports that another program has. */
export async function portInUse(ports: readonly number[]): Promise<number | undefined> {
  for (const port of ports) {
    try {
      const server = await listenOn(port)
      await new Promise(done => server.close(done))
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code === 'EADDRINUSE') return port
      throw error
    }
  }
  return undefined
}

/** The cluster of which the brokers in these folders are. None where none of them has been formatted. */
export async function clusterIdOf(dirs: readonly string[]): Promise<string | undefined> {
  const ids = new Map<string, string>()
  for (const dir of dirs) {
    const file = metaFile(dataFolder(dir))
    if (!existsSync(file)) continue
    const id = /^cluster\.id=(.+)$/m.exec(await readFile(file, 'utf8'))?.[1]
    if (id === undefined) throw new Error(`${file} names no cluster: remove ${dir}`)
    ids.set(id, dir)
  }
  if (ids.size > 1)
    throw new Error(
      `${[...ids.values()].join(' and ')} are brokers of different clusters: remove all but one`,
    )
  return [...ids.keys()][0]
}

const dataFolder = (dir: string): string => join(dir, 'data')
const metaFile = (dataDir: string): string => join(dataDir, 'meta.properties')

const errorLine =
  /^(\[.+?\] (ERROR|FATAL) |Exception in thread |Caused by: |[\w$]+(\.[\w$]+)+(Exception|Error)\b)/
const linesTold = 10

/** Of what a broker printed before it ended, what says why: its first errors, each once; else its last lines. */
class Complaint {
  readonly #errors = new Set<string>()
  readonly #last: string[] = []

  add(line: string): void {
    if (errorLine.test(line) && this.#errors.size < linesTold)
      this.#errors.add(line.replace('Caused by: ', ''))
    if (line !== '' && this.#last.push(line) > linesTold) this.#last.shift()
  }

  toString(): string {
    return [...(this.#errors.size > 0 ? this.#errors : this.#last)].join('\n')
  }
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
    return dataFolder(this.#settings.dir)
  }

  /** Whether it believes to lead the controllers of its cluster. */
  async leadsControllers(): Promise<boolean> {
    const state = await readFile(join(this.dataDir, '__cluster_metadata-0', 'quorum-state'), 'utf8')
    return (JSON.parse(state) as { leaderId: number }).leaderId === this.id
  }

  /** Resolves when the broker serves clients; rejects with its errors where it ends before. */
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
    const complaint = new Complaint()
    const started = Promise.withResolvers<void>()
    for (const input of [child.stdout, child.stderr]) {
      createInterface({ input }).on('line', line => {
        if (startedLine.test(line)) started.resolve()
        complaint.add(line)
      })
    }
    this.#exited = new Promise<void>(done => {
      child.once('error', error => {
        complaint.add(error.message)
        done()
      })
      // Its output has ended too.
      child.once('close', () => done())
    }).then(() => {
      watchdog.kill('SIGKILL')
      if (this.#child === child) this.#child = undefined
      started.reject(new Error(`broker ${this.id} ended while it started:\n${complaint}`))
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
    const meta = metaFile(this.dataDir)
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
