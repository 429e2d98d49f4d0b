/**
 * Where viewers are measured: one studio on air with the bench's camera, in a browser of its own windows. Whoever is
 * measured is open only for that long, and has the same studio beside it, the references too.
 */
import type { Browser, BrowserContext } from 'playwright-core'
import { open } from '../../test/support/chromium.ts'
import { ProbedPage } from './probed-page.ts'

export interface StageOptions {
  readonly browser: Browser
  /** Where viewers' pages are, if not in the same one. */
  readonly viewers?: Browser
  /** The bench's part of every page. */
  readonly script: string
  /** Of the gateway. */
  readonly http: string
  /** The studio's parameters besides `broadcast` and `autostart`. */
  readonly studio: string
  readonly broadcast: string
  /** Of a peer connection's picture, `h264` or `vp8`. Without it the studio's. */
  readonly codec?: string
  /** Milliseconds that a peer connection has to come to the full size; after them it is measured as it is. */
  readonly growth?: number
}

export interface View extends AsyncDisposable {
  readonly page: ProbedPage
  /** When it began to connect, milliseconds of wall clock. */
  readonly begun: number
}

/** Not the gateway's: the browser is given it on the way, so that the page has an origin as the others have. */
const peerPath = '/bench/peer'

export class Stage implements AsyncDisposable {
  readonly #options: StageOptions
  readonly studio: ProbedPage

  private constructor(options: StageOptions, studio: ProbedPage) {
    this.#options = options
    this.studio = studio
  }

  /** @returns once the studio is on air and shows its camera */
  static async open(options: StageOptions): Promise<Stage> {
    const path = `/static/index.html?broadcast=${options.broadcast}&autostart=1&${options.studio}`
    const studio = await openPage(options, options.browser, path, 'video:not([data-player])')
    try {
      await studio.state.until('on air', ({ publisher }) => publisher?.state === 'live')
      await studio.firstPicture()
    } catch (error) {
      await studio.page.context().close()
      throw error
    }
    return new Stage(options, studio)
  }

  /** The same camera in a page that is not on air: for a peer connection that is to have the way to itself. */
  static async openBare(options: StageOptions): Promise<Stage> {
    return new Stage(options, await openPage(options, options.browser, peerPath))
  }

  async view(kind: 'screen' | 'peer' | 'watch', parameters: string): Promise<View> {
    if (kind === 'peer') return this.#peer(parameters !== 'muted=1')
    const begun = wallClock()
    if (kind === 'screen') return { page: this.studio, begun, [Symbol.asyncDispose]: async () => {} }
    const page = await openPage(
      this.#options,
      this.#viewers,
      `/watch/${this.#options.broadcast}?${parameters}`,
    )
    return { page, begun, [Symbol.asyncDispose]: () => page.page.context().close() }
  }

  /** What the studio sends its picture in. */
  async codec(): Promise<string> {
    const { publisher } = (await this.studio.state.read()) as {
      readonly publisher?: { readonly codecs?: readonly string[] }
    }
    return publisher?.codecs?.some(name => name.startsWith('avc')) ? 'h264' : 'vp8'
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.studio.page.context().close()
  }

  async #grown(page: ProbedPage): Promise<void> {
    const { growth } = this.#options
    const grown = page.until('the full size', ({ surface }) => surface?.width === 640, growth)
    if (growth === undefined) await grown
    // A slow link may never let it.
    else await grown.catch(() => {})
  }

  get #viewers(): Browser {
    return this.#options.viewers ?? this.#options.browser
  }

  /** The studio's camera over a bare peer connection. */
  async #peer(sound: boolean): Promise<View> {
    const page = await openPage(this.#options, this.#viewers, peerPath)
    const close = async (): Promise<void> => {
      await this.studio.call(({ peer }) => peer.close(), undefined)
      await page.page.context().close()
    }
    try {
      const codec = this.#options.codec ?? (await this.codec())
      const begun = wallClock()
      const offer = await this.studio.call(({ peer }, [codec, sound]) => peer.offer(codec, sound), [
        codec,
        sound,
      ] as const)
      const answer = await page.call(({ peer }, offer) => peer.answer(offer), offer)
      await this.studio.call(({ peer }, answer) => peer.accept(answer), answer)
      // It begins small while it finds out what the way carries.
      await this.#grown(page)
      return { page, begun, [Symbol.asyncDispose]: close }
    } catch (error) {
      await close()
      throw error
    }
  }
}

async function openPage(
  { http, script }: StageOptions,
  browser: Browser,
  path: string,
  selector = '[data-player]',
): Promise<ProbedPage> {
  // A context is a window of its own: all of them count as seen.
  const context: BrowserContext = await browser.newContext({ viewport: { width: 960, height: 640 } })
  try {
    await context.addInitScript({ content: `${script};lagBench.look(${JSON.stringify(selector)})` })
    await context.route(`**${peerPath}`, route =>
      route.fulfill({ contentType: 'text/html', body: '<!doctype html><title>peer</title><body>' }),
    )
    const { page, errors } = await open(context, http + path)
    return new ProbedPage(page, errors)
  } catch (error) {
    await context.close()
    throw error
  }
}

const wallClock = (): number => performance.timeOrigin + performance.now()
