/** What is counted beside the looks: what the links carried meanwhile. */
import type { Beside } from '../lag/measure.ts'
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
  return async ({ studio }) => {
    await links.report()
    const since = performance.now()
    return async () => {
      const seconds = (performance.now() - since) / 1000
      const { directions, late, busy } = await links.report()
      const [, up, down] = directions
      const sum = (name: 'lost' | 'dropped' | 'overflowed'): number =>
        directions.reduce((sum, each) => sum + each[name], 0)
      const { publisher } = await studio.state.read()
      return {
        up: ((up?.bytes ?? 0) * 8) / 1000 / seconds,
        down: ((down?.bytes ?? 0) * 8) / 1000 / seconds,
        lost: sum('lost'),
        dropped: sum('dropped'),
        overflowed: sum('overflowed'),
        late: late.p99,
        relay: busy * 100,
        ...(publisher?.bitrate === undefined ? {} : { bitrate: publisher.bitrate / 1000 }),
      } satisfies Partial<Record<Count, number>>
    }
  }
}
