/**
 * `WORKERS`: gateways behind one port, each a process of its own that reads the log for what its own viewers watch. This process
 * starts them, hands them connections in turn (node:cluster), and starts another where one has ended.
 */
import cluster, { type Worker } from 'node:cluster'
import { AggregatorRegistry, type Registry } from 'prom-client'
import { backOff } from '../core/back-off.ts'
import { FramelogError } from '../errors.ts'
import type { Logger } from '../observe/logger.ts'

export const workerLimits = {
  /** Milliseconds after which a worker that ends is not one that could not start. */
  settled: 10_000,
  /** Milliseconds that all have to tell their metrics. */
  metrics: 6000,
} as const

/** From a worker that is asked for metrics to this process, and back. */
interface MetricsMessage {
  readonly type: 'framelog:metrics'
  readonly id: number
  readonly text?: string
}

/** To the first worker: all are there. */
const complete = 'framelog:complete'

/** Where the first worker ends before it listens, so does this process, with its exit code: all settings are that one's to complain of. */
export async function startWorkers(count: number, log: Logger): Promise<void> {
  const registry = new AggregatorRegistry()
  cluster.on('message', (worker: Worker, message: MetricsMessage) => {
    if (message.type !== 'framelog:metrics') return
    registry.clusterMetrics().then(
      text => worker.isConnected() && worker.send({ ...message, text }),
      (error: Error) => log.warn({ reason: error.message }, 'the workers did not tell their metrics'),
    )
  })
  const workers = new Workers(log)
  const first = await workers.startFirst()
  await Promise.all(Array.from({ length: count - 1 }, () => workers.start()))
  if (first.isConnected()) first.send(complete)
}

/** Of a worker: calls one of them all, once, when all are there. */
export function whenComplete(call: () => void): void {
  if (cluster.isWorker) process.on('message', message => message === complete && call())
  else call()
}

class Workers {
  readonly #log: Logger
  /** Those that ended before they had settled, in a row. */
  #failures = 0
  #isStopping = false
  #exitCode = 0

  constructor(log: Logger) {
    this.#log = log
    for (const signal of ['SIGTERM', 'SIGINT', 'SIGHUP'] as const)
      process.on(signal, () => this.#stop(signal))
  }

  async startFirst(): Promise<Worker> {
    const worker = cluster.fork()
    const code = await new Promise<number | undefined>(resolve => {
      worker.once('listening', () => resolve(undefined))
      worker.once('exit', code => resolve(code ?? 1))
    })
    if (code !== undefined) process.exit(code)
    this.#watch(worker)
    return worker
  }

  /** Resolves when it listens, or has ended: then another one takes its place. */
  async start(): Promise<void> {
    if (this.#isStopping) return
    const worker = cluster.fork()
    this.#watch(worker)
    await new Promise<void>(resolve => {
      worker.once('listening', () => resolve())
      worker.once('exit', () => resolve())
    })
  }

  #watch(worker: Worker): void {
    const since = performance.now()
    worker.once('exit', (code, signal) => {
      if (this.#isStopping) {
        this.#exitCode = Math.max(this.#exitCode, code ?? 1)
        this.#exitIfLast()
        return
      }
      this.#failures = performance.now() - since < workerLimits.settled ? this.#failures + 1 : 0
      const { pid } = worker.process
      this.#log.error({ worker: pid, code, signal }, 'a worker has ended; another one takes its place')
      // At once, unless they keep ending.
      setTimeout(() => void this.start(), this.#failures === 0 ? 0 : backOff(this.#failures, Math.random()))
    })
  }

  #stop(signal: NodeJS.Signals): void {
    this.#isStopping = true
    // A terminal tells them too: whoever stops already goes on with that.
    for (const worker of all()) worker.process.kill(signal === 'SIGHUP' ? 'SIGTERM' : signal)
    this.#exitIfLast()
  }

  #exitIfLast(): void {
    if (all().every(worker => worker.isDead())) process.exit(this.#exitCode)
  }
}

const all = (): Worker[] => Object.values(cluster.workers ?? {}).filter(worker => worker !== undefined)

/** Of a worker: the metrics of all of them, whichever was asked. */
export function metricsOfAll(registry: Registry): () => Promise<string> {
  AggregatorRegistry.setRegistries(registry)
  // Answers when it is asked for its own.
  new AggregatorRegistry()
  const waiting = new Map<number, (text: string) => void>()
  process.on('message', ({ type, id, text }: MetricsMessage) => {
    if (type === 'framelog:metrics' && text !== undefined) waiting.get(id)?.(text)
  })
  let last = 0
  return async () => {
    const id = ++last
    const { promise, resolve, reject } = Promise.withResolvers<string>()
    const timer = setTimeout(() => {
      reject(
        new FramelogError('INTERNAL', `The workers told no metrics within ${workerLimits.metrics / 1000} s`),
      )
    }, workerLimits.metrics)
    waiting.set(id, resolve)
    process.send?.({ type: 'framelog:metrics', id } satisfies MetricsMessage)
    try {
      return await promise
    } finally {
      clearTimeout(timer)
      waiting.delete(id)
    }
  }
}
