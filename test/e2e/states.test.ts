/** What pages say and do when things are not as they should be. */
import assert from 'node:assert/strict'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, describe, it } from 'node:test'
import type { Browser } from 'playwright-core'
import { launch, open } from '../support/chromium.ts'
import { TestPublisher, TestViewer } from '../support/clients.ts'
import { type RunningGateway, startGateway } from '../support/gateway.ts'
import { startBrokers } from '../support/kafka.ts'
import { freePort } from '../support/kafka-process.ts'
import { PageState } from '../support/pages.ts'

describe('pages', { timeout: 180_000 }, () => {
  let gateway: RunningGateway
  before(async () => {
    gateway = await startGateway({ LOG_LEVEL: 'warn' })
  })
  after(() => gateway[Symbol.asyncDispose]())

  const withBrowser = async (
    options: Parameters<typeof launch>[0],
    use: (browser: Browser) => Promise<void>,
  ) => {
    const browser = await launch(options)
    try {
      await use(browser)
    } finally {
      await browser.close()
    }
  }

  it('say that there is no camera, in words', () =>
    withBrowser({ camera: false }, async browser => {
      const { page, errors } = await open(
        browser,
        `${gateway.http}/static/index.html?broadcast=blind&autostart=1`,
      )
      await new PageState(page).until('a refusal', ({ publisher }) => publisher?.state === 'refused')
      await page
        .getByText(/camera/i)
        .first()
        .waitFor()
      await page.getByRole('button', { name: 'Start' }).waitFor()
      assert.deepEqual(errors, [])
    }))

  it('say that another publisher is live, in words', () =>
    withBrowser({}, async browser => {
      const publisher = await TestPublisher.connect(gateway.ws, 'taken')
      publisher.publish(10)
      await publisher.acknowledged(9)
      const { page } = await open(browser, `${gateway.http}/static/index.html?broadcast=taken&autostart=1`)
      const frames = setInterval(() => publisher.publish(1), 200)
      const telling = await new PageState(page).until('an answer', ({ publisher }) =>
        ['failed', 'connecting', 'reconnecting'].includes(publisher?.state ?? ''),
      )
      await page
        .getByText(/another publisher|somebody else|another page|in use|taken/i)
        .first()
        .waitFor()
      assert.notEqual(telling.publisher?.state, 'live')
      clearInterval(frames)
      await publisher.close()
    }))

  it('stay off the air under an id that is none, and say what one is', () =>
    withBrowser({}, async browser => {
      const { page } = await open(browser, `${gateway.http}/static/index.html?broadcast=UPPER&autostart=1`)
      const field = page.locator('input#broadcast')
      await page.locator('input#broadcast[aria-invalid=true]').waitFor()
      assert.equal(await field.inputValue(), 'UPPER')
      assert.equal((await new PageState(page).read()).publisher, undefined)
    }))

  it('go on with the broadcast when the studio is reloaded on air', () =>
    withBrowser({}, async browser => {
      const { page } = await open(browser, `${gateway.http}/static/index.html?broadcast=reloaded`)
      const state = new PageState(page)
      await page.getByRole('button', { name: 'Start' }).click()
      await state.until('frames', ({ publisher }) => (publisher?.acknowledged ?? 0) > 30)
      await page.reload()
      await state.until(
        'frames again',
        ({ publisher }) => publisher?.state === 'live' && publisher.acknowledged > 30,
      )
      await page.getByRole('button', { name: 'Stop' }).click()
      await state.until('the end', ({ publisher }) => publisher?.state === 'ended')
      await page.reload()
      await page.getByRole('button', { name: 'Start' }).waitFor()
      assert.equal((await state.read()).publisher, undefined)
    }))

  it('show the picture at once while the browser holds the sound back for a gesture', () =>
    withBrowser({ autoplay: false }, async browser => {
      const studio = await open(browser, `${gateway.http}/static/index.html?broadcast=held&autostart=1`)
      await new PageState(studio.page).until('frames', ({ publisher }) => (publisher?.acknowledged ?? 0) > 10)
      const { page, errors } = await open(browser, `${gateway.http}/watch/held`)
      // The driver's own evaluations count as gestures, so this one goes past it.
      const devtools = await page.context().newCDPSession(page)
      const expression =
        'new Promise(resolve => { const look = () => { const { player } = window.framelog;' +
        ' if (player?.painted > 30) resolve(player.audio.playing); else requestAnimationFrame(look) }; look() })'
      const { result } = await devtools.send('Runtime.evaluate', {
        expression,
        awaitPromise: true,
        userGesture: false,
      })
      assert.equal(result.value, false)
      const view = new PageState(page)
      await page.getByRole('button', { name: /sound/i }).first().click()
      await view.until(
        'sound',
        ({ player }) => player?.audio?.playing === true && (player.audio.peak ?? 0) > 0.01,
      )
      assert.deepEqual(errors, [])
    }))

  it('say that the log does not answer, and go on when it does', async () => {
    await using kafka = await startBrokers({})
    const [broker] = kafka.brokers
    await using running = await startGateway({
      BOOTSTRAP_SERVERS: kafka.bootstrapServers,
      LOG_LEVEL: 'warn',
    })
    await withBrowser({}, async browser => {
      const { page, errors } = await open(
        browser,
        `${running.http}/static/index.html?broadcast=waits&autostart=1`,
      )
      const state = new PageState(page)
      await state.until('frames', ({ publisher }) => (publisher?.acknowledged ?? 0) > 60)
      broker?.pause()
      await state.until('the stall', ({ publisher }) => publisher?.state === 'stalled')
      await page.getByText('The log does not answer').waitFor()
      broker?.resume()
      await state.until('the air', ({ publisher }) => publisher?.state === 'live')
      const { publisher } = await state.read()
      await state.until(
        'all of it in the log',
        telling => (telling.publisher?.acknowledged ?? 0) > (publisher?.encoded.video ?? 0),
      )
      assert.equal(publisher?.dropped, 0)
      assert.deepEqual(errors, [])
    })
  })

  it('go on by themselves when the gateway is killed and comes back, and no frame is lost', async () => {
    const folder = mkdtempSync(join(tmpdir(), 'framelog-restart-'))
    const env = { DATA_DIR: folder, HTTP_PORT: String(await freePort()), LOG_LEVEL: 'warn' }
    let running = await startGateway(env)
    await withBrowser({}, async browser => {
      const studio = await open(browser, `${running.http}/static/index.html?broadcast=lasting&autostart=1`)
      const state = new PageState(studio.page)
      const watch = await open(browser, `${running.http}/watch/lasting?muted=1`)
      const view = new PageState(watch.page)
      await view.until('pictures', ({ player }) => (player?.painted ?? 0) > 30)
      for (let round = 0; round < 2; round++) {
        await running.kill('SIGKILL')
        await state.until('the loss', ({ publisher }) => publisher?.state === 'reconnecting')
        const { player } = await view.read()
        running = await startGateway(env)
        const before = (await state.until('live again', ({ publisher }) => publisher?.state === 'live'))
          .publisher
        await state.until(
          'frames',
          ({ publisher }) => (publisher?.acknowledged ?? 0) > (before?.acknowledged ?? 0) + 60,
        )
        await view.until(
          'pictures again',
          telling => (telling.player?.painted ?? 0) > (player?.painted ?? 0) + 30,
        )
      }
      await studio.page.getByRole('button', { name: /stop/i }).first().click()
      const { publisher } = await state.until('the end', ({ publisher }) => publisher?.state === 'ended')
      const reader = await TestViewer.connect(running.ws, 'lasting', 'start')
      const { session = '' } = await reader.next('catalog')
      reader.send({ type: 'position', session, timestamp: 3_600_000_000 })
      await reader.next('end')
      const encoded = (publisher?.encoded.video ?? 0) + (publisher?.encoded.audio ?? 0)
      assert.ok(encoded > 200)
      assert.deepEqual(
        reader.sequences,
        Array.from({ length: encoded }, (_, i) => i),
      )
      await reader.close()
    })
    await running[Symbol.asyncDispose]()
    rmSync(folder, { recursive: true, force: true })
  })
})
