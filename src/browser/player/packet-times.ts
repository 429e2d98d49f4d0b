/**
 * Whose time a decoded block of sound has. Decoders count time from the first packet on, whatever later ones say
 * (Chromium), so a block takes the time of the packet that it came from: both go first in, first out. One packet may
 * come out as several blocks (WebKit gives 2,048 samples at most, and a packet of Opus has up to 5,760).
 */
import { BoundedQueue } from '../../core/queue.ts'
import { type Micros, micros } from '../../units.ts'

export const packetTimesLimits = {
  packets: 1024,
  /** Microseconds by which a decoder's first block may differ from its packet and still be that packet's. */
  near: 10_000,
  /** Microseconds by which the blocks of a packet may be longer than it. */
  over: 1000,
} as const

interface Packet {
  readonly timestamp: Micros
  /** Microseconds, where known. */
  readonly duration: number
}

export class PacketTimes {
  readonly #packets = new BoundedQueue<Packet>(
    { items: packetTimesLimits.packets, bytes: Number.POSITIVE_INFINITY },
    () => 0,
  )
  #isFirst = true
  /** Where the rest of the newest block's packet begins, and how long it is. */
  #rest: Packet = { timestamp: micros(0), duration: 0 }

  push(timestamp: Micros, duration: number | undefined): void {
    this.#packets.push({ timestamp, duration: duration ?? 0 })
  }

  /**
   * @param own what the decoder says of the block. @param length of it, microseconds
   * @returns undefined for a block of no packet
   */
  next(own: number, length: number): Micros | undefined {
    // Some decoders swallow their first packets; the first block's own time still tells which one it came from.
    if (this.#isFirst) {
      const begins = own - packetTimesLimits.near
      while ((this.#packets.peek()?.timestamp ?? Number.POSITIVE_INFINITY) < begins) this.#packets.shift()
      this.#isFirst = false
    }
    // A packet whose beginning was cut off has a rest too, which is shorter than any block.
    const isRest =
      this.#rest.duration > packetTimesLimits.over && length <= this.#rest.duration + packetTimesLimits.over
    const packet = isRest ? this.#rest : this.#packets.shift()
    if (packet === undefined) return undefined
    const { timestamp, duration } = packet
    this.#rest = { timestamp: micros(timestamp + length), duration: duration - length }
    return timestamp
  }

  clear(): void {
    this.#packets.clear()
    this.#isFirst = true
    this.#rest = { timestamp: micros(0), duration: 0 }
  }
}
