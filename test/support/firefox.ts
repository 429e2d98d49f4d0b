/** A real Firefox with a camera and a microphone that it makes up, driven by WebDriver BiDi. */
import { type Browser, launch, type Page } from 'puppeteer-core'
import { type DrivenPage, type Engine, type Evaluates, otherHost } from './engine.ts'

const preferences = {
  'media.navigator.streams.fake': true,
  'media.navigator.permission.disabled': true,
  'media.autoplay.default': 0,
  'network.dns.localDomains': otherHost,
  // Looked for at every start, and no part of what is tested.
  'media.gmp-manager.updateEnabled': false,
} as const

export interface FirefoxOptions {
  /**
   * A sound card that it makes up: without any, Firefox runs no AudioContext at all. Its clock is slow where the machine
   * is busy, and MediaRecorder's with it, once an AudioContext runs beside.
   */
  readonly soundCard?: boolean
}

export async function launchFirefox({ soundCard = true }: FirefoxOptions = {}): Promise<Engine> {
  const browser = await launch({
    browser: 'firefox',
    executablePath: process.env.FIREFOX ?? '/usr/bin/firefox-esr',
    headless: true,
    extraPrefsFirefox: { ...preferences, 'media.cubeb.force_mock_context': soundCard },
  })
  return {
    name: 'Firefox',
    version: (await browser.version()).replace(/^firefox\//, ''),
    open: url => open(browser, url),
    [Symbol.asyncDispose]: () => browser.close(),
  }
}

/** Each page has a window of its own: Firefox gives no animation frames to a tab that is behind another. */
async function open(browser: Browser, url: string): Promise<DrivenPage> {
  const page = await browser.newPage({ type: 'window' })
  const errors: string[] = []
  page.on('pageerror', error => errors.push(error instanceof Error ? error.message : String(error)))
  page.on('console', message => {
    if (message.type() === 'error') errors.push(message.text())
  })
  await page.goto(url)
  return {
    evaluate: evaluateIn(page),
    errors,
    screenshot: async path => void (await page.screenshot({ path: asPng(path) })),
    close: () => page.close(),
  }
}

const evaluateIn =
  (page: Page): Evaluates['evaluate'] =>
  async <Result>(run: (argument: never) => Result | Promise<Result>, argument?: unknown): Promise<Result> =>
    (await page.evaluate(run as never, argument as never)) as Result

const asPng = (path: string): `${string}.png` => {
  if (!path.endsWith('.png')) throw new Error('a screenshot is a PNG')
  return path as `${string}.png`
}
