/** Where the picture is shown: full screen, a small window of its own, and what is there before it. */
import assert from 'node:assert/strict'
import { after, before, describe, it } from 'node:test'
import { setTimeout as pause } from 'node:timers/promises'
import type { Browser } from 'playwright-core'
import { launch, open, type WatchedPage } from '../support/chromium.ts'
import { type RunningGateway, startGateway } from '../support/gateway.ts'
import { openOnAir, PageState, pictures } from '../support/pages.ts'
import { launchTabs } from '../support/tabs.ts'

/** What an iPhone has: nothing but a video element fills its screen, under a name of its own. */
const videoOnly = `(() => {
  Object.defineProperty(Document.prototype, 'fullscreenEnabled', { get: () => false })
  Object.defineProperty(HTMLVideoElement.prototype, 'webkitSupportsFullscreen', { get: () => true })
  HTMLVideoElement.prototype.webkitEnterFullscreen = HTMLVideoElement.prototype.requestFullscreen
})()`

let gateway: RunningGateway
let browser: Browser
before(async () => {
  gateway = await startGateway({ LOG_LEVEL: 'warn' })
  browser = await launch()
  await openOnAir(browser, gateway.http, 'broadcast=camera')
})
after(async () => {
  await browser?.close()
  await gateway?.[Symbol.asyncDispose]()
})

async function watch(player: string, scripts: readonly string[] = []): Promise<WatchedPage> {
  const view = await open(browser, `${gateway.http}/watch/camera?player=${player}&muted=1`, scripts)
  await new PageState(view.page).until('pictures', ({ player }) => (player?.painted ?? 0) > 10)
  return view
}

describe('full screen', { timeout: 60_000 }, () => {
  it('is had and left by its button, its key and a double click, with the pictures going on', async () => {
    const { page, errors } = await watch('webcodecs')
    const is = (selector: string | null) =>
      page.waitForFunction(
        wanted => {
          const { document } = globalThis as never as {
            document: { fullscreenElement: { matches(selector: string): boolean } | null }
          }
          return wanted === null
            ? document.fullscreenElement === null
            : document.fullscreenElement?.matches(wanted) === true
        },
        selector,
        { timeout: 5000 },
      )
    for (const toggle of [
      () => page.getByRole('button', { name: /full screen/i }).click(),
      () => page.keyboard.press('f'),
      () => page.locator('.stage').dblclick({ position: { x: 300, y: 150 } }),
    ]) {
      await toggle()
      await is('.stage')
      assert.equal(await pictures(page, 5), 5)
      await toggle()
      await is(null)
    }
    assert.deepEqual(errors, [])
    await page.close()
  })

  it('is the video element’s where nothing else can have it, and not offered where there is none', async () => {
    const { page, errors } = await watch('mse', [videoOnly])
    await page.getByRole('button', { name: 'Full screen' }).click()
    await page.waitForFunction("document.fullscreenElement?.matches('video[data-player]') === true")
    await page.close()
    const other = await watch('webcodecs', [videoOnly])
    await other.page.getByRole('button', { name: 'Small window' }).waitFor()
    assert.equal(await other.page.getByRole('button', { name: 'Full screen' }).count(), 0)
    assert.deepEqual([errors, other.errors], [[], []])
    await other.page.close()
  })
})

describe('a small window', { timeout: 60_000 }, () => {
  it('shows what is on now while the tab is hidden, and gives the picture back', async () => {
    const tabs = await launchTabs({ throttled: true })
    try {
      const page = await tabs.newPage()
      const errors: string[] = []
      page.on('pageerror', error => errors.push(String(error)))
      await page.goto(`${gateway.http}/watch/camera?player=webcodecs&muted=1`)
      const view = new PageState(page as never)
      await view.until('pictures', ({ player }) => (player?.painted ?? 0) > 10)
      await page.waitForSelector('::-p-text(Small window)')
      await page.keyboard.press('i')
      await page.waitForSelector('::-p-text(Back here)')
      const front = await tabs.newPage()
      await front.goto(`${gateway.http}/watch/camera?player=webcodecs&muted=1`)
      const other = new PageState(front as never)
      assert.equal(await page.evaluate('document.hidden'), true)
      const { player: before } = await view.read()
      const gone = (before?.mediaTime ?? 0) + 4_000_000
      await other.until('4 s more', ({ player }) => (player?.mediaTime ?? 0) > gone)
      const { player: hidden } = await view.read()
      const painted = (hidden?.painted ?? 0) - (before?.painted ?? 0)
      assert.ok(painted > 90, `${painted} pictures in 4 s`)
      assert.ok((hidden?.mediaTime ?? 0) > gone - 500_000)
      assert.ok((hidden?.lagMs ?? 1e9) < 500, `${hidden?.lagMs} ms behind`)
      await page.bringToFront()
      await page.keyboard.press('i')
      await page.waitForSelector('.stage > canvas[data-player]')
      await view.until(
        'pictures on the page',
        ({ player }) => (player?.painted ?? 0) > (hidden?.painted ?? 0) + 30,
      )
      assert.equal(await pictures(page as never, 5), 5)
      assert.deepEqual([(await view.read()).player?.errors, errors], [[], []])
    } finally {
      await tabs.close()
    }
  })

  it('is a video element’s own, and a seek goes on in it or on the page', async () => {
    const { page, errors } = await watch('mse')
    await page.getByRole('button', { name: 'Small window' }).click()
    await page.waitForFunction("document.pictureInPictureElement?.matches('video[data-player]') === true")
    const view = new PageState(page)
    const { player: before } = await view.read()
    await page.keyboard.press('ArrowLeft')
    await view.until('a replay', ({ player }) => player?.state === 'replaying')
    await view.until('pictures of it', ({ player }) => (player?.painted ?? 0) > (before?.painted ?? 0) + 30)
    await page.keyboard.press('i')
    await page.waitForFunction('document.pictureInPictureElement === null')
    const { player: left } = await view.read()
    await view.until('pictures', ({ player }) => (player?.painted ?? 0) > (left?.painted ?? 0) + 30)
    assert.deepEqual(errors, [])
    await page.close()
  })
})

describe('before the first picture', { timeout: 60_000 }, () => {
  it('the newest small one is shown, and none any more with it', async () => {
    const page = await browser.newPage()
    while (!(await fetch(`${gateway.http}/api/v1/broadcasts/camera/thumbnail`)).ok) await pause(100)
    const release = Promise.withResolvers<void>()
    await page.routeWebSocket(/./, async socket => {
      await release.promise
      socket.connectToServer()
    })
    // Whether a poster was there in a refresh after that of the first picture.
    await page.addInitScript(`(() => {
      globalThis.late = 0
      let had = false
      const look = () => {
        requestAnimationFrame(look)
        if (had && document.querySelector('.poster') !== null) late += 1
        had = (globalThis.framelog?.player?.painted ?? 0) > 0
      }
      look()
    })()`)
    await page.goto(`${gateway.http}/watch/camera?muted=1`)
    await page.waitForFunction(
      "(() => { const { complete, hidden, naturalWidth } = document.querySelector('.poster'); return complete && !hidden && naturalWidth === 256 })()",
    )
    assert.equal((await new PageState(page).read()).player?.painted, 0)
    release.resolve()
    await new PageState(page).until('pictures', ({ player }) => (player?.painted ?? 0) > 10)
    assert.equal(await page.locator('.poster').count(), 0)
    assert.equal(await page.evaluate('late'), 0)
    await page.close()
  })
})
