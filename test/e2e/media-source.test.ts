/** The MediaSource player where things go wrong: no secure page, no room, no gateway, no gesture, a page that sleeps. */
import assert from 'node:assert/strict'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, describe, it } from 'node:test'
import type { Browser, Page } from 'playwright-core'
import { launch, open, type WatchedPage } from '../support/chromium.ts'
import { publishRecording } from '../support/clients.ts'
import { framesOf } from '../support/encoded.ts'
import { ffmpeg } from '../support/ffmpeg.ts'
import { type RunningGateway, startGateway } from '../support/gateway.ts'
import { freePort } from '../support/kafka-process.ts'
import { openOnAir, PageState, pictures } from '../support/pages.ts'
import { countAppends } from '../support/scripts.ts'

interface Video {
  currentTime: number
  pause(): void
  play(): Promise<void>
}
const pauseFor = (page: Page, milliseconds: number): Promise<void> =>
  page.evaluate(async span => {
    const dom = globalThis as never as { document: { querySelector(selector: string): Video } }
    const video = dom.document.querySelector('video[data-player]')
    video.pause()
    await new Promise(resolve => setTimeout(resolve, span))
    await video.play()
  }, milliseconds)

describe('the MediaSource player', { timeout: 250_000 }, () => {
  const data = mkdtempSync(join(tmpdir(), 'framelog-mse-'))
  let port: number
  let gateway: RunningGateway
  let browser: Browser
  let studio: WatchedPage

  const start = (): Promise<RunningGateway> =>
    startGateway({ LOG_LEVEL: 'warn', DATA_DIR: data, HTTP_PORT: String(port) })

  before(async () => {
    port = await freePort()
    gateway = await start()
    browser = await launch({
      args: ['--host-resolver-rules=MAP lan.test 127.0.0.1', '--mse-video-buffer-size-limit-mb=1'],
    })
    studio = await openOnAir(browser, gateway.http, 'broadcast=camera&player=mse')
  })
  after(async () => {
    await browser?.close()
    await gateway?.[Symbol.asyncDispose]()
    rmSync(data, { recursive: true, force: true })
  })

  it('is what a plain http page of another machine gets, by itself', async () => {
    const { page, errors } = await open(browser, `http://lan.test:${port}/watch/camera`)
    assert.equal(
      await page.evaluate(() => (globalThis as never as { isSecureContext: boolean }).isSecureContext),
      false,
    )
    const { player } = await new PageState(page).until(
      'pictures',
      ({ player }) => (player?.painted ?? 0) > 30,
    )
    assert.equal(player?.mode, 'mse')
    assert.equal(await pictures(page, 20), 20)
    assert.deepEqual(errors, [])
    await page.close()
  })

  it('comes back to the edge after it was held up', async () => {
    const { page, errors } = await open(browser, `${gateway.http}/watch/camera?player=mse&muted=1`)
    const view = new PageState(page)
    await view.until(
      'at the edge',
      ({ player }) => (player?.painted ?? 0) > 60 && (player?.bufferMs ?? 1e9) < 400,
    )
    await pauseFor(page, 3000)
    await view.until('behind', ({ player }) => (player?.bufferMs ?? 0) > 1000 || (player?.lagMs ?? 0) > 1000)
    await view.until('at the edge', ({ player }) => (player?.bufferMs ?? 1e9) < 400)
    assert.deepEqual(errors, [])
    await page.close()
  })

  it('stays behind where it was told not to chase', async () => {
    const { page } = await open(browser, `${gateway.http}/watch/camera?player=mse&muted=1&chase=0`)
    const view = new PageState(page)
    await view.until('pictures', ({ player }) => (player?.painted ?? 0) > 30)
    await pauseFor(page, 2000)
    const { player: before } = await view.until('behind', ({ player }) => (player?.bufferMs ?? 0) > 1500)
    const { player } = await view.until(
      '3 s of media',
      ({ player }) => (player?.mediaTime ?? 0) > (before?.mediaTime ?? 0) + 3_000_000,
    )
    assert.ok((player?.bufferMs ?? 0) > 1500)
    await page.close()
  })

  it('turns sound on and off without losing the picture', async () => {
    const { page, errors } = await open(browser, `${gateway.http}/watch/camera?player=mse&muted=1`)
    const view = new PageState(page)
    const { player: silent } = await view.until('pictures', ({ player }) => (player?.painted ?? 0) > 30)
    assert.equal(silent?.audio?.state, 'off')
    await page.getByRole('button', { name: 'Sound on' }).click()
    const { player: heard } = await view.until(
      'sound',
      ({ player }) =>
        player?.audio?.state === 'heard' && player.audio.playing && player.audio.samplesPlayed > 200_000,
    )
    await page.getByRole('button', { name: 'Mute' }).click()
    await view.until(
      'pictures without sound',
      ({ player }) => player?.audio?.state === 'off' && (player.painted ?? 0) > (heard?.painted ?? 0) + 60,
    )
    assert.deepEqual(errors, [])
    await page.close()
  })

  it('goes on over a gateway that was killed, and repeats nothing', async () => {
    const { page } = await open(browser, `${gateway.http}/watch/camera?player=mse`)
    const view = new PageState(page)
    const { player: before } = await view.until('pictures', ({ player }) => (player?.painted ?? 0) > 60)
    await gateway.kill()
    await view.until('no connection', ({ player }) => player?.state === 'reconnecting')
    gateway = await start()
    const { player } = await view.until(
      'pictures again',
      ({ player }) =>
        player?.state === 'live' && (player.mediaTime ?? 0) > (before?.mediaTime ?? 0) + 8_000_000,
    )
    await view.until('at the edge', ({ player }) => (player?.lagMs ?? 1e9) < 1500)
    assert.equal(player?.lost, 0)
    assert.deepEqual(player?.errors, [])
    await page.close()
  })

  it('goes on with the next session of the broadcast', async () => {
    const { page } = await open(browser, `${gateway.http}/watch/camera?player=mse`)
    const view = new PageState(page)
    await view.until('pictures', ({ player }) => (player?.painted ?? 0) > 60)
    await studio.page.getByRole('button', { name: /stop/i }).first().click()
    await view.until('the end', ({ player }) => player?.state === 'ended')
    const { player: before } = await view.read()
    await studio.page.getByRole('button', { name: 'Start' }).click()
    const { player } = await view.until(
      'the next session',
      ({ player }) => player?.state === 'live' && player.painted > (before?.painted ?? 0) + 90,
    )
    assert.ok((player?.mediaTime ?? 1e12) < (before?.mediaTime ?? 0), 'another media clock')
    await view.until('at the edge', ({ player }) => (player?.lagMs ?? 1e9) < 1000)
    assert.deepEqual(player?.errors, [])
    await page.close()
  })

  it('makes room where the browser has none, and appends the same once more', async () => {
    // A second of this is half of the megabyte that this Chromium gives a picture's buffer, and a replay runs 10 s ahead.
    const { tracks, frames } = framesOf(
      ffmpeg(
        '-f',
        'lavfi',
        '-i',
        'testsrc2=size=640x360:rate=30,noise=alls=40:allf=t',
        '-t',
        '7',
        '-c:v',
        'libvpx',
        '-b:v',
        '4M',
        '-minrate',
        '4M',
        '-deadline',
        'realtime',
        '-cpu-used',
        '8',
        '-g',
        '12',
        '-f',
        'webm',
      ),
    )
    await publishRecording(gateway.ws, 'large', { catalog: { version: 1, tracks }, frames })
    const { page, errors } = await open(browser, `${gateway.http}/watch/large?player=mse`, [countAppends])
    const { player } = await new PageState(page).until(
      'the end',
      ({ player }) => player?.state === 'ended',
      60_000,
    )
    const { appended, refused } = await page.evaluate(
      () => (globalThis as never as { appends: { appended: number; refused: number } }).appends,
    )
    console.log(`${appended} bytes appended, ${refused} appends refused`)
    assert.ok(refused > 0, 'no append was refused')
    const bytes = frames.reduce((sum, { data }) => sum + data.byteLength, 0)
    assert.ok(appended > bytes && appended < bytes * 1.1, `${bytes} bytes of frames`)
    assert.ok((player?.painted ?? 0) > frames.length * 0.8, `${player?.painted} of ${frames.length} pictures`)
    assert.equal(player?.lost, 0)
    assert.deepEqual([player?.errors, errors], [[], []])
    await page.close()
  })
})

describe('the MediaSource player without a gesture', { timeout: 120_000 }, () => {
  it('shows the picture, says that the sound is blocked, and gives it after a click', async () => {
    await using gateway = await startGateway({ LOG_LEVEL: 'warn' })
    const browser = await launch({ autoplay: false })
    try {
      await openOnAir(browser, gateway.http, 'broadcast=camera')
      const { page, errors } = await open(browser, 'about:blank')
      const session = await page.context().newCDPSession(page)
      await session.send('Page.navigate', { url: `${gateway.http}/watch/camera?player=mse` })
      const ask = async (expression: string): Promise<unknown> =>
        (await session.send('Runtime.evaluate', { expression, userGesture: false, returnByValue: true }))
          .result.value
      const deadline = Date.now() + 20_000
      while (
        (await ask('window.framelog?.player?.audio.state')) !== 'blocked' ||
        Number(await ask('window.framelog.player.painted')) < 30
      )
        assert.ok(
          Date.now() < deadline,
          `the page tells ${await ask('JSON.stringify(window.framelog?.player)')}`,
        )
      await page.getByRole('button', { name: 'Tap for sound' }).click()
      const { player } = await new PageState(page).until(
        'sound',
        ({ player }) => player?.audio?.state === 'heard' && player.audio.playing,
      )
      assert.deepEqual([player?.errors, errors], [[], []])
    } finally {
      await browser.close()
    }
  })
})
