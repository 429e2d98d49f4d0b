/** Tabs that are hidden for a while: what they play when they are shown again is what is live then. */
import assert from 'node:assert/strict'
import { after, before, describe, it } from 'node:test'
import type { Browser } from 'puppeteer-core'
import { type RunningGateway, startGateway } from '../support/gateway.ts'
import { PageState } from '../support/pages.ts'
import { launchTabs } from '../support/tabs.ts'

// Each in a window of its own, where tabs hide each other.
describe('a hidden tab', { timeout: 120_000, concurrency: 2 }, () => {
  let gateway: RunningGateway
  let browser: Browser

  before(async () => {
    gateway = await startGateway({ LOG_LEVEL: 'warn' })
    browser = await launchTabs()
    const studio = await (await browser.createBrowserContext()).newPage()
    await studio.goto(`${gateway.http}/static/index.html?broadcast=camera&autostart=1`)
    await new PageState(studio as never).until('on air', ({ publisher }) => publisher?.state === 'live')
  })
  after(async () => {
    await browser?.close()
    await gateway?.[Symbol.asyncDispose]()
  })

  for (const player of ['mse', 'webcodecs']) {
    for (const muted of [true, false]) {
      it(`with the ${player} player ${muted ? 'without' : 'with'} sound comes back to the edge`, async () => {
        const window = await browser.createBrowserContext()
        const [front, page] = [await window.newPage(), await window.newPage()]
        const errors: string[] = []
        page.on('pageerror', error => errors.push(String(error)))
        await page.goto(`${gateway.http}/watch/camera?player=${player}${muted ? '&muted=1' : ''}`)
        const view = new PageState(page as never)
        const { player: before } = await view.until('pictures', ({ player }) => (player?.painted ?? 0) > 30)
        await front.bringToFront()
        assert.equal(await page.evaluate('document.hidden'), true)
        // Time passes by itself: the gateway tells how much of the broadcast there is.
        const other = new PageState(front as never)
        await front.goto(`${gateway.http}/watch/camera?player=webcodecs&muted=1`)
        const gone = (before?.mediaTime ?? 0) + 5_000_000
        await other.until('5 s more', ({ player }) => (player?.mediaTime ?? 0) > gone)
        await page.bringToFront()
        const { player: shown } = await view.until(
          'the edge',
          ({ player }) => (player?.mediaTime ?? 0) > gone && (player?.lagMs ?? 1e9) < 1500,
        )
        await view.until('more pictures', ({ player }) => (player?.painted ?? 0) > (shown?.painted ?? 0) + 15)
        assert.deepEqual([shown?.errors, errors, shown?.lost], [[], [], 0])
        await window.close()
      })
    }
  }

  it('without sound keeps no more than some seconds of what nobody sees', async () => {
    const window = await browser.createBrowserContext()
    const [front, page] = [await window.newPage(), await window.newPage()]
    await page.goto(`${gateway.http}/watch/camera?player=mse&muted=1`)
    const view = new PageState(page as never)
    const { player: before } = await view.until('pictures', ({ player }) => (player?.painted ?? 0) > 30)
    await front.bringToFront()
    const other = new PageState(front as never)
    await front.goto(`${gateway.http}/watch/camera?player=webcodecs&muted=1`)
    const begun = before?.mediaTime ?? 0
    let most = 0
    for (let second = 1; second <= 15; second++) {
      await other.until('a second', ({ player }) => (player?.mediaTime ?? 0) > begun + second * 1_000_000)
      most = Math.max(most, (await view.read()).player?.bufferMs ?? 0)
    }
    console.log(`${Math.round(most)} ms waited at most in the hidden page`)
    assert.ok(most < 12_000)
    await page.bringToFront()
    await view.until('the edge', ({ player }) => (player?.lagMs ?? 1e9) < 1500)
    assert.deepEqual((await view.read()).player?.errors, [])
    await window.close()
  })
})
