/** Prometheus metrics, as `/metrics` gives them: the server's share of the lag, and how much there is to do. */
import { Counter, Gauge, Histogram, Registry } from 'prom-client'

/** Seconds; from what a commit takes on an idle machine to what counts as a stall. */
const buckets = [0.0002, 0.0005, 0.001, 0.002, 0.004, 0.008, 0.016, 0.032, 0.064, 0.125, 0.25, 0.5, 1, 2, 5]

/** What is counted only when somebody asks. */
export interface Counts {
  readonly broadcasts: number
  readonly publishers: number
  readonly viewers: number
}

export class Metrics {
  readonly registry = new Registry()
  /** Those of all processes that share a port, in Prometheus' text format; where there is but this one, its own. */
  all = (): Promise<string> => this.registry.metrics()
  readonly #appended = this.#histogram(
    'framelog_frame_append_seconds',
    'From the receipt of a frame to its acknowledgement by the log',
  )
  readonly #readBack = this.#histogram(
    'framelog_frame_read_back_seconds',
    'From the receipt of a frame to its being read back as counting, which acknowledges it to its publisher',
  )
  readonly #relayed = this.#histogram(
    'framelog_frame_relay_seconds',
    'From the reading of a frame to its being given to the first viewer’s socket',
  )

  constructor(counts: () => Counts) {
    const gauge = (name: keyof Counts, help: string): void => {
      const made: Gauge = new Gauge({
        name: `framelog_${name}`,
        help,
        registers: [this.registry],
        collect: () => made.set(counts()[name]),
      })
    }
    gauge('broadcasts', 'Broadcasts that this gateway reads or waits for')
    gauge('publishers', 'Publishers that are connected to this gateway')
    gauge('viewers', 'Viewers that are connected to this gateway')
    this.#process()
  }

  /** @param time milliseconds, as of all that follow */
  appended(time: number): void {
    this.#appended.observe(time / 1000)
  }

  readBack(time: number): void {
    this.#readBack.observe(time / 1000)
  }

  relayed(time: number): void {
    this.#relayed.observe(time / 1000)
  }

  /** @param window for which what viewers are sent is gathered now, milliseconds */
  gathers(window: () => number): void {
    const made: Gauge = new Gauge({
      name: 'framelog_gather_seconds',
      help: 'For how long what viewers are sent is gathered before it is written, at most: 0 while there is time to spare',
      aggregator: 'max',
      registers: [this.registry],
      collect: () => made.set(window() / 1000),
    })
  }

  get contentType(): string {
    return this.registry.contentType
  }

  /** By the names that all Prometheus clients have for them; of their other ones some watch every collection of garbage. */
  #process(): void {
    const registers = [this.registry]
    const cpu: Counter = new Counter({
      name: 'process_cpu_seconds_total',
      help: 'Of this process, user and system, seconds of a core',
      registers,
      collect: () => {
        const { user, system } = process.cpuUsage()
        cpu.reset()
        cpu.inc((user + system) / 1e6)
      },
    })
    const memory: Gauge = new Gauge({
      name: 'process_resident_memory_bytes',
      help: 'Resident memory of this process',
      registers,
      collect: () => memory.set(process.memoryUsage.rss()),
    })
  }

  #histogram(name: string, help: string): Histogram {
    return new Histogram({ name, help, buckets, registers: [this.registry] })
  }
}
