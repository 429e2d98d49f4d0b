/** A gateway under load: its clock, as its clients see it, and what it says of itself. */
import { ClockOffset } from '../../wire/clock-offset.ts'

export interface Cost {
  /** Of its process, seconds of a core since it began. */
  readonly cpu: number
  /** Resident, bytes. */
  readonly memory: number
}

export class Target {
  readonly url: URL
  readonly clock = new ClockOffset()

  constructor(url: URL) {
    this.url = url
  }

  /** The gateway's wall clock, milliseconds. */
  now(): number {
    return performance.timeOrigin + performance.now() + this.clock.offset
  }

  /** @param sent what a pong gives back: of this machine's clock, as `sentNow` made it */
  pong(sent: number, time: number): void {
    this.clock.add(sent, sentNow(), time)
  }

  /** @returns an address of one of its sockets */
  socketUrl(id: string, role: 'publish' | 'watch'): URL {
    const address = new URL(`/api/v1/broadcasts/${id}/${role}`, this.url)
    address.protocol = address.protocol === 'https:' ? 'wss:' : 'ws:'
    return address
  }

  /** @returns undefined where it does not tell, or not within a second */
  async cost(): Promise<Cost | undefined> {
    try {
      const response = await fetch(new URL('/metrics', this.url), { signal: AbortSignal.timeout(1000) })
      const text = await response.text()
      const value = (name: string): number => Number(new RegExp(`^${name} (\\S+)`, 'm').exec(text)?.[1])
      const cost = { cpu: value('process_cpu_seconds_total'), memory: value('process_resident_memory_bytes') }
      return Number.isFinite(cost.cpu) && Number.isFinite(cost.memory) ? cost : undefined
    } catch {
      return undefined
    }
  }
}

/** Of this machine's wall clock, milliseconds, with what is below one. */
export const sentNow = (): number => performance.timeOrigin + performance.now()
