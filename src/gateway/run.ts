/**
 * Packets that go out in one write, one after the other. Whoever is sent the same has the same runs: each is there once, and
 * so are its bytes, whatever the number of viewers.
 */
import type { Encoded, Packet } from '../relay/packet.ts'

export type Encode = (packet: Packet) => Encoded

export class Run {
  readonly #packet: Packet
  readonly #before: Run | undefined
  readonly #count: number
  /** Bytes of media and data. */
  readonly size: number
  /** What came after it last: nearly always what comes after it for the next viewer too. */
  #next: Run | undefined
  #bytes: Uint8Array | undefined

  constructor(packet: Packet, before?: Run) {
    this.#packet = packet
    this.#before = before
    this.#count = before === undefined ? 1 : before.#count + 1
    this.size = (before?.size ?? 0) + packet.size
  }

  /** Whether it is a packet and nothing else. */
  is(packet: Packet): boolean {
    return this.#packet === packet && this.#before === undefined
  }

  /** This run with a packet behind it. */
  and(packet: Packet): Run {
    if (this.#next === undefined || this.#next.#packet !== packet) this.#next = new Run(packet, this)
    return this.#next
  }

  /** As they go to the network, borrowed. Packets are encoded when the first of all viewers is sent them. */
  bytes(encode: Encode): Uint8Array {
    this.#bytes ??= this.#count === 1 ? encode(this.#packet).bytes : this.#join(encode)
    return this.#bytes
  }

  #join(encode: Encode): Uint8Array {
    const parts: Uint8Array[] = []
    for (let run: Run | undefined = this; run !== undefined; run = run.#before)
      parts.push(encode(run.#packet).bytes)
    return Buffer.concat(parts.reverse())
  }
}
