/** The MediaSource player and broadcasts that are not as they should be: sound that is missing, frames that are broken, tracks that change. */
import assert from 'node:assert/strict'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, describe, it } from 'node:test'
import type { Browser, Page } from 'playwright-core'
import type { AudioTrack, Catalog, VideoTrack } from '../../src/media/catalog.ts'
import type { Frame } from '../../src/media/frame.ts'
import { micros, trackName } from '../../src/units.ts'
import { launch, open, type WatchedPage } from '../support/chromium.ts'
import { publishRecording, TestPublisher } from '../support/clients.ts'
import { framesOf } from '../support/encoded.ts'
import { ffmpeg } from '../support/ffmpeg.ts'
import { type RunningGateway, startGateway } from '../support/gateway.ts'
import { encoders, makeMedia } from '../support/media.ts'
import { PageState, type Telling } from '../support/pages.ts'

interface Media {
  readonly video: VideoTrack
  readonly audio: AudioTrack
  readonly frames: readonly Frame[]
}

/** @param gop pictures from one keyframe to the next */
function make(seconds: number, gop: number, sound: readonly string[], format: string): Media {
  const { tracks, frames } = framesOf(
    ffmpeg(
      ...['-f', 'lavfi', '-i', 'testsrc2=size=320x180:rate=30', '-f', 'lavfi', '-i', 'sine=f=440:r=48000'],
      ...['-t', String(seconds), '-c:v', 'libvpx', '-b:v', '300k', '-deadline', 'realtime', '-cpu-used', '8'],
      ...['-g', String(gop), '-keyint_min', String(gop), ...sound, '-f', format],
    ),
  )
  const video = tracks.find(track => track.kind === 'video')
  const audio = tracks.find(track => track.kind === 'audio')
  assert.ok(video !== undefined && audio !== undefined)
  return { video, audio, frames }
}

const opus = ['-c:a', 'libopus', '-b:a', '48k']
const aac = ['-c:a', 'aac', '-b:a', '64k']

const catalogOf = (...tracks: Catalog['tracks']): Catalog => ({ version: 1, tracks })
/** Frames, and the tracks that their catalog names. */
type Part = readonly [tracks: Catalog['tracks'], frames: readonly Frame[]]

const isPicture = ({ track }: Frame): boolean => track === 'video'
const seconds = ({ timestamp }: Frame): number => timestamp / 1_000_000
const lastPicture = (frames: readonly Frame[]): number =>
  Math.max(...frames.filter(isPicture).map(({ timestamp }) => timestamp))

/** A frame that no decoder takes. */
const broken = (frame: Frame): Frame => ({ ...frame, data: Buffer.alloc(frame.data.byteLength, 0xff) })

let gateway: RunningGateway
let browser: Browser
let media: Media
const folder = mkdtempSync(join(tmpdir(), 'framelog-odd-'))
after(() => rmSync(folder, { recursive: true, force: true }))
/** H.264 whose keyframes carry what a decoder needs. */
let avc: { readonly catalog: Catalog; readonly frames: readonly Frame[] }

before(async () => {
  gateway = await startGateway({ LOG_LEVEL: 'warn' })
  browser = await launch()
  media = make(24, 30, opus, 'webm')
  avc = await makeMedia(folder, { video: encoders.h264, seconds: 8, annexB: true })
})
after(async () => {
  await browser?.close()
  await gateway?.[Symbol.asyncDispose]()
})

// Each plays for seconds, in which there is little to do.
describe('a recording in the MediaSource player', { timeout: 240_000, concurrency: 3 }, () => {
  /** Publishes parts, and plays them from their start to their end. */
  const play = (id: string, ...parts: readonly Part[]) => playAt(4, id, ...parts)
  async function playAt(
    rate: number,
    id: string,
    ...parts: readonly Part[]
  ): Promise<NonNullable<Telling['player']>> {
    await publishRecording(
      gateway.ws,
      id,
      ...parts.map(([tracks, frames]) => ({ catalog: catalogOf(...tracks), frames })),
    )
    const watch = await open(browser, `${gateway.http}/watch/${id}?player=mse`)
    await hurry(watch.page, rate)
    const { player } = await new PageState(watch.page).until(
      'the end',
      ({ player }) => player?.state === 'ended',
      40_000,
    )
    assert.ok(player)
    assert.deepEqual(watch.errors, [])
    await watch.page.close()
    return player
  }

  it('plays where its catalog names a sound that nobody sent', async () => {
    const pictures = media.frames.filter(isPicture)
    const player = await play('no-sound', [[media.video, media.audio], pictures])
    assert.ok((player.mediaTime ?? 0) >= lastPicture(pictures) - 300_000, `shows ${player.mediaTime}`)
    assert.deepEqual(player.errors, [])
    const short = await play('no-sound-short', [[media.video, media.audio], pictures.slice(0, 20)])
    assert.ok((short.painted ?? 0) > 5)
  })

  for (const [codec, sound, format] of [
    ['Opus', opus, 'webm'],
    ['AAC', aac, 'matroska'],
  ] as const) {
    it(`plays on where its sound, ${codec}, is away for longer than a replay runs ahead`, async () => {
      const { video, audio, frames } = make(24, 30, sound, format)
      const kept = frames.filter(frame => isPicture(frame) || seconds(frame) < 3 || seconds(frame) > 18)
      const player = await play(`pause-${codec.toLowerCase()}`, [[video, audio], kept])
      assert.ok((player.mediaTime ?? 0) >= lastPicture(kept) - 300_000, `shows ${player.mediaTime}`)
      assert.deepEqual(player.errors, [])
    })
  }

  it('plays on where its pictures are away for longer than a replay runs ahead, and its sound is not', async () => {
    const kept = media.frames.filter(frame => !isPicture(frame) || seconds(frame) < 3 || seconds(frame) > 18)
    const player = await play('blind', [[media.video, media.audio], kept])
    assert.ok((player.mediaTime ?? 0) >= lastPicture(kept) - 300_000, `shows ${player.mediaTime}`)
    assert.deepEqual(player.errors, [])
  })

  it('is heard where its catalog names a picture that nobody sent', async () => {
    const sounds = media.frames.filter(frame => !isPicture(frame) && seconds(frame) < 4)
    const player = await playAt(1, 'no-picture', [[media.video, media.audio], sounds])
    assert.ok((player.audio?.samplesPlayed ?? 0) > 100_000, `${player.audio?.samplesPlayed} samples`)
    assert.deepEqual(player.errors, [])
  })

  for (const [name, isKept] of [
    ['one picture, and sound long after it', f => (isPicture(f) ? f.timestamp < 20_000 : seconds(f) > 15)],
    ['sound, and pictures long after it', f => (isPicture(f) ? seconds(f) > 18 : seconds(f) < 2)],
  ] as const satisfies [string, (frame: Frame) => boolean][]) {
    it(`plays ${name}`, async () => {
      const kept = media.frames.filter(isKept)
      const player = await play(name.replaceAll(/\W+/g, '-'), [[media.video, media.audio], kept])
      assert.ok((player.mediaTime ?? 0) >= lastPicture(kept) - 300_000, `shows ${player.mediaTime}`)
      assert.deepEqual(player.errors, [])
    })
  }

  it('shows the picture where its sound cannot be decoded, or is not described', async () => {
    const bad = media.frames.map(frame => (isPicture(frame) ? frame : broken(frame)))
    const { errors, ...undecodable } = await play('bad-sound', [[media.video, media.audio], bad])
    assert.ok((undecodable.mediaTime ?? 0) >= lastPicture(bad) - 300_000, `shows ${undecodable.mediaTime}`)
    assert.ok(errors.length >= 1 && errors.length < 6, String(errors))
    const { audio, video, frames } = make(6, 30, aac, 'matroska')
    const { description: _, ...nothing } = audio
    const undescribed = await play('undescribed', [[video, nothing], frames])
    assert.ok((undescribed.mediaTime ?? 0) >= lastPicture(frames) - 300_000, `shows ${undescribed.mediaTime}`)
    assert.match(undescribed.errors[0] ?? '', /AudioSpecificConfig/)
  })

  for (const hours of [5, -5]) {
    it(`goes on where its clock jumps by ${hours} hours`, async () => {
      const jumped = media.frames
        .filter(frame => seconds(frame) < 8)
        .map(frame =>
          seconds(frame) < 4 ? frame : { ...frame, timestamp: micros(frame.timestamp + hours * 3600e6) },
        )
      const player = await play(`jump${hours}`, [[media.video, media.audio], jumped])
      const end = jumped.findLast(isPicture)?.timestamp ?? 0
      assert.ok(Math.abs((player.mediaTime ?? 0) - end) < 300_000, `shows ${player.mediaTime}`)
      assert.ok((player.decoded ?? 0) >= 230, `${player.decoded} of 240 decoded`)
      assert.deepEqual(player.errors, [])
    })
  }

  it('leaves out a GOP whose keyframe does not say what a decoder needs', async () => {
    const pictures = avc.frames.map((frame, i) => (i === 120 || i === 150 ? broken(frame) : frame))
    assert.ok(pictures[120]?.keyframe && pictures[150]?.keyframe)
    const player = await play('no-parameters', [avc.catalog.tracks, pictures])
    assert.ok((player.mediaTime ?? 0) >= lastPicture(pictures) - 300_000, `shows ${player.mediaTime}`)
    assert.ok(player.errors.length >= 1 && player.errors.every(error => /parameter sets/.test(error)))
  })

  it('goes on with other tracks in the middle, with nothing to show, and with what it had', async () => {
    const at = (from: number, to: number): Frame[] =>
      media.frames.filter(frame => seconds(frame) >= from && seconds(frame) < to)
    const name = trackName('boxes')
    const data = at(8, 10).map(frame => ({ ...frame, track: name, keyframe: true }))
    const player = await play(
      'changing',
      [[media.video, media.audio], at(0, 4)],
      [[media.video], at(4, 8).filter(isPicture)],
      [[{ name, kind: 'data' }], data],
      [[media.video, media.audio], at(10, 24)],
    )
    assert.ok((player.mediaTime ?? 0) >= lastPicture(media.frames) - 300_000, `shows ${player.mediaTime}`)
    assert.deepEqual(player.errors, [])
  })

  it('loses a GOP, and not its way, by a frame that cannot be decoded', async () => {
    const pictures = media.frames.filter(isPicture)
    const frames = pictures.map((frame, i) => (i === 315 ? broken(frame) : frame))
    const player = await play('broken', [[media.video], frames])
    assert.ok((player.mediaTime ?? 0) >= lastPicture(pictures) - 300_000, `shows ${player.mediaTime}`)
    assert.ok(player.errors.length >= 1, 'says what was wrong')
    assert.ok(player.painted <= frames.length, `${player.painted} pictures of ${frames.length}`)
  })

  it('plays a GOP of half a minute through', async () => {
    const { video, audio, frames } = make(32, 1000, opus, 'webm')
    assert.equal(frames.filter(frame => isPicture(frame) && frame.keyframe).length, 1)
    const player = await play('long-gop', [[video, audio], frames])
    assert.ok((player.mediaTime ?? 0) >= lastPicture(frames) - 300_000, `shows ${player.mediaTime}`)
    assert.ok((player.decoded ?? 0) >= frames.filter(isPicture).length - 10, `${player.decoded} decoded`)
    assert.deepEqual(player.errors, [])
  })
})

describe('a live broadcast in the MediaSource player', { timeout: 240_000, concurrency: 3 }, () => {
  /** Sends frames as a camera does, each when its time has come, until the test has seen what it wants. */
  async function live(
    id: string,
    frames: readonly Frame[],
    see: (watch: WatchedPage, view: PageState) => Promise<void>,
    catalog = catalogOf(media.video, media.audio),
    player = 'mse',
    timeOf = (frame: Frame): number => frame.timestamp,
  ): Promise<void> {
    const watch = await open(browser, `${gateway.http}/watch/${id}?player=${player}`)
    const view = new PageState(watch.page)
    await view.until('a page that waits', ({ player }) => player?.state === 'waiting')
    const publisher = await TestPublisher.connect(gateway.ws, id, { catalog })
    const begun = performance.now()
    let next = 0
    const timer = setInterval(() => {
      const passed = (performance.now() - begun) * 1000
      const from = next
      for (let head = frames[next]; head !== undefined && timeOf(head) <= passed; head = frames[next])
        next += 1
      publisher.publishFrames(frames.slice(from, next))
    }, 10)
    try {
      await see(watch, view)
    } finally {
      clearInterval(timer)
      publisher.cut()
    }
    await watch.page.close()
  }

  it('shows pictures where its catalog names a sound that nobody sends', async () => {
    await live('silent', media.frames.filter(isPicture), async ({ errors }, view) => {
      const { player } = await view.until('pictures', ({ player }) => (player?.painted ?? 0) > 60)
      assert.deepEqual([player?.errors, errors], [[], []])
    })
  })

  it('is heard as soon as its sound is there after all', async () => {
    const late = media.frames.filter(frame => isPicture(frame) || seconds(frame) > 4)
    await live('late-sound', late, async (_, view) => {
      await view.until('pictures', ({ player }) => (player?.painted ?? 0) > 30)
      await view.until(
        'sound',
        ({ player }) => player?.audio?.playing === true && player.audio.samplesPlayed > 96_000,
      )
    })
  })

  it('goes on evenly without its sound once that has stopped', async () => {
    const stopped = media.frames.filter(frame => isPicture(frame) || seconds(frame) < 4)
    await live('stopping-sound', stopped, async ({ page }, view) => {
      await view.until('7 s', ({ player }) => (player?.mediaTime ?? 0) > 7_000_000)
      await page.evaluate(() => {
        const { document } = globalThis as never as {
          document: { addEventListener(name: string, call: () => void, captures: boolean): void }
        }
        Object.assign(globalThis, { waits: 0 })
        document.addEventListener('waiting', () => (globalThis as never as { waits: number }).waits++, true)
      })
      await view.until('11 s', ({ player }) => (player?.mediaTime ?? 0) > 11_000_000)
      const waits = await page.evaluate(() => (globalThis as never as { waits: number }).waits)
      assert.ok(waits < 4, `had to wait ${waits} times`)
    })
  })

  it('goes on to be heard where its pictures stop, and is seen when they come again', async () => {
    const kept = media.frames.filter(
      frame => !isPicture(frame) || seconds(frame) < 4 || seconds(frame) > 12.4,
    )
    await live('stopping-picture', kept, async ({ errors }, view) => {
      const { player: seen } = await view.until('pictures', ({ player }) => (player?.painted ?? 0) > 30)
      const { player: heard } = await view.until(
        'sound without pictures',
        ({ player }) => (player?.audio?.samplesPlayed ?? 0) > 7.5 * 48_000,
        20_000,
      )
      assert.ok((heard?.mediaTime ?? 0) < 4_100_000, `${heard?.mediaTime}`)
      await view.until('pictures', ({ player }) => (player?.mediaTime ?? 0) > 14_000_000)
      assert.ok((seen?.painted ?? 0) > 0)
      assert.deepEqual(errors, [])
    })
  })

  for (const player of ['mse', 'webcodecs']) {
    it(`is heard by ${player} where its pictures do not come, and seen when they do`, async () => {
      const late = media.frames.filter(frame => !isPicture(frame) || seconds(frame) > 7.9)
      const see = async ({ errors }: WatchedPage, view: PageState): Promise<void> => {
        const { player: heard } = await view.until(
          'sound',
          ({ player }) => (player?.audio?.samplesPlayed ?? 0) > 48_000,
        )
        assert.equal(heard?.painted, 0)
        await view.until('pictures', ({ player }) => (player?.painted ?? 0) > 60)
        const { player: seen } = await view.until(
          'both',
          ({ player }) => (player?.audio?.samplesPlayed ?? 0) > (heard?.audio?.samplesPlayed ?? 0) + 96_000,
        )
        assert.deepEqual([seen?.errors, errors], [[], []])
      }
      await live(`late-picture-${player}`, late, see, undefined, player)
    })
  }

  it('leaves out a GOP whose keyframe does not say what a decoder needs', async () => {
    const frames = avc.frames.map((frame, i) => (i === 120 ? broken(frame) : frame))
    const see = async (_: WatchedPage, view: PageState): Promise<void> => {
      await view.until('pictures', ({ player }) => (player?.painted ?? 0) > 30)
      const { player: broken } = await view.until('an error', ({ player }) => player?.errors.length !== 0)
      const { player } = await view.until(
        'pictures again',
        ({ player }) => (player?.painted ?? 0) > (broken?.painted ?? 0) + 45,
      )
      assert.equal(player?.mode, 'mse')
    }
    await live('no-parameters-live', frames, see, avc.catalog)
  })

  it('answers where the clock of its pictures jumps to that of the wall', async () => {
    const frames = media.frames.map(frame =>
      isPicture(frame) && seconds(frame) > 3
        ? { ...frame, timestamp: micros(frame.timestamp + 1.79e15) }
        : frame,
    )
    const times = new Map(frames.map((frame, i) => [frame, media.frames[i]?.timestamp ?? 0]))
    const see = async ({ errors }: WatchedPage, view: PageState): Promise<void> => {
      const { player: before } = await view.until('pictures', ({ player }) => (player?.painted ?? 0) > 30)
      await view.until(
        'pictures of the other clock',
        ({ player }) => (player?.mediaTime ?? 0) > 1e15 && player?.painted !== before?.painted,
      )
      assert.deepEqual(errors, [])
    }
    await live('wall-clock', frames, see, undefined, 'mse', frame => times.get(frame) ?? 0)
  })

  it('comes back with the next keyframe after a frame that cannot be decoded', async () => {
    const frames = media.frames.map(frame =>
      isPicture(frame) && Math.round(seconds(frame) * 30) === 100 ? broken(frame) : frame,
    )
    await live('broken-live', frames, async (_, view) => {
      await view.until('pictures', ({ player }) => (player?.painted ?? 0) > 15)
      const { player: after } = await view.until('an error', ({ player }) => player?.errors.length !== 0)
      const { player } = await view.until(
        'pictures again',
        ({ player }) => (player?.painted ?? 0) > (after?.painted ?? 0) + 60,
      )
      assert.equal(player?.mode, 'mse')
      assert.ok((player?.errors.length ?? 0) <= 2, `${player?.errors}`)
    })
  })
})

describe('a publisher that was given up for lost and goes on', { timeout: 120_000 }, () => {
  for (const player of ['webcodecs', 'mse']) {
    it(`is seen again by ${player}`, async () => {
      await using impatient = await startGateway({ LOG_LEVEL: 'warn', PUBLISHER_GRACE: '1s' })
      const catalog = catalogOf(media.video, media.audio)
      const frames = [...media.frames]
      const first = await TestPublisher.connect(impatient.ws, 'lost', { catalog })
      const cameraOf = (publisher: TestPublisher): NodeJS.Timeout =>
        setInterval(() => publisher.publishFrames(frames.splice(0, 8)), 100)
      let camera = cameraOf(first)
      const { page, errors } = await open(browser, `${impatient.http}/watch/lost?player=${player}`)
      const view = new PageState(page)
      await view.until('pictures', ({ player }) => player?.state === 'live' && player.painted > 30)
      clearInterval(camera)
      first.cut()
      const { player: before } = await view.until('the end', ({ player }) => player?.state === 'ended')
      const session = first.welcome?.session ?? ''
      const again = await TestPublisher.connect(impatient.ws, 'lost', { session, catalog })
      assert.equal(again.welcome?.session, session)
      camera = cameraOf(again)
      await view.until(
        'pictures',
        ({ player }) => player?.state === 'live' && player.painted > (before?.painted ?? 0) + 45,
      )
      clearInterval(camera)
      again.cut()
      assert.deepEqual(errors, [])
      await page.close()
    })
  }
})

/** Has the element play so many times as fast. */
const hurry = (page: Page, rate: number): Promise<void> =>
  page.evaluate(rate => {
    const { document } = globalThis as never as {
      document: { querySelector(selector: string): { defaultPlaybackRate: number; playbackRate: number } }
    }
    const video = document.querySelector('video[data-player]')
    video.defaultPlaybackRate = rate
    video.playbackRate = rate
  }, rate)
