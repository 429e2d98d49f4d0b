/** A real Chromium with a camera and a microphone that it makes up, driven by Playwright. */
import { type Browser, type BrowserContext, chromium, type Page } from 'playwright-core'
import { type Engine, otherHost } from './engine.ts'

const quiet = [
  '--no-sandbox',
  '--disable-gpu',
  '--disable-quic',
  '--no-first-run',
  '--disable-background-networking',
  '--disable-component-update',
  '--disable-sync',
]

/** 30 frames a second: the camera's own default is 20. */
const devices = ['--use-fake-ui-for-media-stream', '--use-fake-device-for-media-stream=fps=30']

export interface BrowserOptions {
  /** Without one, pages find neither camera nor microphone. */
  readonly camera?: boolean
  /** Whether pages may play sound before anybody has touched them. */
  readonly autoplay?: boolean
  /** Further arguments of the program. */
  readonly args?: readonly string[]
  /** What starts it, where it is not to be started as it is. */
  readonly executable?: string
}

export const executablePath = process.env.CHROMIUM ?? '/usr/bin/chromium'

export const argumentsOf = ({ camera = true, autoplay = true, args = [] }: BrowserOptions = {}): string[] => [
  ...quiet,
  ...(camera ? devices : []),
  `--autoplay-policy=${autoplay ? 'no-user-gesture-required' : 'document-user-activation-required'}`,
  ...args,
]

export const launch = (options: BrowserOptions = {}): Promise<Browser> =>
  chromium.launch({ executablePath: options.executable ?? executablePath, args: argumentsOf(options) })

/** A page whose errors are collected: those it throws, and those it logs. */
export interface WatchedPage {
  readonly page: Page
  readonly errors: string[]
}

/** @param scripts that the page runs before its own */
export async function open(
  where: Browser | BrowserContext,
  url: string,
  scripts: readonly string[] = [],
): Promise<WatchedPage> {
  const page = await where.newPage()
  for (const content of scripts) await page.addInitScript({ content })
  const errors: string[] = []
  page.on('pageerror', error => errors.push(error.message))
  page.on('console', message => {
    if (message.type() === 'error') errors.push(message.text())
  })
  await page.goto(url)
  return { page, errors }
}

/** The same behind the face that all engines have. */
export async function launchChromium(): Promise<Engine> {
  const browser = await launch({ args: [`--host-resolver-rules=MAP ${otherHost} 127.0.0.1`] })
  return {
    name: 'Chromium',
    version: browser.version(),
    async open(url) {
      const { page, errors } = await open(browser, url)
      return {
        evaluate: page.evaluate.bind(page),
        errors,
        screenshot: async path => void (await page.screenshot({ path })),
        close: () => page.close(),
      }
    },
    [Symbol.asyncDispose]: () => browser.close(),
  }
}
