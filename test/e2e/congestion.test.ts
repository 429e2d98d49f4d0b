/** A publisher's page whose way to the gateway becomes narrow, and wide again. */
import assert from 'node:assert/strict'
import { after, before, describe, it } from 'node:test'
import { setTimeout as pause } from 'node:timers/promises'
import type { Browser } from 'playwright-core'
import { launch, open } from '../support/chromium.ts'
import { type RunningGateway, startGateway } from '../support/gateway.ts'
import { freePort } from '../support/kafka-process.ts'
import { PageState } from '../support/pages.ts'
import { TcpProxy } from '../support/tcp-proxy.ts'

describe('a narrow way to the gateway', { timeout: 120_000 }, () => {
  let gateway: RunningGateway
  let proxy: TcpProxy
  let browser: Browser
  before(async () => {
    gateway = await startGateway({ LOG_LEVEL: 'warn' })
    proxy = await TcpProxy.listen(await freePort(), gateway.port)
    browser = await launch()
  })
  after(async () => {
    await browser?.close()
    await proxy?.[Symbol.asyncDispose]()
    await gateway?.[Symbol.asyncDispose]()
  })

  it('is followed: less is sent, little waits, nothing is lost, and it comes back by itself', async test => {
    const path = '/static/index.html?broadcast=narrow&autostart=1&mode=webcodecs'
    const { page, errors } = await open(browser, `http://${proxy.address}${path}`)
    const studio = new PageState(page)
    const before = await studio.until('a while on air', ({ publisher }) => {
      return publisher?.state === 'live' && publisher.encoded.video > 90 && publisher.unacknowledged < 8
    })
    const { bitrate: most = assert.fail() } = before.publisher ?? assert.fail()
    proxy.rate = 20_000
    const narrow = await studio.until('less', ({ publisher }) => (publisher?.bitrate ?? most) < most / 4)
    test.diagnostic(
      `${most} bit/s, after ${Math.round(narrow.at - before.at)} ms ${narrow.publisher?.bitrate}`,
    )
    // What was under way before it was seen has to pass first.
    await studio.until('it to be under way', ({ publisher }) => (publisher?.unacknowledged ?? 1000) < 40)
    let [waits, at] = [0, 0]
    for (const end = performance.now() + 6000; performance.now() < end; await pause(100)) {
      const { publisher } = await studio.read()
      waits = Math.max(waits, publisher?.unacknowledged ?? 1000)
      at = publisher?.acknowledged ?? 0
    }
    const after = await studio.read()
    test.diagnostic(
      `${waits} frames waited at most, ${after.publisher?.skipped} pictures were left out, ${at} acknowledged`,
    )
    // 50 of sound and 30 of the picture a second: a second of them.
    assert.ok(waits < 80, `${waits} frames waited`)
    assert.equal(after.publisher?.state, 'live')
    proxy.rate = Number.POSITIVE_INFINITY
    await studio.until('all of it again', ({ publisher }) => publisher?.bitrate === most)
    const { skipped = -1 } = (await studio.read()).publisher ?? {}
    const end = await studio.until('pictures', ({ publisher }) => (publisher?.encoded.video ?? 0) > 0)
    await pause(1000)
    assert.equal((await studio.read()).publisher?.skipped, skipped)
    assert.equal(end.publisher?.dropped, 0)
    assert.deepEqual(errors, [])
  })
})
