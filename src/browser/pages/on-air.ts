/** What this tab has on air, so that a reload goes on with it: the person did not press Stop. */
import type { BroadcastId } from '../../units.ts'

const key = 'framelog.on-air'

export const set = (id: BroadcastId): void => tryStorage(() => sessionStorage.setItem(key, id))

export const clear = (): void => tryStorage(() => sessionStorage.removeItem(key))

/** Whether the page was reloaded while this broadcast was on air. */
export function wasReloaded(id: string): boolean {
  const [navigation] = performance.getEntriesByType('navigation') as PerformanceNavigationTiming[]
  let known: string | null = null
  tryStorage(() => {
    known = sessionStorage.getItem(key)
  })
  return navigation?.type === 'reload' && known === id
}

/** Where storage is switched off a reload is a new start. */
function tryStorage(use: () => void): void {
  try {
    use()
  } catch {}
}
