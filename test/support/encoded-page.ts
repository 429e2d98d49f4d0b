/** What a page's encoders gave, frame by frame, and how long its player's picture stood: told by scripts that run before the page's own. */
import type { Page } from 'playwright-core'

/** A frame as an encoder gave it. */
export interface EncodedFrame {
  readonly kind: 'video' | 'audio'
  /** Microseconds. */
  readonly timestamp: number
  readonly bytes: number
  /** FNV-1a of its bytes, 32 bits. */
  readonly hash: number
}

export function hashOf(data: Uint8Array): number {
  let hash = 0x811c9dc5
  for (const byte of data) hash = Math.imul(hash ^ byte, 0x01000193)
  return hash >>> 0
}

interface Told {
  readonly encodedFrames: EncodedFrame[]
  readonly pictureGaps: { longest: number; at: number; painted: number }
}

/** Keeps the hash of every frame that an encoder of the page gives. */
export const encoderScript = `{
  const hashOf = ${hashOf.toString()}
  const frames = (globalThis.encodedFrames = [])
  for (const [name, kind] of [['VideoEncoder', 'video'], ['AudioEncoder', 'audio']]) {
    const Native = globalThis[name]
    if (Native === undefined) continue
    globalThis[name] = class extends Native {
      constructor({ output, error }) {
        super({
          error,
          output(chunk, metadata) {
            const data = new Uint8Array(chunk.byteLength)
            chunk.copyTo(data)
            frames.push({ kind, timestamp: chunk.timestamp, bytes: data.byteLength, hash: hashOf(data) })
            output(chunk, metadata)
          },
        })
      }
    }
  }
}`

/** Follows at every refresh how long the player has painted nothing new. */
export const pictureScript = `{
  const gaps = (globalThis.pictureGaps = { longest: 0, at: performance.now(), painted: 0 })
  const look = () => {
    requestAnimationFrame(look)
    const painted = globalThis.framelog?.player?.painted ?? 0
    const now = performance.now()
    gaps.longest = Math.max(gaps.longest, now - gaps.at)
    if (painted !== gaps.painted) gaps.at = now
    gaps.painted = painted
  }
  look()
}`

export const encodedFrames = (page: Page): Promise<EncodedFrame[]> =>
  page.evaluate(() => (globalThis as never as Told).encodedFrames)

/** Milliseconds that the picture stood at the longest since it was asked last. */
export const longestStill = (page: Page): Promise<number> =>
  page.evaluate(() => {
    const { pictureGaps } = globalThis as never as Told
    const { longest } = pictureGaps
    pictureGaps.longest = performance.now() - pictureGaps.at
    return longest
  })
