/**
 * Three network namespaces: this process's own is the middle, where gateway and log are; the publisher's and the viewer's
 * reach it, and through it each other, over an emulated link each. All of them end with this process, however it ends.
 */
import { type ChildProcess, execFile, spawn } from 'node:child_process'
import { once } from 'node:events'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { promisify } from 'node:util'
import { type Condition, directionsOf } from './conditions.ts'

export const ends = ['publisher', 'viewer'] as const
export type End = (typeof ends)[number]

/** The gateway's address: of the middle, and of neither link. */
export const middle = '10.77.0.1'
export const addressOf = (end: End): string => `10.77.${ends.indexOf(end) + 1}.2`

interface DirectionReport {
  readonly packets: number
  /** Of the packets that arrived. */
  readonly bytes: number
  readonly lost: number
  /** For want of room before a slow link. */
  readonly dropped: number
  /** For want of room in the relay: these are the bench's own. */
  readonly overflowed: number
}

export interface LinksReport {
  /** Share of one processor that the relay took. */
  readonly busy: number
  /** By how much it let packets out after their time, milliseconds. */
  readonly late: { readonly p50: number; readonly p99: number; readonly max: number }
  readonly directions: readonly DirectionReport[]
}

/** Of the pages' machines, whose TCP nobody here chooses: what most systems have. */
const pagesCongestion = 'cubic'

const run = promisify(execFile)

export class Links implements AsyncDisposable {
  readonly #resources: AsyncDisposableStack
  readonly #holders: ReadonlyMap<End, number>
  readonly #relay: ChildProcess
  readonly #answers: AsyncIterator<string>

  private constructor(
    resources: AsyncDisposableStack,
    holders: ReadonlyMap<End, number>,
    relay: ChildProcess,
    answers: AsyncIterator<string>,
  ) {
    this.#resources = resources
    this.#holders = holders
    this.#relay = relay
    this.#answers = answers
  }

  /**
   * @param congestion what the middle's TCP goes by: `cubic`, `bbr`, as the kernel has it
   * @param sysctls further settings of the middle's kernel
   */
  static async open(congestion: string, sysctls: readonly string[] = []): Promise<Links> {
    await using resources = new AsyncDisposableStack()
    const holders = new Map<End, number>()
    for (const end of ends) {
      // `cat` ends with its input, which is this process's.
      const holder = start(resources, 'unshare', ['--net', 'sh', '-c', 'echo; exec cat'])
      await nextLine(linesOf(holder), 'a network namespace')
      holders.set(end, holder.pid ?? 0)
    }
    const pairs = ends.map(end => `${end}:${end}-far`)
    const relay = start(resources, 'python3', [join(import.meta.dirname, 'relay.py'), ...pairs])
    const answers = linesOf(relay)
    await nextLine(answers, 'the relay')
    await ip('link', 'set', 'lo', 'up')
    await ip('address', 'add', `${middle}/32`, 'dev', 'lo')
    await run('sysctl', ['-qw', 'net.ipv4.ip_forward=1', 'net.ipv4.tcp_no_metrics_save=1', ...sysctls])
    for (const [end, pid] of holders) await connect(end, pid, congestion)
    const links = new Links(resources.move(), holders, relay, answers)
    // What came before the devices were up counts for nothing.
    await links.report()
    return links
  }

  /** @returns what a program is started by, to be at this end */
  at(end: End): readonly [command: string, argument: string] {
    return enter(this.#holders.get(end) ?? 0)
  }

  /** @param seed decides what is lost, and how late what is not */
  async set(condition: Condition, seed: number): Promise<void> {
    await this.#ask({ set: directionsOf(condition, seed) })
  }

  /** What happened since the last report. */
  async report(): Promise<LinksReport> {
    return (await this.#ask({ report: true })) as LinksReport
  }

  async #ask(command: object): Promise<unknown> {
    this.#relay.stdin?.write(`${JSON.stringify(command)}\n`)
    return JSON.parse(await nextLine(this.#answers, 'the relay'))
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.#resources.disposeAsync()
  }
}

/** Ends a link's far device in its namespace, where everything else is behind the middle. */
async function connect(end: End, pid: number, congestion: string): Promise<void> {
  const near = `10.77.${ends.indexOf(end) + 1}.1`
  const far = addressOf(end)
  await ip('address', 'add', near, 'peer', far, 'dev', end)
  await ip('link', 'set', end, 'up')
  // By the route, since a namespace may not be allowed to choose for all of its sockets.
  await ip('route', 'replace', far, 'dev', end, 'congctl', congestion)
  await ip('link', 'set', `${end}-far`, 'netns', String(pid), 'name', 'eth0')
  const [command, ...there] = enter(pid)
  const inside = (...args: string[]): Promise<unknown> => run(command, [...there, ...args])
  await inside('sysctl', '-qw', 'net.ipv6.conf.all.disable_ipv6=1', 'net.ipv4.tcp_no_metrics_save=1')
  await inside('ip', 'link', 'set', 'lo', 'up')
  await inside('ip', 'address', 'add', far, 'peer', near, 'dev', 'eth0')
  await inside('ip', 'link', 'set', 'eth0', 'up')
  await inside('ip', 'route', 'add', 'default', 'via', near, 'congctl', pagesCongestion)
}

const enter = (pid: number) => ['nsenter', `--net=/proc/${pid}/ns/net`] as const

const ip = (...args: string[]): Promise<unknown> => run('ip', args)

/** A program that ends when its input does. */
function start(resources: AsyncDisposableStack, command: string, args: readonly string[]): ChildProcess {
  const child = spawn(command, args, { stdio: ['pipe', 'pipe', 'inherit'] })
  resources.defer(async () => {
    child.stdin?.end()
    if (child.exitCode === null && child.signalCode === null) await once(child, 'exit')
  })
  return child
}

function linesOf({ stdout }: ChildProcess): AsyncIterator<string> {
  if (stdout === null) throw new Error('a program without an output')
  return createInterface({ input: stdout })[Symbol.asyncIterator]()
}

async function nextLine(lines: AsyncIterator<string>, what: string): Promise<string> {
  const { value, done } = await lines.next()
  if (done === true) throw new Error(`${what} has ended`)
  return value
}
