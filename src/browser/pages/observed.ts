/** What a page tells of itself on `window.framelog`: plain values, read anew at every look. */
import type { Player, PlayerFigures, PlayerState } from '../player/player.ts'
import type { Publisher, PublisherFigures, PublisherState } from '../publisher/publisher.ts'

export interface Observed {
  readonly publisher?: PublisherFigures & { readonly state: PublisherState['kind'] }
  readonly player?: PlayerFigures & { readonly state: PlayerState['kind'] }
}

export interface Sources {
  publisher?(): Publisher | undefined
  player?(): Player | undefined
}

declare global {
  interface Window {
    framelog?: Observed
  }
}

export function observe({ publisher, player }: Sources): void {
  const observed = {}
  if (publisher !== undefined) {
    Object.defineProperty(observed, 'publisher', {
      enumerable: true,
      get() {
        const source = publisher()
        return source && { ...source.figures, state: source.state.kind }
      },
    })
  }
  if (player !== undefined) {
    Object.defineProperty(observed, 'player', {
      enumerable: true,
      get() {
        const source = player()
        return source && { ...source.figures, state: source.state.kind }
      },
    })
  }
  window.framelog = observed
}
