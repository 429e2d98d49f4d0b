/** A Chromium whose tabs hide each other, as a person's do: Playwright keeps all of its pages visible. */
import puppeteer, { type Browser } from 'puppeteer-core'
import { argumentsOf, executablePath } from './chromium.ts'

/** What the driver tells a Chromium otherwise, so that hidden tabs are given turns as if they were seen. */
const unthrottled = [
  '--disable-background-timer-throttling',
  '--disable-backgrounding-occluded-windows',
  '--disable-renderer-backgrounding',
]

export interface TabsOptions {
  /** Whether hidden tabs are held back as a person's are. */
  readonly throttled?: boolean
  readonly args?: readonly string[]
}

export const launchTabs = ({ throttled = false, args = [] }: TabsOptions = {}): Promise<Browser> =>
  puppeteer.launch({
    browser: 'chrome',
    headless: true,
    executablePath,
    args: argumentsOf({ args }),
    ignoreDefaultArgs: throttled ? unthrottled : [],
  })
