/**
 * Both ways to publish and both ways to watch, on either log: the same frames, pictures and sound. Speeds are
 * printed, not judged.
 */
import assert from 'node:assert/strict'
import { after, before, describe, it } from 'node:test'
import type { Browser } from 'playwright-core'
import { isAudio, isVideo } from '../../src/media/catalog.ts'
import type { Frame } from '../../src/media/frame.ts'
import { launch, open } from '../support/chromium.ts'
import { TestViewer } from '../support/clients.ts'
import { beeps, flashes, probePackets } from '../support/ffprobe.ts'
import { type RunningGateway, startGateway } from '../support/gateway.ts'
import { type KafkaCluster, startKafka } from '../support/kafka.ts'
import { PageState, pictures } from '../support/pages.ts'
import { flashingCamera, keepRecordings } from '../support/scripts.ts'

/** Both over both in the long form. */
const publisherModes =
  process.env.SOAK === '1'
    ? ({ 'the embedded log': ['webcodecs', 'mediarecorder'], Kafka: ['webcodecs', 'mediarecorder'] } as const)
    : ({ 'the embedded log': ['mediarecorder'], Kafka: ['webcodecs'] } as const)
const playerModes = ['webcodecs', 'mse'] as const

for (const log of ['the embedded log', 'Kafka'] as const) {
  describe(`publisher and player modes over ${log}`, { timeout: 280_000 }, () => {
    let gateway: RunningGateway
    let kafka: KafkaCluster | undefined
    let browser: Browser

    before(async () => {
      if (log === 'Kafka') kafka = await startKafka()
      const servers = kafka === undefined ? {} : { BOOTSTRAP_SERVERS: kafka.bootstrapServers }
      gateway = await startGateway({ LOG_LEVEL: 'warn', ...servers })
      browser = await launch()
    })
    after(async () => {
      await browser?.close()
      await gateway?.[Symbol.asyncDispose]()
      await kafka?.[Symbol.asyncDispose]()
    })

    for (const mode of publisherModes[log]) {
      it(`${mode} is seen and heard by both players, and is in the log as its encoder gave it`, async () => {
        const id = `by-${mode}`
        const studio = await open(
          browser,
          `${gateway.http}/static/index.html?broadcast=${id}&autostart=1&mode=${mode}`,
          [keepRecordings],
        )
        const sending = new PageState(studio.page)
        const { publisher: begun } = await sending.until(
          'on air',
          ({ publisher }) => publisher?.state === 'live',
        )
        assert.equal(begun?.mode, mode)
        for (const player of playerModes) {
          const watch = await open(browser, `${gateway.http}/watch/${id}?player=${player}`)
          const view = new PageState(watch.page)
          const from = await view.until(
            'live with sound',
            ({ player }) => player?.state === 'live' && (player.audio?.samplesPlayed ?? 0) > 96_000,
          )
          assert.equal(from.player?.mode, player)
          assert.equal(await pictures(watch.page, 30), 30, 'the page shows changing pictures')
          const to = await view.until(
            '5 s of media',
            ({ player }) => (player?.mediaTime ?? 0) > (from.player?.mediaTime ?? 0) + 5_000_000,
          )
          const painted = (to.player?.painted ?? 0) - (from.player?.painted ?? 0)
          const media = ((to.player?.mediaTime ?? 0) - (from.player?.mediaTime ?? 0)) / 1e6
          const skew = to.player?.audio?.avSkewMs ?? Number.NaN
          console.log(
            `${log}, ${mode} to ${player}: ${((painted * 1000) / (to.at - from.at)).toFixed(1)} pictures/s, ` +
              `lag ${Math.round(to.player?.lagMs ?? 0)} ms, sound off by ${Math.round(skew)} ms, join ${Math.round(to.player?.joinMs ?? 0)} ms`,
          )
          // Of the 30 that a second of media has, most must be seen, however slow the machine.
          assert.ok(painted / media > 20, `${painted} pictures in ${media} s of media`)
          assert.ok(Math.abs(skew) < 60, `sound is off by ${skew} ms`)
          assert.deepEqual(watch.errors, [])
          assert.deepEqual(to.player?.errors, [])
          await watch.page.close()
        }
        await studio.page.getByRole('button', { name: /stop/i }).first().click()
        const { publisher } = await sending.until('the end', ({ publisher }) => publisher?.state === 'ended')
        assert.equal(publisher?.dropped, 0)
        const { frames } = await framesOf(gateway, id)
        const count = (track: string): number => frames.filter(frame => frame.track === track).length
        assert.deepEqual({ video: count('video'), audio: count('audio') }, publisher?.encoded)
        assert.ok(frames.every(({ capturedAt }) => capturedAt !== undefined))
        if (mode === 'mediarecorder') {
          const text = await studio.page.evaluate(() =>
            (globalThis as never as { recorded(): Promise<string> }).recorded(),
          )
          assert.deepEqual(frames.map(seenBy), probePackets(Buffer.from(text, 'base64')))
        }
        assert.deepEqual(studio.errors, [])
        await studio.page.close()
      })

      it(`${mode} keeps picture and sound together`, async () => {
        const id = `flash-${mode}`
        const { page, errors } = await open(
          browser,
          `${gateway.http}/static/index.html?broadcast=${id}&autostart=1&mode=${mode}`,
          [flashingCamera],
        )
        const sending = new PageState(page)
        await sending.until('6 s of pictures', ({ publisher }) => (publisher?.encoded.video ?? 0) > 180)
        await page.getByRole('button', { name: /stop/i }).first().click()
        await sending.until('the end', ({ publisher }) => publisher?.state === 'ended')
        const { frames, catalog } = await framesOf(gateway, id)
        const [video, audio] = [catalog.tracks.find(isVideo), catalog.tracks.find(isAudio)]
        assert.ok(video !== undefined && audio !== undefined)
        const seen = flashes(
          video,
          frames.filter(({ track }) => track === video.name),
        )
        const heard = beeps(
          audio,
          frames.filter(({ track }) => track === audio.name),
        )
        const offs = heard.flatMap(time => {
          const nearest = seen.toSorted((a, b) => Math.abs(a - time) - Math.abs(b - time))[0]
          return nearest !== undefined && Math.abs(nearest - time) < 0.4 ? [(time - nearest) * 1000] : []
        })
        offs.sort((a, b) => a - b)
        const median = offs[offs.length >> 1] ?? Number.NaN
        console.log(`${log}, ${mode}: sound behind the picture by ${offs.map(Math.round)} ms`)
        assert.ok(
          offs.length >= 4,
          `${seen.length} flashes, ${heard.length} beeps in ${frames.length} frames`,
        )
        // A page that gets a third of a core draws and hands over its pictures up to 100 ms after their moment.
        assert.ok(Math.abs(median) < 150, `sound is off by ${median} ms`)
        assert.deepEqual(errors, [])
        await page.close()
      })
    }
  })
}

const seenBy = ({ track, timestamp, keyframe, data }: Frame): ReturnType<typeof probePackets>[number] => ({
  kind: track === 'video' ? 'video' : 'audio',
  time: timestamp / 1000,
  keyframe,
  bytes: data.byteLength,
})

/** Everything that is in the log. */
async function framesOf(gateway: RunningGateway, id: string) {
  const viewer = await TestViewer.connect(gateway.ws, id, 'start')
  const { session = '', catalog } = await viewer.next('catalog')
  viewer.send({ type: 'position', session, timestamp: 3_600_000_000 })
  await viewer.next('end')
  await viewer.close()
  return { catalog, frames: viewer.frames().map(({ frame }) => frame) }
}
