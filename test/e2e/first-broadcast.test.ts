/**
 * The main job on real parts: a camera in one page, seen and heard in others, on either log. What is asserted is
 * painted pixels, advancing media time, and that nothing is lost; speeds are printed, not judged.
 */
import assert from 'node:assert/strict'
import { execFileSync } from 'node:child_process'
import { after, before, describe, it } from 'node:test'
import type { Browser, Page } from 'playwright-core'
import { launch, open, type WatchedPage } from '../support/chromium.ts'
import { TestViewer } from '../support/clients.ts'
import { type RunningGateway, startGateway } from '../support/gateway.ts'
import { type KafkaCluster, startKafka } from '../support/kafka.ts'
import { PageState, pictures } from '../support/pages.ts'

const soak = process.env.SOAK === '1'

/** What is read off a canvas on the page. */
interface Canvas {
  readonly width: number
  readonly height: number
  getContext(kind: '2d'): { getImageData(...area: number[]): { readonly data: Uint8ClampedArray } }
}

interface Backend {
  readonly name: string
  start(): Promise<{ gateway: RunningGateway; kafka?: KafkaCluster }>
}

const backends: readonly Backend[] = [
  { name: 'the embedded log', start: async () => ({ gateway: await startGateway({ LOG_LEVEL: 'warn' }) }) },
  {
    name: 'Kafka',
    start: async () => {
      const kafka = await startKafka()
      const gateway = await startGateway({ LOG_LEVEL: 'warn', BOOTSTRAP_SERVERS: kafka.bootstrapServers })
      return { gateway, kafka }
    },
  },
]

for (const backend of backends) {
  describe(`a camera over ${backend.name}`, { timeout: 280_000 }, () => {
    let gateway: RunningGateway
    let kafka: KafkaCluster | undefined
    let browser: Browser
    let studio: WatchedPage
    let state: PageState

    before(async () => {
      ;({ gateway, kafka } = await backend.start())
      browser = await launch()
    })
    after(async () => {
      await browser?.close()
      await gateway?.[Symbol.asyncDispose]()
      await kafka?.[Symbol.asyncDispose]()
    })

    it('reaches a viewer who waits for it', async () => {
      const watch = await open(browser, `${gateway.http}/watch/camera`)
      const viewer = new PageState(watch.page)
      await viewer.until('waiting', ({ player }) => player?.state === 'waiting')
      studio = await open(browser, `${gateway.http}/static/index.html?broadcast=camera&autostart=1`)
      state = new PageState(studio.page)
      const first = await viewer.until('a picture', ({ player }) => (player?.painted ?? 0) > 0)
      const opened = await studio.page.evaluate(
        () =>
          performance.timeOrigin +
          (globalThis as never as { framelog: { publisher: { openedAt: number } } }).framelog.publisher
            .openedAt,
      )
      const painted = await watch.page.evaluate(
        () =>
          performance.timeOrigin +
          (globalThis as never as { framelog: { player: { firstPaintAt: number } } }).framelog.player
            .firstPaintAt,
      )
      console.log(
        `${backend.name}: publisher's socket open to a waiting viewer's picture ${Math.round(painted - opened)} ms`,
      )
      assert.ok((first.player?.painted ?? 0) > 0)
      assert.deepEqual(watch.errors, [])
      await watch.page.close()
    })

    it('paints moving pictures with sound in the studio and on the watch page', async () => {
      const watch = await open(browser, `${gateway.http}/watch/camera`)
      const pages: [string, Page][] = [
        ['studio', studio.page],
        ['watch', watch.page],
      ]
      for (const [name, page] of pages) {
        const view = new PageState(page)
        await view.until(
          'live with sound',
          ({ player }) => player?.state === 'live' && (player.audio?.samplesPlayed ?? 0) > 48_000,
        )
        const from = await view.read()
        const seen = await pictures(page, 30)
        const to = await view.until(
          'some seconds of media',
          ({ player }) => (player?.mediaTime ?? 0) > (from.player?.mediaTime ?? 0) + (soak ? 5e6 : 3e6),
        )
        assert.ok(seen >= 30, 'the canvas shows changing pictures')
        const seconds = (to.at - from.at) / 1000
        const painted = (to.player?.painted ?? 0) - (from.player?.painted ?? 0)
        const media = ((to.player?.mediaTime ?? 0) - (from.player?.mediaTime ?? 0)) / 1e6
        console.log(
          `${backend.name}, ${name}: ${(painted / seconds).toFixed(1)} pictures/s, lag ${Math.round(to.player?.lagMs ?? 0)} ms, ` +
            `sound off by ${Math.round(to.player?.audio?.avSkewMs ?? 0)} ms, join ${Math.round(to.player?.joinMs ?? 0)} ms`,
        )
        // Of the 30 that a second of media has, most must be seen, however slow the machine.
        assert.ok(painted / media > 20, `${painted} pictures in ${media} s of media`)
        // The made-up microphone beeps once a second.
        await view.until('a beep', ({ player }) => (player?.audio?.peak ?? 0) > 0.01)
      }
      assert.deepEqual(studio.errors, [])
      assert.deepEqual(watch.errors, [])
      await watch.page.close()
    })

    it('tells where the lag goes, from the camera to the screen', async () => {
      const ours = ['encoded', 'sent', 'received', 'read', 'relayed', 'arrived', 'painted']
      for (const player of ['webcodecs', 'mse']) {
        const watch = await open(browser, `${gateway.http}/watch/camera?muted=1&player=${player}`)
        const view = new PageState(watch.page)
        const isTold = (way: { spans: object } | undefined): boolean =>
          way !== undefined && ours.every(name => name in way.spans)
        await view.until('its join to be over', ({ player }) => (player?.painted ?? 0) > 90)
        const told = await view.until('the way', ({ player }) => isTold(player?.way))
        const { spans, total } = told.player?.way ?? assert.fail()
        const words = Object.entries(spans).map(([name, span]) => `${name} ${span.toFixed(1)}`)
        console.log(`${backend.name}, ${player}: ${total.toFixed(1)} ms: ${words.join(', ')}`)
        // MediaSource keeps to itself when a picture is decoded.
        assert.equal('decoded' in spans, player === 'webcodecs')
        const sum = Object.values(spans).reduce((all, span) => all + span, 0)
        assert.ok(Math.abs(sum - total) < 0.001, `${sum} ms in parts of ${total} ms`)
        assert.ok(Object.values(spans).every(span => span >= 0))
        await watch.page.locator('summary').click()
        const chart = watch.page.getByRole('region', { name: 'Where the lag goes' })
        await chart.getByText('Log writes').waitFor()
        const colours = await chart.locator('canvas').evaluate((canvas: Canvas) => {
          const { width, height } = canvas
          const { data } = canvas.getContext('2d').getImageData(width - 4, 0, 1, height)
          const column = Array.from({ length: height }, (_, y) => data.slice(y * 4, y * 4 + 3).join())
          return new Set(column).size
        })
        assert.ok(colours >= 4, `${colours} colours in the newest column`)
        assert.deepEqual(watch.errors, [])
        await watch.page.close()
      }
    })

    it('lets viewers join at any moment between two keyframes', async () => {
      const joins: { ms: number; phase: number }[] = []
      for (let i = 0; i < (soak ? 20 : 4); i++) {
        // Any moment will do: how far into its GOP the broadcast stands is read off afterwards.
        const watch = await open(browser, `${gateway.http}/watch/camera?muted=1`)
        const view = new PageState(watch.page)
        const { player } = await view.until('a picture', ({ player }) => (player?.painted ?? 0) > 0)
        joins.push({ ms: player?.joinMs ?? Number.NaN, phase: player?.joinPhaseMs ?? Number.NaN })
        assert.deepEqual(watch.errors, [])
        await watch.page.close()
      }
      const sorted = joins.map(({ ms }) => ms).sort((a, b) => a - b)
      const p95 = sorted[Math.ceil(0.95 * sorted.length) - 1] ?? Number.NaN
      console.log(
        `${backend.name}: ${joins.length} joins, median ${Math.round(sorted[sorted.length >> 1] ?? 0)} ms, p95 ${Math.round(p95)} ms, ` +
          `correlation with the time into the GOP ${correlation(joins).toFixed(2)}`,
      )
      assert.ok(joins.every(({ ms }) => Number.isFinite(ms)))
    })

    it('has every frame that the encoders gave in the log, once and in order', async () => {
      await studio.page.getByRole('button', { name: /stop/i }).first().click()
      const { publisher } = await state.until('the end', ({ publisher }) => publisher?.state === 'ended')
      assert.ok(publisher !== undefined && publisher.encoded.video > 100 && publisher.encoded.audio > 100)
      assert.equal(publisher.dropped, 0)
      const viewer = await TestViewer.connect(gateway.ws, 'camera', 'start')
      const { session = '' } = await viewer.next('catalog')
      viewer.send({ type: 'position', session, timestamp: 3_600_000_000 })
      await viewer.next('end')
      const tracks = { video: 0, audio: 0 }
      for (const { frame } of viewer.frames()) tracks[frame.track as keyof typeof tracks] += 1
      assert.deepEqual(tracks, publisher.encoded)
      assert.deepEqual(
        viewer.sequences,
        viewer.sequences.map((_, i) => i),
      )
      for (const track of ['video', 'audio']) {
        const times = viewer
          .frames()
          .filter(({ frame }) => frame.track === track)
          .map(({ frame }) => frame.timestamp)
        assert.ok(
          times.every((time, i) => i === 0 || time > (times[i - 1] ?? 0)),
          `${track} goes forward`,
        )
      }
      await viewer.close()
    })

    it('shows a recording from its start to its end', async () => {
      const sender = await open(browser, `${gateway.http}/static/index.html?broadcast=short&autostart=1`)
      const sending = new PageState(sender.page)
      await sending.until('2 s of frames', ({ publisher }) => (publisher?.encoded.video ?? 0) > 60)
      await sender.page.getByRole('button', { name: /stop/i }).first().click()
      await sending.until('the end', ({ publisher }) => publisher?.state === 'ended')
      await sender.page.close()
      const recorded = await recordedPictures(gateway, 'short')
      const watch = await open(browser, `${gateway.http}/watch/short?muted=1`)
      const view = new PageState(watch.page)
      const { player } = await view.until('the end', ({ player }) => player?.state === 'ended')
      assert.equal(player?.firstMediaTime, recorded[0])
      assert.equal(player?.mediaTime, recorded.at(-1))
      console.log(`${backend.name}: ${player?.painted} of ${recorded.length} recorded pictures painted`)
      assert.ok((player?.painted ?? 0) > recorded.length * 0.7)
      // What has played to its end plays once more.
      await watch.page.getByRole('button', { name: 'Play', exact: true }).click()
      const half = (recorded.at(-1) ?? 0) / 2
      await view.until('its first half', ({ player }) => (player?.mediaTime ?? half) < half)
      const again = await view.until('the end again', ({ player }) => player?.state === 'ended')
      assert.equal(again.player?.mediaTime, recorded.at(-1))
      assert.deepEqual(watch.errors, [])
      await watch.page.close()
    })

    it('is listed on the front page', async () => {
      const { page, errors } = await open(browser, `${gateway.http}/`)
      await page.getByText('camera', { exact: true }).first().waitFor()
      assert.deepEqual(errors, [])
      await page.close()
    })

    if (backend.name === 'Kafka') {
      it('can be listed with its headers by kcat', () => {
        const lines = execFileSync(
          'kcat',
          [
            '-C',
            '-b',
            kafka?.bootstrapServers ?? '',
            '-t',
            'video-camera',
            '-e',
            '-q',
            '-f',
            '%o %k %S %h\n',
          ],
          { encoding: 'utf8', maxBuffer: 64 * 1024 * 1024 },
        )
          .trim()
          .split('\n')
        assert.match(lines[0] ?? '', /^0 \.session \d+ v=1$/)
        assert.match(
          lines[1] ?? '',
          /^1 \.catalog \d+ v=1,s=[a-z0-9]{8},e=0,start=\d+,rh=[0-9a-f]{64},crc=[0-9a-f]{8}$/,
        )
        assert.ok(lines.some(line => /^\d+ video \d+ v=1,s=.*,n=\d+,t=\d+,.*k=1/.test(line)))
        assert.match(lines.at(-1) ?? '', /\.end/)
      })
    }
  })
}

/** Media times of the pictures in the log. */
async function recordedPictures(gateway: RunningGateway, id: string): Promise<number[]> {
  const viewer = await TestViewer.connect(gateway.ws, id, 'start')
  const { session = '' } = await viewer.next('catalog')
  viewer.send({ type: 'position', session, timestamp: 3_600_000_000 })
  await viewer.next('end')
  await viewer.close()
  return viewer.frames().flatMap(({ frame }) => (frame.track === 'video' ? [frame.timestamp] : []))
}

/** Pearson's, between how long a join took and how far into its GOP the broadcast was. */
function correlation(joins: readonly { ms: number; phase: number }[]): number {
  const mean = (values: number[]): number => values.reduce((sum, value) => sum + value, 0) / values.length
  const [a, b] = [mean(joins.map(({ ms }) => ms)), mean(joins.map(({ phase }) => phase))]
  let [ab, aa, bb] = [0, 0, 0]
  for (const { ms, phase } of joins) {
    ab += (ms - a) * (phase - b)
    aa += (ms - a) ** 2
    bb += (phase - b) ** 2
  }
  return ab / Math.sqrt(aa * bb)
}
