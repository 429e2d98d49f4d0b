/** Data beside the pictures: boxes on the frame that they belong to, and thumbnails in the list. */
import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import { join } from 'node:path'
import { after, before, describe, it } from 'node:test'
import type { Browser, Page } from 'playwright-core'
import { launch, open } from '../support/chromium.ts'
import { type RunningGateway, startGateway } from '../support/gateway.ts'
import { openOnAir } from '../support/pages.ts'

interface Drawn {
  /** Media time of the picture on the page, and of the boxes over it, microseconds. */
  readonly shown: number
  readonly boxes: number
}

/** What is on the page at each of so many refreshes, after all that draws has drawn. */
const drawn = (page: Page, count: number): Promise<Drawn[]> =>
  page.evaluate(async wanted => {
    const dom = globalThis as never as {
      framelog: { player: { mediaTime: number } }
      document: { querySelector(selector: string): { dataset: { moment?: string } } | null }
      requestAnimationFrame(call: () => void): void
    }
    const seen: Drawn[] = []
    while (seen.length < wanted) {
      await new Promise<void>(resolve => dom.requestAnimationFrame(() => setTimeout(resolve, 0)))
      const moment = dom.document.querySelector('.overlay')?.dataset.moment
      seen.push({ shown: dom.framelog.player.mediaTime, boxes: Number(moment ?? Number.NaN) })
    }
    return seen
  }, count)

describe('data beside the pictures', { timeout: 120_000 }, () => {
  let gateway: RunningGateway
  let browser: Browser
  before(async () => {
    gateway = await startGateway({ LOG_LEVEL: 'warn' })
    browser = await launch()
    await openOnAir(browser, gateway.http, 'broadcast=boxes&mode=webcodecs')
  })
  after(async () => {
    await browser?.close()
    await gateway?.[Symbol.asyncDispose]()
  })

  it('is drawn on the frame that it belongs to, by the example and by the page', async () => {
    const root = join(import.meta.dirname, '..', '..')
    const example = spawn(process.execPath, [join(root, 'examples/boxes.ts'), 'boxes', gateway.http], {
      stdio: ['ignore', 'pipe', 'inherit'],
    })
    try {
      // A few seconds of them.
      await new Promise<void>((resolve, reject) => {
        example.stdout.on('data', (text: Buffer) => {
          if (String(text).includes('100 boxes')) resolve()
        })
        example.once('exit', code => reject(new Error(`the example ended with ${code}`)))
      })
      for (const player of ['webcodecs', 'mse']) {
        const { page, errors } = await open(
          browser,
          `${gateway.http}/watch/boxes?from=start&muted=1&player=${player}`,
        )
        const isDrawn = "document.querySelectorAll('.overlay .box span').length === 1"
        await page.waitForFunction(isDrawn)
        const seen = (await drawn(page, 60)).filter(({ boxes }) => !Number.isNaN(boxes))
        assert.ok(seen.length > 30)
        // The element of MediaSource says what it shows a refresh or two late.
        const off = seen.filter(({ shown, boxes }) => shown !== boxes)
        assert.ok(off.length <= seen.length / 10, `${player}: ${JSON.stringify(off)}`)
        assert.ok(new Set(seen.map(({ boxes }) => boxes)).size > 15, 'one for each frame')
        assert.match(await page.locator('.overlay .box span').innerText(), /^\d+\.\d\d s$/)
        // None is left of where the viewer was.
        await page.getByRole('button', { name: 'From the start' }).click()
        const after = await drawn(page, 90)
        assert.ok(after.some(({ shown }) => shown < (seen.at(-1)?.shown ?? 0)))
        const left = after.filter(({ shown, boxes }) => boxes > shown + 100_000)
        assert.deepEqual(left, [])
        assert.deepEqual(errors, [])
        await page.close()
      }
    } finally {
      example.removeAllListeners('exit')
      example.kill()
    }
  })

  it('is in the list as a picture of the camera, and an empty one where there is none', async () => {
    const image = (): Promise<Response> => fetch(`${gateway.http}/api/v1/broadcasts/boxes/thumbnail`)
    let response = await image()
    while (response.status === 404) {
      await new Promise(resolve => setTimeout(resolve, 200))
      response = await image()
    }
    assert.equal(response.headers.get('content-type'), 'image/jpeg')
    const { page, errors } = await open(browser, `${gateway.http}/`)
    const shown =
      'document.querySelector(".card img")?.complete && document.querySelector(".card img").naturalWidth'
    await page.waitForFunction(`(${shown}) === 256`)
    assert.deepEqual(errors, [])
    await page.close()
  })
})
