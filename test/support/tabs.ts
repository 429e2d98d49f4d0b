/** A Chromium whose tabs hide each other, as a person's do: Playwright keeps all of its pages visible. */
import puppeteer, { type Browser } from 'puppeteer-core'
import { argumentsOf, executablePath } from './chromium.ts'

export const launchTabs = (): Promise<Browser> =>
  puppeteer.launch({ browser: 'chrome', headless: true, executablePath, args: argumentsOf() })
