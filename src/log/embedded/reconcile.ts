/**
 * Topics after a store went back in time, or was copied at another moment than the state beside it. The state tells of
 * the topics up to the newest it knows: which of them exist, and under which id.
 */
import type { State } from './state.ts'
import type { Store } from './store.ts'
import type { StoredTopic } from './topic.ts'

/** @throws FramelogError LOG_FULL, LOG_FAILED */
export function reconcile(store: Store, state: State): void {
  const inStore = new Map<string, StoredTopic>()
  let last = 0
  for (const { key, value } of store.topics.getRange()) {
    if (typeof value === 'number') last = value
    else inStore.set(key.slice(1), value)
  }
  const known = new Map(state.topics.map(({ name, stored }) => [name, stored]))
  const gone = [...inStore].filter(
    ([name, stored]) => stored.number <= state.last && known.get(name)?.id !== stored.id,
  )
  const lost = [...known].filter(
    ([name, stored]) => stored.number > last && (inStore.get(name)?.number ?? 0) < stored.number,
  )
  if (gone.length === 0 && lost.length === 0 && last >= state.last) return
  store.writeNow(gone.length + lost.length + 1, 1024 * (lost.length + 1), () => {
    for (const [name] of gone) store.topics.removeSync(`/${name}`)
    for (const [name, stored] of lost) store.topics.putSync(`/${name}`, stored)
    store.topics.putSync('#last', Math.max(last, state.last))
  })
}
