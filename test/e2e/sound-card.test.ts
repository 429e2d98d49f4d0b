/** A sound card that is asked for its smallest buffer, on a machine that is too slow for it. */
import assert from 'node:assert/strict'
import { after, before, describe, it } from 'node:test'
import type { Browser } from 'playwright-core'
import { launch, open } from '../support/chromium.ts'
import { type RunningGateway, startGateway } from '../support/gateway.ts'
import { openOnAir, PageState } from '../support/pages.ts'

/** Notes what sound cards the page asks for. @param stats what they tell of themselves */
const notes = (stats: string): string => `
  delete AudioContext.prototype.playbackStats
  globalThis.hints = []
  globalThis.AudioContext = class extends AudioContext {
    constructor(options) {
      super(options)
      hints.push(options.latencyHint)
    }
    ${stats}
  }
`

/** Once it is told to, the one with the smallest buffer says that it gets too little. */
const slow = `
    get playbackStats() {
      if (globalThis.isSlow && hints.length === 1) this.underrun += 0.01
      return { underrunDuration: this.underrun }
    }
    underrun = 0`

describe('the sound card', { timeout: 60_000 }, () => {
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

  it('has its smallest buffer where it keeps up, and the usual one where it does not', async () => {
    const { page, errors } = await open(browser, `${gateway.http}/watch/camera?player=webcodecs`, [
      notes(slow),
    ])
    const view = new PageState(page)
    const plays = ({ player }: Awaited<ReturnType<PageState['read']>>): boolean =>
      player?.audio?.state === 'heard' && player.audio.samplesPlayed > 96_000
    await view.until('sound', plays)
    assert.deepEqual(await page.evaluate('hints'), [0])
    await page.evaluate('isSlow = true')
    await page.waitForFunction('hints.length > 1')
    // The other one counts from zero.
    await view.until('another sound card', ({ player }) => (player?.audio?.samplesPlayed ?? 1e9) < 96_000)
    const { player } = await view.until('sound', plays)
    assert.deepEqual(await page.evaluate('hints'), [0, 'interactive'])
    assert.ok(Math.abs(player?.audio?.avSkewMs ?? 1e9) < 60, `sound is off by ${player?.audio?.avSkewMs} ms`)
    assert.deepEqual([errors, player?.errors], [[], []])
  })

  it('is asked for as usual where nobody tells whether it keeps up', async () => {
    const { page } = await open(browser, `${gateway.http}/watch/camera?player=webcodecs`, [notes('')])
    await new PageState(page).until('sound', ({ player }) => (player?.audio?.samplesPlayed ?? 0) > 0)
    assert.deepEqual(await page.evaluate('hints'), ['interactive'])
  })
})
