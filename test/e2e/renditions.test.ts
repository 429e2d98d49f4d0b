/** A studio that sends its picture in two sizes, and viewers that watch one of them: by hand, and as their connection has it. */
import assert from 'node:assert/strict'
import { after, before, describe, it } from 'node:test'
import type { Browser } from 'playwright-core'
import { launch, open } from '../support/chromium.ts'
import { TestViewer } from '../support/clients.ts'
import { type RunningGateway, startGateway } from '../support/gateway.ts'
import { freePort } from '../support/kafka-process.ts'
import { openOnAir, PageState } from '../support/pages.ts'
import { TcpProxy } from '../support/tcp-proxy.ts'

/** Pictures a second that a viewer has at least where nothing is in the way: the camera's are 30, on a machine with two cores. */
const flowing = 20

describe('a picture in two sizes', { timeout: 240_000 }, () => {
  let gateway: RunningGateway
  let proxy: TcpProxy
  let browser: Browser
  before(async () => {
    gateway = await startGateway({ LOG_LEVEL: 'warn' })
    proxy = await TcpProxy.listen(await freePort(), gateway.port)
    browser = await launch()
    await openOnAir(browser, gateway.http, 'broadcast=sizes&mode=webcodecs&sizes=2')
  })
  after(async () => {
    await browser?.close()
    await proxy?.[Symbol.asyncDispose]()
    await gateway?.[Symbol.asyncDispose]()
  })

  /** Bytes a second of what a viewer is sent of either size, with the sound. */
  async function rates(): Promise<{ large: number; small: number }> {
    const viewer = await TestViewer.connect(gateway.ws, 'sizes')
    const first = await viewer.next('frame')
    const span = 4_000_000
    let last = first
    while (last.frame.timestamp - first.frame.timestamp < span) last = await viewer.next('frame')
    await viewer.close()
    const without = (other: string): number =>
      viewer
        .frames()
        .reduce((sum, { frame }) => sum + (frame.track === other ? 0 : frame.data.byteLength + 80), 0) /
      (span / 1e6)
    return { large: without('video-low'), small: without('video') }
  }

  it('has its keyframes at the same pictures, the larger one first', async () => {
    const viewer = await TestViewer.connect(gateway.ws, 'sizes')
    const times = (track: string): number[] =>
      viewer
        .frames()
        .flatMap(({ frame }) => (frame.track === track && frame.keyframe ? [frame.timestamp] : []))
    while (times('video').length < 3 || times('video-low').length < 3) await viewer.next('frame')
    assert.deepEqual(times('video-low').slice(0, 3), times('video').slice(0, 3))
    const keys = viewer
      .frames()
      .flatMap(({ frame }) => (frame.track !== 'audio' && frame.keyframe ? [frame.track] : []))
    assert.deepEqual(keys.slice(0, 4), ['video', 'video-low', 'video', 'video-low'])
    const share = (track: string): number =>
      viewer.frames().reduce((sum, { frame }) => sum + (frame.track === track ? frame.data.byteLength : 0), 0)
    assert.ok(share('video-low') < share('video'), `${share('video-low')} of ${share('video')} bytes`)
    await viewer.close()
  })

  for (const player of ['webcodecs', 'mse'] as const) {
    it(`is chosen by hand (${player})`, async () => {
      const watch = await open(browser, `${gateway.http}/watch/sizes?player=${player}&muted=1`)
      const { page, errors } = watch
      const state = new PageState(page)
      await state.until('the larger one', ({ player }) => player?.size?.height === 360)
      const picker = page.getByLabel('Size of the picture')
      await picker.selectOption('video-low')
      const small = await state.until('the smaller one', ({ player }) => player?.size?.height === 180)
      assert.equal(small.player?.renditions?.active, 'video-low')
      await state.until(
        'it to go on',
        ({ player }) => (player?.painted ?? 0) > (small.player?.painted ?? 0) + 60,
      )
      await picker.selectOption('auto')
      const large = await state.until('the larger one', ({ player }) => player?.size?.height === 360)
      const later = await state.until('it to go on', ({ at }) => at > large.at + 2000)
      assert.ok((later.player?.painted ?? 0) - (large.player?.painted ?? 0) > 2 * flowing)
      assert.equal(later.player?.lost, 0)
      assert.deepEqual(later.player?.errors, [])
      assert.deepEqual(errors, [])
      await page.context().close()
    })
  }

  it('is the smaller one where the connection is too narrow for the larger, and the larger where it is wide again', async test => {
    const watch = await open(browser, `http://${proxy.address}/watch/sizes?player=webcodecs&muted=1`)
    const state = new PageState(watch.page)
    await state.until('the larger one', ({ player }) => player?.size?.height === 360 && player.painted > 60)
    const { large, small: little } = await rates()
    // Room for the smaller one and what its keyframes take, and not for the larger.
    proxy.rate = Math.sqrt(large * little)
    const narrowed = await state.read()
    const small = await state.until('the smaller one', ({ player }) => player?.size?.height === 180)
    test.diagnostic(
      `${Math.round(proxy.rate)} bytes/s for ${Math.round(large)} or ${Math.round(little)}: the smaller one after ` +
        `${Math.round(small.at - narrowed.at)} ms`,
    )
    const settled = await state.until('it to be live', ({ player }) => (player?.lagMs ?? 10_000) < 1000)
    const later = await state.until('it to go on', ({ at }) => at > settled.at + 3000)
    const painted = (later.player?.painted ?? 0) - (settled.player?.painted ?? 0)
    test.diagnostic(`then ${painted} pictures in 3 s, ${Math.round(later.player?.lagMs ?? 0)} ms of lag`)
    assert.ok(painted > 3 * flowing, `${painted} pictures`)
    proxy.rate = Number.POSITIVE_INFINITY
    const wide = await state.until('the larger one', ({ player }) => player?.size?.height === 360, 60_000)
    assert.deepEqual(wide.player?.errors, [])
    assert.deepEqual(watch.errors, [])
    await watch.page.context().close()
  })

  it('is left with one where nothing was asked for', async () => {
    const one = await openOnAir(browser, gateway.http, 'broadcast=one-size&mode=webcodecs')
    const watch = await open(browser, `${gateway.http}/watch/one-size?muted=1`)
    const state = new PageState(watch.page)
    const live = await state.until('pictures', ({ player }) => (player?.painted ?? 0) > 30)
    assert.equal(live.player?.renditions, undefined)
    assert.equal(await watch.page.getByLabel('Size of the picture').isVisible(), false)
    await watch.page.context().close()
    await one.page.context().close()
  })
})
