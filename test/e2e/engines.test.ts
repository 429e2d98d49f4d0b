/**
 * Engines beside each other: what one sends the others show. Painted pixels, media time that goes on, sound, and no
 * error on any page; speeds are printed, not judged.
 */
import assert from 'node:assert/strict'
import { after, before, describe, it } from 'node:test'
import { launchChromium } from '../support/chromium.ts'
import { type DrivenPage, type Engine, otherHost } from '../support/engine.ts'
import { launchFirefox } from '../support/firefox.ts'
import { type RunningGateway, startGateway } from '../support/gateway.ts'
import { PageState, pictures } from '../support/pages.ts'
import { launchWebKit } from '../support/webkit.ts'

const launchers = {
  Chromium: launchChromium,
  Firefox: launchFirefox,
  'Firefox without a sound card': () => launchFirefox({ soundCard: false }),
  WebKit: launchWebKit,
} as const
type Name = keyof typeof launchers

/** WebKit's element plays no sound where there is no sound card, and holds the picture for it. */
type Way = 'webcodecs' | 'mse' | 'mse, muted' | 'plain http'

interface Studio {
  readonly engine: Name
  readonly mode: 'webcodecs' | 'mediarecorder'
  /** Who watches, and how; over plain http from another machine a page has to choose by itself. */
  readonly viewers: readonly (readonly [Name, Way])[]
}

/**
 * What Chromium shows of itself is seen to elsewhere. WebKitGTK's MediaSource is shown VP8 only: of H.264 it takes each
 * picture for a sixtieth of a second, whatever is written, and drops what follows one that is longer.
 */
const studios: readonly Studio[] = [
  {
    engine: 'Firefox',
    mode: 'webcodecs',
    viewers: [
      ['Firefox', 'webcodecs'],
      ['Firefox', 'mse'],
      ['Chromium', 'webcodecs'],
    ],
  },
  {
    engine: 'Firefox without a sound card',
    mode: 'mediarecorder',
    viewers: [
      ['Firefox', 'webcodecs'],
      ['Firefox', 'mse'],
      ['Chromium', 'mse'],
    ],
  },
  {
    engine: 'Chromium',
    mode: 'webcodecs',
    viewers: [
      ['Firefox', 'webcodecs'],
      ['Firefox', 'mse'],
      ['Firefox', 'plain http'],
      ['WebKit', 'webcodecs'],
    ],
  },
  {
    engine: 'Chromium',
    mode: 'mediarecorder',
    viewers: [
      ['Firefox', 'webcodecs'],
      ['Firefox', 'mse'],
      ['WebKit', 'mse, muted'],
    ],
  },
  { engine: 'WebKit', mode: 'webcodecs', viewers: [['Chromium', 'webcodecs']] },
]

/** One studio of each other engine, and all of them in the long form. */
const chosen = process.env.SOAK
  ? studios
  : studios.filter(({ engine, mode }) => engine !== 'Chromium' && mode === 'webcodecs')

const addresses: Readonly<Record<Way, string>> = {
  webcodecs: '?player=webcodecs',
  mse: '?player=mse',
  'mse, muted': '?player=mse&muted=1',
  'plain http': '',
}

describe('engines', { timeout: 280_000 }, () => {
  let gateway: RunningGateway
  const engines = new Map<Name, Engine>()
  const open = async (name: Name, url: string): Promise<DrivenPage> => {
    const engine = engines.get(name) ?? (await launchers[name]())
    engines.set(name, engine)
    return engine.open(url)
  }

  before(async () => {
    gateway = await startGateway({ LOG_LEVEL: 'warn' })
  })
  after(async () => {
    for (const launched of engines.values()) await launched[Symbol.asyncDispose]()
    await gateway?.[Symbol.asyncDispose]()
  })

  for (const { engine: sender, mode, viewers } of chosen) {
    describe(`${sender} sends by ${mode}`, () => {
      const id = `${sender.toLowerCase().replaceAll(' ', '-')}-${mode}`
      let studio: DrivenPage

      before(async () => {
        studio = await open(
          sender,
          `${gateway.http}/static/index.html?broadcast=${id}&autostart=1&mode=${mode}`,
        )
        const { publisher } = await new PageState(studio).until(
          'picture and sound in the log',
          ({ publisher }) =>
            publisher?.state === 'live' && publisher.encoded.audio > 0 && publisher.acknowledged > 30,
        )
        assert.equal(publisher?.mode, mode)
      })
      after(() => studio?.close())

      for (const [viewer, way] of viewers) {
        it(`and ${viewer} shows it by ${way}`, async () => {
          const isPlain = way === 'plain http'
          const base = isPlain ? gateway.http.replace('127.0.0.1', otherHost) : gateway.http
          const watch = await open(viewer, `${base}/watch/${id}${addresses[way]}`)
          try {
            assert.equal(await isSecure(watch), !isPlain)
            await plays(watch, way, `${sender}, ${mode} → ${viewer}, ${way}`)
          } finally {
            await watch.close()
          }
        })
      }

      it('and keeps its replay beside the camera going', async () => {
        const view = new PageState(studio)
        const { player: from } = await view.until('a picture', ({ player }) => (player?.painted ?? 0) > 0)
        await view.until(
          'further pictures',
          ({ player }) => (player?.painted ?? 0) > (from?.painted ?? 0) + 30,
        )
        assert.deepEqual(studio.errors, [])
      })
    })
  }
})

const isSecure = (page: DrivenPage): Promise<boolean> =>
  page.evaluate(() => (globalThis as never as { isSecureContext: boolean }).isSecureContext)

/** Waits for pictures that change, for media time that goes on, and for sound. */
async function plays(page: DrivenPage, way: Way, what: string): Promise<void> {
  const samples = way === 'mse, muted' ? 0 : 24_000
  const view = new PageState(page)
  const from = await view.until(
    'a live picture with its sound',
    ({ player }) =>
      player?.state === 'live' && player.painted > 0 && (player.audio?.samplesPlayed ?? 0) >= samples,
    60_000,
  )
  assert.equal(from.player?.mode, way === 'webcodecs' ? 'webcodecs' : 'mse')
  assert.equal(await pictures(page, 20), 20)
  const to = await view.until(
    '3 s of media',
    ({ player }) => (player?.mediaTime ?? 0) > (from.player?.mediaTime ?? 0) + 3_000_000,
  )
  const painted = (to.player?.painted ?? 0) - (from.player?.painted ?? 0)
  console.log(
    `${what}: ${((painted * 1000) / (to.at - from.at)).toFixed(1)} pictures/s, lag ${Math.round(to.player?.lagMs ?? 0)} ms, ` +
      `sound off by ${Math.round(to.player?.audio?.avSkewMs ?? 0)} ms, join ${Math.round(to.player?.joinMs ?? 0)} ms`,
  )
  assert.deepEqual(to.player?.errors, [])
  assert.deepEqual(page.errors, [])
}
