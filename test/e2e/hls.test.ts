/** hls.js plays what is on, and what was, in a real Chromium. */
import assert from 'node:assert/strict'
import { execFileSync } from 'node:child_process'
import { mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, describe, it } from 'node:test'
import type { Browser, Page } from 'playwright-core'
import { launch } from '../support/chromium.ts'
import { type RunningCommand, startCommand } from '../support/command.ts'
import { type RunningGateway, startGateway } from '../support/gateway.ts'

const library = readFileSync(join(import.meta.dirname, '../../node_modules/hls.js/dist/hls.min.js'), 'utf8')

interface Seen {
  readonly time: number
  readonly frames: number
  readonly duration: number
  readonly latency: number
  readonly errors: readonly string[]
}

describe('hls.js', { timeout: 120_000 }, () => {
  const folder = mkdtempSync(join(tmpdir(), 'framelog-hls-'))
  let gateway: RunningGateway
  let browser: Browser
  let command: RunningCommand
  before(async () => {
    gateway = await startGateway({ LOG_LEVEL: 'warn' })
    browser = await launch({ camera: false })
    const source = join(folder, 'source.mp4')
    const inputs = ['-f', 'lavfi', '-i', 'testsrc2=s=320x180:r=30:d=10', '-f', 'lavfi', '-i', 'sine=440:d=10']
    const codecs = [
      '-c:v',
      'libx264',
      '-preset',
      'veryfast',
      '-tune',
      'zerolatency',
      '-g',
      '60',
      '-c:a',
      'aac',
    ]
    execFileSync('ffmpeg', ['-v', 'error', '-y', ...inputs, ...codecs, source])
    command = startCommand('publish', ['hls', source, '--loop', '--url', gateway.http])
    await command.said(/on air/)
  })
  after(async () => {
    command?.signal('SIGKILL')
    await browser?.close()
    await gateway?.[Symbol.asyncDispose]()
    rmSync(folder, { recursive: true, force: true })
  })

  const play = async (name: string): Promise<Page> => {
    const page = await browser.newPage()
    await page.route(`${gateway.http}/hls-test`, route =>
      route.fulfill({ contentType: 'text/html', body: '<video muted autoplay controls width=640></video>' }),
    )
    await page.goto(`${gateway.http}/hls-test`)
    await page.addScriptTag({ content: library })
    await page.evaluate(url => {
      const world = globalThis as never as {
        Hls: {
          new (
            options: object,
          ): {
            loadSource(url: string): void
            attachMedia(video: object): void
            on(
              event: string,
              call: (event: string, data: { type: string; details: string; fatal: boolean }) => void,
            ): void
          }
        }
        document: { querySelector(selector: string): object }
        hls: object
        errors: string[]
      }
      const hls = new world.Hls({ lowLatencyMode: true, maxLiveSyncPlaybackRate: 1.5 })
      world.hls = hls
      world.errors = []
      hls.on('hlsError', (_event, { type, details, fatal }) => {
        if (fatal) world.errors.push(`${type} ${details}`)
      })
      hls.loadSource(url)
      hls.attachMedia(world.document.querySelector('video'))
    }, `${gateway.http}/api/v1/broadcasts/hls/hls/${name}`)
    return page
  }

  const look = (page: Page): Promise<Seen> =>
    page.evaluate(() => {
      const world = globalThis as never as {
        hls: { latency: number }
        errors: string[]
        document: {
          querySelector(selector: string): {
            currentTime: number
            duration: number
            getVideoPlaybackQuality(): { totalVideoFrames: number }
          }
        }
      }
      const video = world.document.querySelector('video')
      return {
        time: video.currentTime,
        frames: video.getVideoPlaybackQuality().totalVideoFrames,
        duration: video.duration,
        latency: world.hls.latency,
        errors: world.errors,
      }
    })

  const until = async (page: Page, isSo: (seen: Seen) => boolean, what: string): Promise<Seen> => {
    const late = performance.now() + 40_000
    for (;;) {
      const seen = await look(page)
      assert.deepEqual(seen.errors, [])
      if (isSo(seen)) return seen
      assert.ok(performance.now() < late, `${what}: ${JSON.stringify(seen)}`)
      await page.waitForTimeout(100)
    }
  }

  it('plays what is on, a few parts behind', async () => {
    const page = await play('master.m3u8')
    const first = await until(page, ({ frames }) => frames > 10, 'pictures')
    const later = await until(page, ({ time }) => time > first.time + 8, 'eight seconds more')
    assert.ok(later.frames - first.frames > 200, `${later.frames - first.frames} frames`)
    assert.ok(later.latency > 0 && later.latency < 6, `${later.latency} s behind`)
    await page.close()
  })

  it('plays a recording, and finds its way in it', async () => {
    command.signal('SIGINT')
    assert.equal(await command.ended(), 0)
    const page = await play('recording.m3u8')
    const { duration } = await until(page, ({ frames, time }) => frames > 30 && time > 1, 'the beginning')
    assert.ok(duration > 8, `${duration} s`)
    await page.evaluate(to => {
      const world = globalThis as never as {
        document: { querySelector(selector: string): { currentTime: number } }
      }
      world.document.querySelector('video').currentTime = to
    }, duration - 3)
    await until(page, ({ time }) => time > duration - 2, 'its end')
    await page.close()
  })
})
