/** A sound card that is asked for its smallest buffer, on a machine that is too slow for it. */
import assert from 'node:assert/strict'
import { after, before, describe, it } from 'node:test'
import type { Browser } from 'playwright-core'
import { launch, open } from '../support/chromium.ts'
import { publishRecording } from '../support/clients.ts'
import { framesOf } from '../support/encoded.ts'
import { ffmpeg } from '../support/ffmpeg.ts'
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

  it('is waited for by a replay that begins, and by nobody for long where the browser holds it back', async () => {
    const frames = framesOf(
      ffmpeg(
        ...['-f', 'lavfi', '-i', 'testsrc2=size=320x180:rate=30', '-f', 'lavfi', '-i', 'sine=frequency=440'],
        ...[
          '-t',
          '2',
          '-c:v',
          'libvpx',
          '-deadline',
          'realtime',
          '-g',
          '30',
          '-c:a',
          'libopus',
          '-f',
          'webm',
        ],
      ),
    )
    const catalog = { version: 1, tracks: frames.tracks } as const
    await publishRecording(gateway.ws, 'recording', { catalog, frames: frames.frames })
    const address = `${gateway.http}/watch/recording?player=webcodecs`
    // The audio thread's program takes its time.
    const late = `
      const { addModule } = AudioWorklet.prototype
      AudioWorklet.prototype.addModule = async function (url) {
        await new Promise(resolve => setTimeout(resolve, 1000))
        return addModule.call(this, url)
      }`
    const slow = await open(browser, address, [late])
    const { player } = await new PageState(slow.page).until(
      'the end',
      ({ player }) => player?.state === 'ended',
    )
    assert.deepEqual([slow.errors, player?.errors], [[], []])
    const heard = player?.audio?.samplesPlayed ?? 0
    assert.ok(heard > 86_400, `${heard} samples of 96,000`)

    await using other = await launch({ autoplay: false })
    const held = await open(other, address)
    // The driver's own evaluations count as gestures, so this one goes past it.
    const devtools = await held.page.context().newCDPSession(held.page)
    const expression =
      'new Promise(resolve => { const look = () => { const { player } = window.framelog;' +
      " if (player?.state === 'ended') resolve([player.audio.state, player.audio.samplesPlayed, player.painted > 40]);" +
      ' else requestAnimationFrame(look) }; look() })'
    const { result } = await devtools.send('Runtime.evaluate', {
      expression,
      awaitPromise: true,
      returnByValue: true,
      userGesture: false,
    })
    assert.deepEqual(result.value, ['blocked', 0, true])
    assert.deepEqual(held.errors, [])
  })

  it('is asked for as usual where nobody tells whether it keeps up', async () => {
    const { page } = await open(browser, `${gateway.http}/watch/camera?player=webcodecs`, [notes('')])
    await new PageState(page).until('sound', ({ player }) => (player?.audio?.samplesPlayed ?? 0) > 0)
    assert.deepEqual(await page.evaluate('hints'), ['interactive'])
  })
})
