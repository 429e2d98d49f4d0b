/**
 * The control bar, driven as a viewer does: what is painted tells its own time, by a clock in the camera's picture that
 * is read off the player at every refresh.
 */
import assert from 'node:assert/strict'
import { after, before, describe, it } from 'node:test'
import { setTimeout as pause } from 'node:timers/promises'
import type { Browser, Page } from 'playwright-core'
import { bundlePage } from '../../bench/lag/bundle.ts'
import type { Look } from '../../bench/lag/face.ts'
import { median } from '../../bench/lag/figures.ts'
import type { ProbedPage } from '../../bench/lag/probed-page.ts'
import { Stage } from '../../bench/lag/stage.ts'
import { launch } from '../support/chromium.ts'
import { type RunningGateway, startGateway } from '../support/gateway.ts'

const isSoak = process.env.SOAK === '1'
/** Milliseconds: how long it is paused, and how far it is rewound. */
const still = isSoak ? 20_000 : 2500
const back = isSoak ? 60_000 : 6000
/** Short pauses. */
const pauses = isSoak ? 20 : 3

describe('a viewer’s controls', { timeout: 600_000 }, () => {
  let gateway: RunningGateway
  let browser: Browser
  let stage: Stage
  before(async () => {
    gateway = await startGateway({ LOG_LEVEL: 'warn' })
    browser = await launch()
    const script = await bundlePage()
    const options = { browser, script, http: gateway.http, studio: 'mode=webcodecs', broadcast: 'clock' }
    stage = await Stage.open(options)
  })
  after(async () => {
    await stage?.[Symbol.asyncDispose]()
    await browser?.close()
    await gateway?.[Symbol.asyncDispose]()
  })

  for (const player of ['webcodecs', 'mse'] as const) {
    it(`pause, rewind, hurry and go live (${player})`, async () => {
      await using view = await stage.view('watch', `player=${player}&muted=1`)
      const { page } = view.page
      const viewer = new Viewer(view.page)

      // The first picture is its GOP's, and what follows hurries to what is on now: whoever stops it there sees it hurry on.
      await view.page.state.until('its join to be over', ({ player }) => (player?.painted ?? 0) > 90)
      await viewer.until('what is on now', look => ageOf(look) < 1000)
      // A pause that is shorter than a GOP: what is on is still at hand, and nothing of it is shown twice.
      for (let i = 0; i < pauses; i++) {
        await button(page, 'Pause').click()
        await view.page.state.until('a pause', ({ player }) => player?.state === 'paused')
        const short = await viewer.still()
        await button(page, 'Play').click()
        const since = await viewer.all(looks => last(looks).clock > short.clock + 500)
        const shown = since.map(({ clock }) => clock - short.clock)
        assert.ok(
          shown.every(clock => clock >= 0),
          `milliseconds from where it stood: ${shown}`,
        )
        const next = shown.find(clock => clock > 0) ?? assert.fail()
        assert.ok(next <= 150, `it went on ${next} ms further`)
      }

      const slider = page.locator('.timeline')
      const first = Number(await slider.getAttribute('min'))
      await viewer.until('something to rewind to', ({ clock }) => clock > first + back, 2 * back)

      await button(page, 'Pause').click()
      await view.page.state.until('a pause', ({ player }) => player?.state === 'paused')
      const stood = await viewer.still()
      await pause(still)
      const during = await viewer.take()
      assert.ok(during.length > 10)
      assert.deepEqual([...new Set(during.map(({ clock }) => clock))], [stood.clock], 'it stands still')

      await button(page, 'Play').click()
      const went = await viewer.until('it to go on', ({ clock }) => clock > stood.clock)
      assert.ok(went.clock - stood.clock <= 150, `it went on ${went.clock - stood.clock} ms further`)
      // It begins with a little in hand.
      await pause(700)
      await viewer.take()
      await pause(1500)
      const on = await viewer.take()
      assertSteady(on, 1)
      assert.ok(ageOf(last(on)) >= still, 'nothing was left out')

      const to = last(on).clock - back
      await slider.fill(String(to))
      const rewound = await viewer.until('an earlier picture', ({ clock }) => clock < last(on).clock - 1000)
      assert.ok(Math.abs(rewound.clock - to) < 400, `${rewound.clock - to} ms from where it was sent`)

      await page.locator('.rate').selectOption('2')
      await viewer.until('a while', ({ clock }) => clock > rewound.clock + 1000)
      await viewer.take()
      await pause(2000)
      assertSteady(await viewer.take(), 2)
      await view.page.state.until(
        'live',
        ({ player }) => player?.state === 'live',
        2 * (back + still) + 30_000,
      )
      const hurried = await viewer.take()
      assertSteady(hurried, undefined)
      const live = await viewer.until('the edge', look => ageOf(look) < 1500)
      await page.waitForFunction("document.querySelector('.rate').value === '1'")
      await pause(1500)
      const after = await viewer.take()
      assertSteady(after, 1)
      assert.ok(median(after.map(ageOf)) < 1000, `live, and ${median(after.map(ageOf))} ms behind`)

      await page.locator('h1').click()
      await page.keyboard.press('ArrowLeft')
      const again = await viewer.until('ten seconds ago', ({ clock }) => clock < live.clock)
      assert.ok(ageOf(again) > 8000, `${ageOf(again)} ms ago`)
      await button(page, 'Live').click()
      await viewer.until('what is on now', look => ageOf(look) < 1000)
      await view.page.state.until('live again', ({ player }) => player?.state === 'live')
      assert.deepEqual(view.page.errors, [])
    })
  }
})

const ageOf = ({ at, clock }: Look): number => at - clock
const last = (looks: readonly Look[]): Look => looks.at(-1) ?? assert.fail('nothing was painted')
const button = (page: Page, name: string) => page.getByRole('button', { name, exact: true })

/** Time in the picture never goes back, never stands long, and passes at a rate. @param rate undefined for any */
function assertSteady(looks: readonly Look[], rate: number | undefined): void {
  assert.ok(looks.length > 10, 'pictures were painted')
  let before: Look | undefined
  for (const look of looks) {
    if (before !== undefined) {
      assert.ok(look.clock >= before.clock, `time went back by ${before.clock - look.clock} ms`)
      const [passed, moved] = [look.at - before.at, look.clock - before.clock]
      assert.ok(moved <= 4 * passed + 400, `time jumped by ${moved} ms within ${passed}`)
    }
    before = look
  }
  if (rate === undefined) return
  const [from, to] = [looks[0] ?? assert.fail(), last(looks)]
  const pace = (to.clock - from.clock) / (to.at - from.at)
  assert.ok(Math.abs(pace - rate) < 0.2 * rate, `time passed ${pace.toFixed(2)} times as fast, not ${rate}`)
}

/** What is painted, as a viewer sees it. */
class Viewer {
  readonly #page: ProbedPage

  constructor(page: ProbedPage) {
    this.#page = page
  }

  async take(): Promise<readonly Look[]> {
    return (await this.#page.take()).looks
  }

  async until(what: string, wanted: (look: Look) => boolean, limit = 20_000): Promise<Look> {
    let found: Look | undefined
    await this.#page.until(
      what,
      ({ looks }) => {
        found = looks.find(wanted)
        return found !== undefined
      },
      limit,
    )
    return found ?? assert.fail()
  }

  /** All that is painted until it is as wanted. */
  async all(isEnough: (looks: readonly Look[]) => boolean): Promise<readonly Look[]> {
    const all: Look[] = []
    await this.#page.until('enough', ({ looks }) => {
      all.push(...looks)
      return all.length > 0 && isEnough(all)
    })
    return all
  }

  /** The picture at which it stands. */
  async still(): Promise<Look> {
    let before: Look | undefined
    for (let i = 0; i < 50; i++) {
      await pause(100)
      const looks = await this.take()
      const newest = looks.at(-1)
      if (newest !== undefined && looks.every(({ clock }) => clock === before?.clock)) return newest
      before = newest ?? before
    }
    assert.fail('the picture does not stand still')
  }
}
