/** Where the lag of a live picture goes: how long its frames take from place to place, over the last second. */
import type { NumberedFrame } from '../../media/frame.ts'
import { type HopName, type Hops, hopNames } from '../../media/hops.ts'
import type { Micros } from '../../units.ts'

/** The places on the way from the camera to the screen, in their order; the page's own are the last three. */
export const places = [...hopNames, 'arrived', 'decoded', 'painted'] as const
export type PlaceName = (typeof places)[number]

export const frameWaysLimits = {
  /** Frames that came and are not shown yet: a live player holds fewer. */
  underWay: 256,
  /** Milliseconds over which is averaged. */
  window: 1000,
  /** Microseconds by which a browser may round the time of a picture that it shows. */
  rounding: 2000,
} as const

export interface Way {
  /** From each place that is known from the one before, milliseconds: where one is not, the next has its share too. */
  readonly spans: { readonly [Name in PlaceName]?: number }
  /** From the camera to the screen, milliseconds. */
  readonly total: number
}

interface UnderWay {
  /** By the gateway's clock, milliseconds, as all times here. */
  readonly capturedAt: number
  readonly hops: Hops
  readonly arrivedAt: number
  decodedAt: number | undefined
}

interface Shown {
  readonly at: number
  readonly way: Way
}

export class FrameWays {
  /** By their media times. */
  readonly #underWay = new Map<Micros, UnderWay>()
  #shown: Shown[] = []

  /** A frame of the picture came as it was published. */
  arrived({ timestamp, capturedAt, hops }: NumberedFrame, at: number): void {
    // Without it the frame was not relayed as it came.
    if (capturedAt === undefined || hops?.relayed === undefined) return
    const [oldest] = this.#underWay.keys()
    if (this.#underWay.size >= frameWaysLimits.underWay && oldest !== undefined) this.#underWay.delete(oldest)
    this.#underWay.set(timestamp, { capturedAt, hops, arrivedAt: at, decodedAt: undefined })
  }

  decoded(timestamp: Micros, at: number): void {
    const frame = this.#underWay.get(timestamp)
    if (frame !== undefined) frame.decodedAt = at
  }

  /** A picture is on the screen; those before it are shown no more. */
  painted(timestamp: Micros, at: number): void {
    for (const [time, frame] of this.#underWay) {
      if (time > timestamp + frameWaysLimits.rounding) continue
      this.#underWay.delete(time)
      if (time >= timestamp - frameWaysLimits.rounding) this.#shown.push({ at, way: wayOf(frame, at) })
    }
    this.#forget(at)
  }

  clear(): void {
    this.#underWay.clear()
    this.#shown = []
  }

  /** The mean of the last second; undefined where nothing was shown in it. */
  mean(now: number): Way | undefined {
    this.#forget(now)
    const { length } = this.#shown
    if (length === 0) return undefined
    const spans: { [Name in PlaceName]?: number } = {}
    let total = 0
    for (const { way } of this.#shown) {
      total += way.total
      for (const name of places) {
        const span = way.spans[name]
        if (span !== undefined) spans[name] = (spans[name] ?? 0) + span
      }
    }
    for (const name of places) {
      const sum = spans[name]
      if (sum !== undefined) spans[name] = sum / length
    }
    return { spans, total: total / length }
  }

  #forget(now: number): void {
    const first = this.#shown.findIndex(({ at }) => now - at < frameWaysLimits.window)
    if (first < 0) this.#shown = []
    else if (first > 0) this.#shown.splice(0, first)
  }
}

/** Clocks that differ by a little may tell of a frame that came before it left: then it took no time. */
function wayOf({ capturedAt, hops, arrivedAt, decodedAt }: UnderWay, paintedAt: number): Way {
  const since = (at: number): number => at - capturedAt
  const at = (name: PlaceName): number | undefined => {
    if (name === 'arrived') return since(arrivedAt)
    if (name === 'painted') return since(paintedAt)
    if (name === 'decoded') return decodedAt === undefined ? undefined : since(decodedAt)
    return inMillis(hops, name)
  }
  const spans: { [Name in PlaceName]?: number } = {}
  let total = 0
  for (const name of places) {
    const reached = at(name)
    if (reached === undefined) continue
    spans[name] = Math.max(0, reached - total)
    total = Math.max(total, reached)
  }
  return { spans, total }
}

function inMillis(hops: Hops, name: HopName): number | undefined {
  const micros = hops[name]
  return micros === undefined ? undefined : micros / 1000
}
