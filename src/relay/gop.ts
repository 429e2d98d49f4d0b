/** The current GOP of a broadcast: what a viewer who joins now is sent at once. */
import type { Offset } from '../units.ts'
import type { Packet } from './packet.ts'

export const gopLimits = {
  packets: 20_000,
  bytes: 8 * 1024 * 1024,
  /** Of them, what timed data may take: past it data is left out, so that whoever writes much of it costs no picture. */
  data: { packets: 2000, bytes: 2 * 1024 * 1024 },
} as const

export class CurrentGop {
  #packets: Packet[] = []
  #bytes = 0
  #data = { packets: 0, bytes: 0 }
  /** False until a keyframe came, and after a GOP outgrew the limits. */
  #usable = false

  get packets(): readonly Packet[] {
    return this.#usable ? this.#packets : []
  }

  /** Offset of its keyframe; undefined where there is nothing to send. */
  get from(): Offset | undefined {
    const [, keyframe] = this.packets
    return keyframe?.event.type === 'frame' ? keyframe.event.offset : undefined
  }

  /** @param catalog the newest one, sent to whoever joins */
  open(catalog: Packet, keyframe: Packet): void {
    this.#packets = [catalog, keyframe]
    this.#bytes = keyframe.size
    this.#data = { packets: 0, bytes: 0 }
    this.#usable = true
  }

  add(packet: Packet): void {
    if (!this.#usable || (packet.event.type === 'data' && !this.#hasRoom(packet.size))) return
    this.#packets.push(packet)
    this.#bytes += packet.size
    if (this.#packets.length > gopLimits.packets || this.#bytes > gopLimits.bytes) this.clear()
  }

  #hasRoom(size: number): boolean {
    const { packets, bytes } = this.#data
    const { data } = gopLimits
    if (packets >= data.packets || bytes + size > data.bytes) return false
    this.#data = { packets: packets + 1, bytes: bytes + size }
    return true
  }

  clear(): void {
    this.#packets = []
    this.#bytes = 0
    this.#usable = false
  }
}
