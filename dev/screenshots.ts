/** Takes the pictures of the README and the docs from a running gateway's pages: `node dev/screenshots.ts`. */
import { mkdirSync } from 'node:fs'
import { join } from 'node:path'
import type { Page } from 'playwright-core'
import { launch, open } from '../test/support/chromium.ts'
import { startGateway } from '../test/support/gateway.ts'
import { PageState } from '../test/support/pages.ts'

const folder = join(import.meta.dirname, '..', 'docs', 'images')
mkdirSync(folder, { recursive: true })

const sizes = [
  { suffix: '', width: 1280, height: 800 },
  { suffix: '-phone', width: 390, height: 780 },
] as const

await using gateway = await startGateway({ LOG_LEVEL: 'warn' })
const browser = await launch()

async function shoot(page: Page, name: string): Promise<void> {
  for (const colorScheme of ['light', 'dark'] as const) {
    for (const { suffix, width, height } of sizes) {
      if (colorScheme === 'dark' && suffix !== '') continue
      await page.emulateMedia({ colorScheme })
      await page.setViewportSize({ width, height })
      const dark = colorScheme === 'dark' ? '-dark' : ''
      await page.screenshot({ path: join(folder, `${name}${suffix}${dark}.png`) })
    }
  }
}

const studio = await open(browser, `${gateway.http}/static/index.html?broadcast=front-door&autostart=1`)
await new PageState(studio.page).until('3 s of picture', ({ player }) => (player?.painted ?? 0) > 90)
await shoot(studio.page, 'studio')

const watch = await open(browser, `${gateway.http}/watch/front-door`)
await new PageState(watch.page).until('3 s of picture', ({ player }) => (player?.painted ?? 0) > 90)
await shoot(watch.page, 'watch')

const list = await open(browser, `${gateway.http}/`)
await list.page.getByText('front-door').first().waitFor()
await shoot(list.page, 'list')

for (const { errors } of [studio, watch, list]) if (errors.length > 0) console.error(errors)
await browser.close()
