/** The MediaSource player where there is only a managed one, as on an iPhone: the browser throws away what it likes. */
import assert from 'node:assert/strict'
import { after, before, describe, it } from 'node:test'
import type { Browser, Page } from 'playwright-core'
import { launch, open, type WatchedPage } from '../support/chromium.ts'
import { publishRecording } from '../support/clients.ts'
import { framesOf } from '../support/encoded.ts'
import { ffmpeg } from '../support/ffmpeg.ts'
import { type RunningGateway, startGateway } from '../support/gateway.ts'
import { openOnAir, PageState, pictures } from '../support/pages.ts'
import { managedSource } from '../support/scripts.ts'

interface Managed {
  readonly made: number
  readonly appended: number
  say(name: 'startstreaming' | 'endstreaming'): void
  evict(from: number, to: number): Promise<void>
}
type Holder = { readonly managed: Managed }

const say = (page: Page, name: 'startstreaming' | 'endstreaming'): Promise<void> =>
  page.evaluate(said => (globalThis as never as Holder).managed.say(said), name)
/** @param from seconds after what is played now. @param to the same */
const evict = (page: Page, from: number, to: number): Promise<void> =>
  page.evaluate(([a, b]) => (globalThis as never as Holder).managed.evict(a, b), [from, to] as const)
const counted = (page: Page): Promise<{ made: number; appended: number }> =>
  page.evaluate(() => {
    const { made, appended } = (globalThis as never as Holder).managed
    return { made, appended }
  })

describe('the MediaSource player on a managed source', { timeout: 120_000 }, () => {
  let gateway: RunningGateway
  let browser: Browser
  let length: number
  before(async () => {
    gateway = await startGateway({ LOG_LEVEL: 'warn' })
    browser = await launch()
    const { tracks, frames } = framesOf(
      ffmpeg(
        ...['-f', 'lavfi', '-i', 'testsrc2=size=320x180:rate=30', '-f', 'lavfi', '-i', 'sine=f=440:r=48000'],
        ...['-t', '12', '-c:v', 'libvpx', '-b:v', '300k', '-deadline', 'realtime', '-cpu-used', '8'],
        ...['-g', '30', '-c:a', 'libopus', '-f', 'webm'],
      ),
    )
    length = frames.filter(({ track }) => track === 'video').length
    await publishRecording(gateway.ws, 'recorded', { catalog: { version: 1, tracks }, frames })
    await openOnAir(browser, gateway.http, 'broadcast=camera')
  })
  after(async () => {
    await browser?.close()
    await gateway?.[Symbol.asyncDispose]()
  })

  const watch = (id: string): Promise<WatchedPage> =>
    open(browser, `${gateway.http}/watch/${id}?player=mse&muted=1`, [managedSource])

  it('plays what is on now, also where it is told that there is enough', async () => {
    const { page, errors } = await watch('camera')
    const view = new PageState(page)
    await view.until('pictures', ({ player }) => (player?.painted ?? 0) > 30)
    assert.equal(await pictures(page, 10), 10)
    await say(page, 'endstreaming')
    const { player: before } = await view.read()
    const { player } = await view.until(
      'pictures after it',
      ({ player }) => (player?.painted ?? 0) > (before?.painted ?? 0) + 60,
    )
    assert.equal((await counted(page)).made, 1)
    assert.deepEqual([player?.errors, errors], [[], []])
    await page.close()
  })

  it('joins what is on now anew where all of it was thrown away', async () => {
    const { page, errors } = await watch('camera')
    const view = new PageState(page)
    const { player: before } = await view.until('pictures', ({ player }) => (player?.painted ?? 0) > 60)
    await evict(page, -100, 100)
    const { player } = await view.until(
      'the edge again',
      ({ player }) =>
        (player?.painted ?? 0) > (before?.painted ?? 0) + 60 &&
        (player?.mediaTime ?? 0) > (before?.mediaTime ?? 0) + 2_000_000 &&
        (player?.lagMs ?? 1e9) < 1000,
    )
    assert.equal((await counted(page)).made, 2)
    assert.deepEqual([player?.errors, errors], [[], []])
    await page.close()
  })

  it('appends nothing of a replay while there is enough, and all of it in the end', async () => {
    const { page, errors } = await watch('recorded')
    const view = new PageState(page)
    await view.until('pictures', ({ player }) => (player?.painted ?? 0) > 10)
    await say(page, 'endstreaming')
    const { player: before } = await view.read()
    await view.until(
      'three seconds',
      ({ player }) => (player?.mediaTime ?? 0) > (before?.mediaTime ?? 0) + 3_000_000,
    )
    // A replay runs 10 s ahead: but for this, all 12 would be in by now.
    const { appended } = await counted(page)
    await say(page, 'startstreaming')
    const { player } = await view.until('the end', ({ player }) => player?.state === 'ended')
    const all = (await counted(page)).appended
    assert.ok(appended < 0.95 * all, `${appended} of ${all} bytes were appended`)
    assert.ok((player?.painted ?? 0) > length * 0.9, `${player?.painted} of ${length} pictures`)
    assert.deepEqual([player?.lost, player?.errors, errors], [0, [], []])
    await page.close()
  })

  const evictions = [
    ['what is still to be played', 1, 4],
    ['all that there is', -100, 100],
  ] as const
  for (const [what, from, to] of evictions.slice(0, process.env.SOAK === '1' ? 2 : 1)) {
    it(`plays a recording to its end, and all of it, where the browser throws away ${what}`, async () => {
      const { page, errors } = await watch('recorded')
      const view = new PageState(page)
      await view.until('pictures', ({ player }) => (player?.painted ?? 0) > 40)
      await evict(page, from, to)
      const seen: number[] = []
      const { player } = await view.until('the end', ({ player }) => {
        if (player?.mediaTime !== undefined) seen.push(player.mediaTime / 1_000_000)
        return player?.state === 'ended'
      })
      const steps = seen.slice(1).map((time, i) => time - (seen[i] ?? 0))
      assert.ok(Math.max(...steps) < 0.5, `it went over ${Math.max(...steps)} s`)
      assert.ok(Math.min(...steps) > -0.5, `it went back by ${-Math.min(...steps)} s`)
      assert.ok((player?.painted ?? 0) > length * 0.9, `${player?.painted} of ${length} pictures`)
      assert.equal((await counted(page)).made, 2)
      assert.deepEqual([player?.lost, player?.errors, errors], [0, [], []])
      await page.close()
    })
  }
})
