/** What a page's encoders gave, frame by frame, and how long its player's picture stood: told by scripts that run before the page's own. */
import type { Page } from 'playwright-core'

export type Kind = 'video' | 'audio'

/**
 * Frames of one kind, in order: arrays of plain numbers, as a hundred thousand objects a viewer would keep the test's own
 * process busy collecting garbage while it measures.
 */
export interface Frames {
  /** Microseconds. */
  readonly times: number[]
  /** FNV-1a of each frame's bytes, 32 bits, begun with their number. */
  readonly hashes: number[]
}

export const noFrames = (): Record<Kind, Frames> => ({
  video: { times: [], hashes: [] },
  audio: { times: [], hashes: [] },
})

export function hashOf(data: Uint8Array): number {
  let hash = 0x811c9dc5 ^ data.byteLength
  for (const byte of data) hash = Math.imul(hash ^ byte, 0x01000193)
  return hash >>> 0
}

interface Told {
  readonly encodedFrames: Record<Kind, Frames>
  readonly pictureGaps: { longest: number; at: number; painted: number }
}

/** Keeps the hash of every frame that an encoder of the page gives. */
export const encoderScript = `{
  const hashOf = ${hashOf.toString()}
  const all = (globalThis.encodedFrames = { video: { times: [], hashes: [] }, audio: { times: [], hashes: [] } })
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
            all[kind].times.push(chunk.timestamp)
            all[kind].hashes.push(hashOf(data))
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

export const encodedFrames = (page: Page): Promise<Record<Kind, Frames>> =>
  page.evaluate(() => (globalThis as never as Told).encodedFrames)

/** Media time of the picture that was encoded last, microseconds. */
export const lastEncoded = (page: Page): Promise<number> =>
  page.evaluate(() => (globalThis as never as Told).encodedFrames.video.times.at(-1) ?? -1)

/** Milliseconds that the picture stood at the longest since it was asked last. */
export const longestStill = (page: Page): Promise<number> =>
  page.evaluate(() => {
    const { pictureGaps } = globalThis as never as Told
    const { longest } = pictureGaps
    pictureGaps.longest = performance.now() - pictureGaps.at
    return longest
  })
