/** The choice of an encoder on a real Chromium; what it has in hardware is its own software encoder under that name. */
import assert from 'node:assert/strict'
import { after, before, describe, it } from 'node:test'
import type { Browser } from 'playwright-core'
import { launch, open } from '../support/chromium.ts'
import { type RunningGateway, startGateway } from '../support/gateway.ts'
import { PageState } from '../support/pages.ts'

/**
 * @param hold milliseconds by which an encoder that nobody asked to be in hardware is slower
 * @param most pictures after which the one in hardware is taken away, in a broadcast
 */
const hardware = (hold: number, most: number): string => `(() => {
  const configured = (globalThis.configured = [])
  const usual = ({ hardwareAcceleration, ...config }) => config
  globalThis.VideoEncoder = class extends VideoEncoder {
    constructor(init) {
      super({ ...init, output: (...given) => {
        if (this.isHard || ${hold} === 0) init.output(...given)
        else setTimeout(() => init.output(...given), ${hold})
      } })
      this.init = init
      this.left = ${most}
    }
    static isConfigSupported(config) { return super.isConfigSupported(usual(config)) }
    configure(config) {
      this.isHard = config.hardwareAcceleration === 'prefer-hardware'
      configured.push(config.hardwareAcceleration ?? 'none')
      super.configure(usual(config))
    }
    encode(...given) {
      this.left -= this.isHard ? 1 : 0
      if (this.left > 0) return super.encode(...given)
      this.close()
      this.init.error(new DOMException('It was taken away', 'EncodingError'))
    }
  }
})()`

describe('an encoder in hardware', { timeout: 60_000 }, () => {
  let gateway: RunningGateway
  let browser: Browser
  before(async () => {
    gateway = await startGateway({ LOG_LEVEL: 'warn' })
    browser = await launch()
  })
  after(async () => {
    await browser?.close()
    await gateway?.[Symbol.asyncDispose]()
  })

  const configured = 'globalThis.configured'

  it('is taken where it is the quicker one, and gone on without where it is taken away', async () => {
    const url = `${gateway.http}/static/index.html?broadcast=quick&autostart=1&mode=webcodecs`
    const { page, errors } = await open(browser, url, [hardware(12, 60)])
    const studio = new PageState(page)
    await studio.until('pictures', ({ publisher }) => (publisher?.encoded.video ?? 0) > 5)
    assert.equal((await page.evaluate<string[]>(configured)).at(-1), 'prefer-hardware')
    const { player } = await studio.until(
      'pictures without it',
      ({ publisher, player }) => (publisher?.encoded.video ?? 0) > 150 && (player?.painted ?? 0) > 120,
    )
    assert.equal((await page.evaluate<string[]>(configured)).at(-1), 'no-preference')
    const { publisher } = await studio.read()
    assert.deepEqual([publisher?.state, player?.errors, errors], ['live', [], []])
    await page.close()
  })

  it('is not missed where there is none', async test => {
    const url = `${gateway.http}/static/index.html?broadcast=none&autostart=1&mode=webcodecs`
    const { page } = await open(browser, url)
    const took = await page.evaluate(async () => {
      const { VideoEncoder, performance } = globalThis as never as {
        VideoEncoder: { isConfigSupported(config: unknown): Promise<{ supported: boolean }> }
        performance: { now(): number }
      }
      const config = {
        codec: 'avc1.42e01f',
        width: 640,
        height: 360,
        hardwareAcceleration: 'prefer-hardware',
      }
      const begun = performance.now()
      const { supported } = await VideoEncoder.isConfigSupported(config)
      return { supported, spent: performance.now() - begun }
    })
    test.diagnostic(`asking for one took ${took.spent.toFixed(1)} ms: ${took.supported}`)
    const { publisher } = await new PageState(page).until('on air', ({ publisher }) => {
      return publisher?.state === 'live' && publisher.encoded.video > 30
    })
    assert.equal(publisher?.mode, 'webcodecs')
    await page.close()
  })
})
