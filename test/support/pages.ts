/** What a page tells of itself on `window.framelog`, and what its canvas shows. */
import type { Browser, BrowserContext } from 'playwright-core'
import { open, type WatchedPage } from './chromium.ts'
import type { Evaluates } from './engine.ts'

export interface Telling {
  /** When it was read: the page's clock, milliseconds. */
  readonly at: number
  readonly publisher?: {
    readonly state: string
    readonly mode?: string
    readonly openedAt: number
    readonly encoded: { readonly video: number; readonly audio: number }
    readonly sent: number
    readonly acknowledged: number
    readonly dropped: number
    readonly skipped: number
    readonly unacknowledged: number
    readonly bitrate?: number
  }
  readonly player?: {
    readonly state: string
    readonly mode?: string
    readonly painted: number
    readonly decoded: number
    readonly joinMs?: number
    readonly joinPhaseMs?: number
    readonly lagMs?: number
    readonly way?: { readonly spans: Readonly<Record<string, number>>; readonly total: number }
    readonly bufferMs?: number
    readonly lost?: number
    readonly mediaTime?: number
    readonly firstMediaTime?: number
    readonly firstPaintAt?: number
    readonly size?: { readonly width: number; readonly height: number }
    readonly renditions?: { readonly wish: string; readonly active: string }
    readonly audio?: {
      readonly state: string
      readonly playing: boolean
      readonly peak: number
      readonly samplesPlayed: number
      readonly starved: number
      readonly avSkewMs: number
    }
    readonly errors: readonly string[]
  }
}

interface Holder {
  readonly framelog?: Omit<Telling, 'at'>
}

export class PageState {
  readonly #page: Evaluates

  constructor(page: Evaluates) {
    this.#page = page
  }

  read(): Promise<Telling> {
    return this.#page.evaluate(() => {
      const { framelog } = globalThis as never as Holder
      return JSON.parse(
        JSON.stringify({ at: performance.now(), publisher: framelog?.publisher, player: framelog?.player }),
      ) as Telling
    })
  }

  /** Waits until the page tells what is wanted. @throws with the last state, and a screenshot's worth of words */
  async until(what: string, wanted: (telling: Telling) => boolean, limit = 30_000): Promise<Telling> {
    const deadline = Date.now() + limit
    for (;;) {
      const telling = await this.read()
      if (wanted(telling)) return telling
      if (Date.now() > deadline) {
        const text = await this.#page.evaluate(
          () =>
            (globalThis as never as { document: { body: { innerText: string } } }).document.body.innerText,
        )
        throw new Error(
          `${what} did not come. The page tells ${JSON.stringify(telling)} and reads:\n${text.slice(0, 600)}`,
        )
      }
      await this.#page.evaluate(
        () =>
          new Promise(resolve =>
            (globalThis as never as { requestAnimationFrame(call: unknown): void }).requestAnimationFrame(
              resolve,
            ),
          ),
      )
    }
  }
}

/** Opens a studio. @param query of its address, without `autostart`. @returns once it is on air */
export async function openOnAir(
  where: Browser | BrowserContext,
  http: string,
  query: string,
): Promise<WatchedPage> {
  const studio = await open(where, `${http}/static/index.html?${query}&autostart=1`)
  await new PageState(studio.page).until('on air', ({ publisher }) => publisher?.state === 'live')
  return studio
}

/** Watches the player's picture until it has shown a number of different pictures. @returns how many it saw */
export function pictures(page: Evaluates, count: number): Promise<number> {
  return page.evaluate(async wanted => {
    const dom = globalThis as never as {
      document: { querySelector(selector: string): unknown; createElement(name: string): unknown }
      requestAnimationFrame(call: (time: number) => void): void
    }
    const canvas = dom.document.querySelector('[data-player]')
    const small = dom.document.createElement('canvas') as {
      width: number
      height: number
      getContext(
        kind: string,
        options: unknown,
      ): {
        drawImage(...args: unknown[]): void
        getImageData(...args: number[]): { data: Uint8ClampedArray }
      }
    }
    small.width = 64
    small.height = 36
    const context = small.getContext('2d', { willReadFrequently: true })
    let last = ''
    let seen = 0
    for (let i = 0; i < 2000 && seen < wanted; i++) {
      await new Promise<number>(resolve => dom.requestAnimationFrame(resolve))
      context.drawImage(canvas, 0, 0, 64, 36)
      const { data } = context.getImageData(0, 0, 64, 36)
      const text = String.fromCharCode(...data.filter((_, i) => i % 4 === 1))
      if (text !== last && data.some((value, i) => i % 4 !== 3 && value > 16)) seen += 1
      last = text
    }
    return seen
  }, count)
}
