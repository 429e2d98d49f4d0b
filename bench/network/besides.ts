/** What is counted beside the looks: what the links carried meanwhile, and the sound that was missing. */

import type { Sound } from '../lag/face.ts'
import type { Beside } from '../lag/measure.ts'
import type { ProbedPage } from '../lag/probed-page.ts'
import type { Links } from './links.ts'

/** Names of what is counted. */
export type Count =
  | 'bitrate'
  | 'up'
  | 'down'
  | 'lost'
  | 'dropped'
  | 'missing'
  | 'late'
  | 'overflowed'
  | 'relay'

export function besideLinks(links: Links): Beside {
  return async ({ studio }, { page }) => {
    await links.report()
    const since = performance.now()
    const before = await soundOf(page)
    return async () => {
      const after = await soundOf(page)
      const seconds = (performance.now() - since) / 1000
      const { directions, late, busy } = await links.report()
      const [, up, down] = directions
      const sum = (name: 'lost' | 'dropped' | 'overflowed'): number =>
        directions.reduce((sum, each) => sum + each[name], 0)
      const missing = shareMissing(before, after)
      const { publisher } = await studio.state.read()
      return {
        up: ((up?.bytes ?? 0) * 8) / 1000 / seconds,
        down: ((down?.bytes ?? 0) * 8) / 1000 / seconds,
        lost: sum('lost'),
        dropped: sum('dropped'),
        overflowed: sum('overflowed'),
        late: late.p99,
        relay: busy * 100,
        ...(missing === undefined ? {} : { missing }),
        ...(publisher?.bitrate === undefined ? {} : { bitrate: publisher.bitrate / 1000 }),
      } satisfies Partial<Record<Count, number>>
    }
  }
}

/** Percent of the sound that was silence, or made up, for want of it; undefined where there is none. */
function shareMissing(before: Sound | undefined, after: Sound | undefined): number | undefined {
  if (before === undefined || after === undefined) return undefined
  const missing = after.missing - before.missing
  const all = after.played - before.played + missing
  return all > 0 ? (100 * missing) / all : undefined
}

async function soundOf(page: ProbedPage): Promise<Sound | undefined> {
  const { player } = await page.state.read()
  if (player === undefined) return page.call(({ peer }) => peer.sound(), undefined)
  if (player.audio === undefined) return undefined
  const { playing, samplesPlayed, starved } = player.audio
  return playing ? { played: samplesPlayed, missing: starved } : undefined
}
