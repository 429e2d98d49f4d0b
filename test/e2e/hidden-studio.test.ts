/** A studio whose tab is hidden, in a Chromium that holds hidden tabs back as a person's does: nobody who watches can tell. */
import assert from 'node:assert/strict'
import { after, before, describe, it } from 'node:test'
import { setTimeout as pause } from 'node:timers/promises'
import type { Browser, Page } from 'puppeteer-core'
import { type RunningGateway, startGateway } from '../support/gateway.ts'
import { freePort } from '../support/kafka-process.ts'
import { PageState, type Telling } from '../support/pages.ts'
import { launchTabs } from '../support/tabs.ts'
import { TcpProxy } from '../support/tcp-proxy.ts'

const isSoak = process.env.SOAK === '1'
/** Seconds for which it is hidden, after those past which Chromium gives other pages a timer a minute, usually 5 minutes. */
const hidden = isSoak ? 120 : 6
const grace = 4

describe('a hidden studio', { timeout: isSoak ? 900_000 : 180_000 }, () => {
  let gateway: RunningGateway
  let proxy: TcpProxy
  let browser: Browser
  let control: Page
  before(async () => {
    gateway = await startGateway({ LOG_LEVEL: 'warn' })
    proxy = await TcpProxy.listen(await freePort(), gateway.port)
    browser = await launchTabs({
      throttled: true,
      args: [`--enable-features=IntensiveWakeUpThrottling:grace_period_seconds/${grace}`],
    })
    control = await browser.newPage()
    await control.goto(`${gateway.http}/ping`)
    await control.evaluate('ticks = 0; setInterval(() => { ticks += 1 }, 100)')
  })
  after(async () => {
    await browser?.close()
    await proxy?.[Symbol.asyncDispose]()
    await gateway?.[Symbol.asyncDispose]()
  })

  for (const mode of ['webcodecs', 'mediarecorder']) {
    it(`goes on at full rate, with its keyframes, and comes back after a cut (${mode})`, async test => {
      const page = await browser.newPage()
      await page.goto(`http://${proxy.address}/static/index.html?broadcast=${mode}&autostart=1&mode=${mode}`)
      const studio = new HiddenPage(page)
      await studio.until('on air', ({ publisher }) => (publisher?.acknowledged ?? 0) > 90)
      const front = await browser.newPage()
      await front.goto(`${gateway.http}/watch/${mode}?player=webcodecs&muted=1`)
      const viewer = new PageState(front as never)
      await viewer.until('pictures', ({ player }) => (player?.painted ?? 0) > 30)
      assert.equal(await page.evaluate('document.hidden'), true)
      await pause(grace * 1000)

      const [from, ticks] = [await studio.read(), Number(await control.evaluate('ticks'))]
      const lags: number[] = []
      for (let second = 0; second < hidden; second++) {
        await pause(1000)
        lags.push((await viewer.read()).player?.lagMs ?? 1e9)
      }
      const to = await studio.read()
      const others = Number(await control.evaluate('ticks')) - ticks
      const seconds = (to.at - from.at) / 1000
      const rate = ((to.publisher?.encoded.video ?? 0) - (from.publisher?.encoded.video ?? 0)) / seconds
      test.diagnostic(`${rate.toFixed(1)} pictures a second, lag ${lags.map(Math.round)} ms, ${others} ticks`)
      assert.ok(others <= hidden + 1, 'other hidden pages are held back')
      assert.ok(rate > 27, `${rate} pictures a second`)
      assert.ok((to.publisher?.unacknowledged ?? 1000) < 30, `${to.publisher?.unacknowledged} on their way`)
      assert.ok(Math.max(...lags) < 1000, `${lags} ms behind`)
      assert.equal(to.publisher?.skipped, 0)

      // Whoever joins comes into a GOP of two seconds.
      await front.reload()
      const { player } = await viewer.until('a join', ({ player }) => (player?.painted ?? 0) > 30)
      assert.ok((player?.joinPhaseMs ?? 1e9) < 2600, `${player?.joinPhaseMs} ms after its keyframe`)

      for (const [what, hit] of [
        ['cut', () => proxy.cut()],
        ['silent', () => proxy.stall()],
      ] as const) {
        const at = performance.now()
        hit()
        await studio.until(`it to see that it is ${what}`, ({ publisher }) => publisher?.state !== 'live')
        const { publisher } = await studio.until(
          'all of it',
          ({ publisher }) => publisher?.state === 'live' && publisher.unacknowledged < 30,
        )
        test.diagnostic(`${what}: all of it is in the log after ${Math.round(performance.now() - at)} ms`)
        assert.equal(publisher?.dropped, 0)
        await pause(1000)
      }
      await page.close()
      await front.close()
    })
  }

  it('follows what the way to the log takes', async () => {
    const page = await browser.newPage()
    await page.goto(`http://${proxy.address}/static/index.html?broadcast=narrow&autostart=1&mode=webcodecs`)
    const studio = new HiddenPage(page)
    const { publisher } = await studio.until('on air', ({ publisher }) => (publisher?.acknowledged ?? 0) > 90)
    const { bitrate: most = assert.fail() } = publisher ?? assert.fail()
    await control.bringToFront()
    assert.equal(await page.evaluate('document.hidden'), true)
    proxy.rate = 20_000
    await studio.until('less', ({ publisher }) => (publisher?.bitrate ?? most) < most / 4)
    proxy.rate = Number.POSITIVE_INFINITY
    await studio.until('all of it again', ({ publisher }) => publisher?.bitrate === most)
    assert.equal((await studio.read()).publisher?.dropped, 0)
    await page.close()
  })
})

/** A page that is given no refresh to wait for. */
class HiddenPage {
  readonly #state: PageState

  constructor(page: Page) {
    this.#state = new PageState(page as never)
  }

  read(): Promise<Telling> {
    return this.#state.read()
  }

  async until(what: string, wanted: (telling: Telling) => boolean, limit = 40_000): Promise<Telling> {
    const deadline = Date.now() + limit
    for (;;) {
      const telling = await this.read()
      if (wanted(telling)) return telling
      assert.ok(Date.now() < deadline, `${what} did not come: ${JSON.stringify(telling.publisher)}`)
      await pause(50)
    }
  }
}
