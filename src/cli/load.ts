/** `framelog load`: virtual publishers and viewers of gateways, and what became of every frame. */
import { randomBytes } from 'node:crypto'
import { setTimeout as pause } from 'node:timers/promises'
import { FramelogError } from '../errors.ts'
import { broadcastsOf } from './list.ts'
import { type Clip, readClip } from './load/clip.ts'
import { type LoadFlags, type LoadOptions, loadOptions } from './load/options.ts'
import { VirtualPublisher } from './load/publisher.ts'
import { type GatewayCost, reportOf, words } from './load/report.ts'
import { Tally } from './load/tally.ts'
import { type Cost, Target } from './load/target.ts'
import { VirtualViewer } from './load/viewer.ts'
import { Progress } from './progress.ts'
import { stopSignals } from './signals.ts'

/** Of what a broadcast gives, how much a slow viewer takes. */
const slowShare = 0.1
/** Milliseconds that publishers have to be on air, and then viewers to get their first frame. */
const patience = 10_000

/**
 * Ends with the report on the standard output; its exit code is 1 where a frame was lost, a connection cut off, or no frame came.
 * @throws FramelogError
 */
export async function load(names: readonly string[], flags: LoadFlags): Promise<void> {
  const options = loadOptions(names, flags)
  const clip = options.publishers > 0 ? readClip(options.file) : undefined
  for (const url of options.urls) await broadcastsOf(url.href)
  const run = new Load(options, clip)
  const stop = new AbortController()
  const onSignal = (): void => stop.abort()
  for (const signal of stopSignals) process.once(signal, onSignal)
  try {
    const report = await run.run(stop.signal)
    process.stdout.write(options.json ? `${JSON.stringify(report)}\n` : words(report, clip))
    const isWhole = report.lost === 0 && Object.keys(report.ends).length === 0
    if (!isWhole || (report.viewers > 0 && report.delivered === 0)) process.exitCode = 1
  } finally {
    for (const signal of stopSignals) process.off(signal, onSignal)
  }
}

class Load {
  readonly #options: LoadOptions
  readonly #clip: Clip | undefined
  readonly #tally = new Tally()
  readonly #targets: readonly Target[]
  readonly #publishers: readonly VirtualPublisher[]
  readonly #ids: readonly string[]
  readonly #viewers = new Map<number, VirtualViewer>()
  readonly #leaving = new Map<number, NodeJS.Timeout>()
  readonly #stopping = new Set<Promise<void>>()

  constructor(options: LoadOptions, clip: Clip | undefined) {
    this.#options = options
    this.#clip = clip
    this.#targets = options.urls.map(url => new Target(url))
    // Of its own, so that two loads do not meet.
    const name = `load-${randomBytes(3).toString('hex')}`
    this.#publishers =
      clip === undefined
        ? []
        : Array.from({ length: options.publishers }, (_, i) => {
            return new VirtualPublisher(this.#target(i), `${name}-${i + 1}`, clip, this.#tally, Math.random())
          })
    this.#ids = clip === undefined ? options.ids : this.#publishers.map(({ id }) => id)
  }

  async run(stop: AbortSignal) {
    const { duration, warmUp } = this.#options
    let doing = 'joining'
    const progress = new Progress(process.stderr, () => `${doing}: ${this.#figures()}`)
    try {
      for (const publisher of this.#publishers) publisher.start()
      await this.#until(() => this.#publishers.every(({ isOnAir }) => isOnAir), stop)
      await this.#join(stop)
      await this.#until(() => [...this.#viewers.values()].every(each => each.hasJoined), stop)
      doing = 'warming up'
      await wait(warmUp, stop)
      doing = 'measuring'
      const before = await this.#costs()
      const since = performance.now()
      const ownBefore = process.cpuUsage()
      this.#tally.isCounting = true
      const memory = this.#targets.map(() => 0)
      let after = before
      while (!stop.aborted && performance.now() - since < duration) {
        await wait(Math.min(1000, duration - (performance.now() - since)), stop)
        after = await this.#costs()
        for (const [i, cost] of after.entries()) memory[i] = Math.max(memory[i] ?? 0, cost?.memory ?? 0)
      }
      const seconds = (performance.now() - since) / 1000
      const own = process.cpuUsage(ownBefore)
      this.#tally.isCounting = false
      const gateways = this.#targets.flatMap((target, i): GatewayCost[] => {
        const [from, to] = [before[i], after[i]]
        if (from === undefined || to === undefined) return []
        return [
          { url: target.url.origin, cpu: (to.cpu - from.cpu) / seconds, memory: memory[i] ?? to.memory },
        ]
      })
      const ownCpu = (own.user + own.system) / 1e6 / seconds
      return reportOf(this.#tally, this.#options, { seconds, broadcasts: this.#ids.length, gateways, ownCpu })
    } finally {
      progress.close()
      await this.#end()
    }
  }

  #target(number: number): Target {
    return this.#targets[number % this.#targets.length] as Target
  }

  /** Viewers come at a pace, not as one. */
  async #join(stop: AbortSignal): Promise<void> {
    const { viewers, pace } = this.#options
    const since = performance.now()
    for (let i = 0; i < viewers && !stop.aborted; i++) {
      await wait((i / pace) * 1000 - (performance.now() - since), stop)
      this.#enter(i)
    }
  }

  /** @param place which of the viewers, from 0: one that leaves is followed by another */
  #enter(place: number): void {
    const { slow, stay } = this.#options
    const id = this.#ids[place % this.#ids.length] ?? ''
    const rate = place < slow ? this.#slowRate : undefined
    const { delivery } = this.#options
    // Those of one broadcast go to all gateways.
    const target = this.#target(Math.floor(place / this.#ids.length) + place)
    const viewer = new VirtualViewer({ target, id, tally: this.#tally, rate, delivery })
    this.#viewers.set(place, viewer)
    viewer.connect()
    if (stay === undefined) return
    // As people come and go: how long one has been there tells nothing of how long it stays.
    const timer = setTimeout(
      () => {
        this.#dismiss(viewer)
        this.#enter(place)
      },
      Math.min(20 * stay, -Math.log(1 - Math.random()) * stay),
    )
    this.#leaving.set(place, timer)
  }

  #dismiss(client: VirtualViewer | VirtualPublisher): void {
    const stopping: Promise<void> = client.stop().finally(() => this.#stopping.delete(stopping))
    this.#stopping.add(stopping)
  }

  /** Bytes a second. */
  get #slowRate(): number {
    const bitrate = this.#clip === undefined ? 1.5e6 : (this.#clip.bytes * 8) / (this.#clip.span / 1e6)
    return (slowShare * bitrate) / 8
  }

  #costs(): Promise<readonly (Cost | undefined)[]> {
    return Promise.all(this.#targets.map(target => target.cost()))
  }

  async #until(isTrue: () => boolean, stop: AbortSignal): Promise<void> {
    const give = performance.now() + patience
    while (!isTrue() && performance.now() < give && !stop.aborted) await wait(50, stop)
  }

  #figures(): string {
    const { delivered, skipped, lost, lag, ends, joined } = this.#tally
    const cut = [...ends.values()].reduce((sum, each) => sum + each, 0)
    return (
      `${this.#viewers.size} viewers, ${joined} joins, ${delivered} frames delivered, ` +
      `${skipped.quick + skipped.slow} skipped, ${lost} lost, ${cut} cut off` +
      (lag.count > 0 ? `, lag p50 ${(lag.percentile(50) / 1000).toFixed(1)} ms` : '')
    )
  }

  /** Everybody leaves; what was published goes. */
  async #end(): Promise<void> {
    for (const timer of this.#leaving.values()) clearTimeout(timer)
    for (const viewer of this.#viewers.values()) this.#dismiss(viewer)
    await Promise.all(this.#stopping)
    for (const publisher of this.#publishers) this.#dismiss(publisher)
    await Promise.all(this.#stopping)
    for (const { id } of this.#publishers) await this.#delete(id)
  }

  async #delete(id: string): Promise<void> {
    const address = new URL(`/api/v1/broadcasts/${id}`, this.#targets[0]?.url)
    try {
      const { ok, status } = await fetch(address, { method: 'DELETE', signal: AbortSignal.timeout(10_000) })
      if (!ok) throw new FramelogError('GATEWAY_UNREACHABLE', `HTTP ${status}`)
    } catch {
      process.stderr.write(`${id} is still there: the gateway did not delete it.\n`)
    }
  }
}

/** @param time milliseconds; what is over already is not waited for */
const wait = async (time: number, stop: AbortSignal): Promise<void> => {
  if (time > 0 && !stop.aborted) await pause(time, undefined, { signal: stop }).catch(() => {})
}
