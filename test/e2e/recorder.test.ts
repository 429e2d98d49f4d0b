/** Publishing by MediaRecorder where the browser's recorder is not as one would wish. */
import assert from 'node:assert/strict'
import { after, before, describe, it } from 'node:test'
import type { Browser, Page } from 'playwright-core'
import { launch, open, type WatchedPage } from '../support/chromium.ts'
import { TestViewer } from '../support/clients.ts'
import { startGateway } from '../support/gateway.ts'
import { freePort } from '../support/kafka-process.ts'
import { PageState } from '../support/pages.ts'
import { TcpProxy } from '../support/tcp-proxy.ts'

/** Runs in the page. Takes part, and gives nothing before it is stopped. */
const silentRecorder = `(() => {
  const start = MediaRecorder.prototype.start
  MediaRecorder.prototype.start = function () {
    return start.call(this)
  }
})()`

/** Milliseconds that a page waits for a recorder's last bytes (`recorderLimits.finish`). */
const finish = 3000

/**
 * Runs in the page. Gives one keyframe a recording; where it is held, it stops only once it is released, and nobody's
 * patience for that runs out.
 */
const stubbornRecorder = `(() => {
  const recorders = (globalThis.recorders = { started: 0, stopped: 0, held: false, release: [] })
  const later = setTimeout
  globalThis.setTimeout = (call, wait, ...args) =>
    recorders.held && wait === ${finish} ? 0 : later(call, wait, ...args)
  globalThis.MediaRecorder = class extends MediaRecorder {
    constructor(stream, options) {
      super(stream, { ...options, videoKeyFrameIntervalDuration: 600_000 })
    }
    start(slice) {
      recorders.started += 1
      super.start(slice)
    }
    stop() {
      recorders.stopped += 1
      if (recorders.held) recorders.release.push(() => super.stop())
      else super.stop()
    }
  }
})()`

interface Recorders {
  started: number
  stopped: number
  held: boolean
  readonly release: (() => void)[]
}
const startedIn = (page: Page): Promise<number> =>
  page.evaluate(() => (globalThis as never as { recorders: Recorders }).recorders.started)

async function stopped(page: Page, times: number): Promise<void> {
  await page.waitForFunction(
    wanted => (globalThis as never as { recorders: Recorders }).recorders.stopped >= wanted,
    times,
  )
}

// Each waits for the same ten seconds to pass.
describe('a recorder', { timeout: 120_000, concurrency: 3 }, () => {
  let browser: Browser
  before(async () => {
    browser = await launch()
  })
  after(() => browser?.close())

  const studio = (http: string, script: string): Promise<WatchedPage> =>
    open(browser, `${http}/static/index.html?broadcast=camera&autostart=1&mode=mediarecorder`, [script])

  it('that writes nothing is told of, in words, and leaves the camera', async () => {
    await using gateway = await startGateway({ LOG_LEVEL: 'warn' })
    const { page, errors } = await studio(gateway.http, silentRecorder)
    await new PageState(page).until('a refusal', ({ publisher }) => publisher?.state === 'failed')
    await page.getByText(/recorder wrote nothing.*another browser/).waitFor()
    await page.getByRole('button', { name: 'Start' }).waitFor()
    assert.deepEqual(errors, [])
    await page.close()
  })

  it('that gives no keyframe is replaced, without a hole', async () => {
    await using gateway = await startGateway({ LOG_LEVEL: 'warn' })
    const { page, errors } = await studio(gateway.http, stubbornRecorder)
    const sending = new PageState(page)
    await stopped(page, 1)
    const acknowledged = (await sending.read()).publisher?.acknowledged ?? 0
    await sending.until(
      'pictures of the next recording',
      ({ publisher }) => (publisher?.acknowledged ?? 0) > acknowledged + 150,
    )
    const viewer = await TestViewer.connect(gateway.ws, 'camera', 'start')
    const { session = '' } = await viewer.next('catalog')
    viewer.send({ type: 'position', session, timestamp: 3_600_000_000 })
    await viewer.frame(acknowledged + 100)
    const times = viewer.frames().flatMap(({ frame }) => (frame.track === 'video' ? [frame.timestamp] : []))
    const holes = times.slice(1).map((time, i) => time - (times[i] ?? 0))
    console.log(`the longest hole is ${Math.max(...holes) / 1000} ms`)
    assert.ok(Math.min(...holes) > 0, 'times grow')
    assert.ok(Math.max(...holes) < 1_000_000, `a hole of ${Math.max(...holes)} us`)
    assert.deepEqual([await startedIn(page), errors], [2, []])
    await viewer.close()
    await page.close()
  })

  it('of a session that begins while the one before is being replaced stays', async () => {
    await using first = await startGateway({ LOG_LEVEL: 'warn' })
    await using second = await startGateway({ LOG_LEVEL: 'warn' })
    await using proxy = await TcpProxy.listen(await freePort(), first.port)
    const { page } = await studio(`http://${proxy.address}`, stubbornRecorder)
    const sending = new PageState(page)
    await page.evaluate(() => {
      const { recorders } = globalThis as never as { recorders: Recorders }
      recorders.held = true
    })
    await stopped(page, 1)
    // Without what the first one knows, the second begins a session of its own.
    proxy.target = second.port
    proxy.cut()
    await page.waitForFunction(
      () => (globalThis as never as { recorders: Recorders }).recorders.started === 2,
    )
    await sending.until('the next session', ({ publisher }) => publisher?.state === 'live')
    await page.evaluate(() => {
      const { recorders } = globalThis as never as { recorders: Recorders }
      recorders.held = false
      for (const stop of recorders.release) stop()
    })
    const { publisher: begun } = await sending.read()
    const { publisher } = await sending.until(
      'more of it',
      ({ publisher }) => (publisher?.acknowledged ?? 0) > (begun?.acknowledged ?? 0) + 70,
    )
    assert.equal(publisher?.state, 'live')
    assert.equal(await startedIn(page), 2)
    await page.close()
  })
})
