/** Every codec that can be carried, through the log and both players of a real Chromium, to its last picture. */
import assert from 'node:assert/strict'
import { after, before, describe, it } from 'node:test'
import type { Browser } from 'playwright-core'
import { decodeBase64 } from '../../src/core/base64.ts'
import type { AudioTrack, VideoTrack } from '../../src/media/catalog.ts'
import type { Frame } from '../../src/media/frame.ts'
import { launch, open } from '../support/chromium.ts'
import { publishRecording } from '../support/clients.ts'
import { framesOf } from '../support/encoded.ts'
import { ffmpeg } from '../support/ffmpeg.ts'
import { type RunningGateway, startGateway } from '../support/gateway.ts'
import { PageState } from '../support/pages.ts'

const input = [
  '-f',
  'lavfi',
  '-i',
  'testsrc2=size=320x180:rate=30',
  '-f',
  'lavfi',
  '-i',
  'sine=frequency=440',
  '-t',
  '2.5',
]
const matroska = ['-f', 'matroska']
const fragments = ['-f', 'mp4', '-movflags', 'frag_every_frame+empty_moov+default_base_moof']
const h264 = ['-c:v', 'libx264', '-preset', 'ultrafast', '-pix_fmt', 'yuv420p', '-g', '30']
const opus = ['-c:a', 'libopus']
const aac = ['-c:a', 'aac']

interface Stream {
  readonly tracks: (VideoTrack | AudioTrack)[]
  readonly frames: Frame[]
}

const streams: Readonly<Record<string, () => Stream>> = {
  'VP8 and Opus': () =>
    framesOf(ffmpeg(...input, '-c:v', 'libvpx', '-deadline', 'realtime', '-g', '30', ...opus, '-f', 'webm')),
  'VP9 and Opus': () =>
    framesOf(
      ffmpeg(
        ...input,
        '-c:v',
        'libvpx-vp9',
        '-deadline',
        'realtime',
        '-cpu-used',
        '8',
        '-g',
        '30',
        ...opus,
        '-f',
        'webm',
      ),
    ),
  'AV1 and Opus': () =>
    framesOf(
      ffmpeg(
        ...input,
        '-c:v',
        'libaom-av1',
        '-usage',
        'realtime',
        '-cpu-used',
        '8',
        '-g',
        '30',
        ...opus,
        ...fragments,
      ),
    ),
  'H.264 and Opus': () => framesOf(ffmpeg(...input, ...h264, '-tune', 'zerolatency', ...opus, ...matroska)),
  'H.264 with B-frames and AAC': () =>
    framesOf(ffmpeg(...input, ...h264, '-preset', 'medium', '-bf', '2', ...aac, ...fragments)),
  'H.264 in Annex B': () =>
    toAnnexB(framesOf(ffmpeg(...input, ...h264, '-tune', 'zerolatency', ...opus, ...matroska))),
  'sound alone': () => framesOf(ffmpeg(...input, '-map', '1:a', ...opus, '-f', 'webm')),
}

describe('a recording', { timeout: 280_000, concurrency: 2 }, () => {
  let gateway: RunningGateway
  let browser: Browser
  before(async () => {
    gateway = await startGateway({ LOG_LEVEL: 'warn' })
    browser = await launch()
  })
  after(async () => {
    await browser?.close()
    await gateway?.[Symbol.asyncDispose]()
  })

  for (const [name, make] of Object.entries(streams)) {
    it(`of ${name} is shown from its first picture to its last by both players`, async () => {
      const { tracks, frames } = make()
      const id = name.toLowerCase().replace(/[^a-z0-9]+/g, '-')
      await publishRecording(gateway.ws, id, { catalog: { version: 1, tracks }, frames })
      const pictures = frames.filter(({ track }) => track === 'video').map(({ timestamp }) => timestamp)
      for (const mode of ['webcodecs', 'mse']) {
        const { page, errors } = await open(browser, `${gateway.http}/watch/${id}?player=${mode}`)
        const { player } = await new PageState(page).until(
          'the end',
          ({ player }) => player?.state === 'ended',
        )
        assert.equal(player?.mode, mode)
        assert.deepEqual([mode, player?.errors, errors, player?.lost], [mode, [], [], 0])
        if (pictures.length > 0) {
          // A video element counts in seconds: its times come back within a millisecond. It tells a busy page of
          // the newest picture that was shown since the page was last given a turn, and of the others how many they were.
          const first = [...pictures].sort((a, b) => a - b).slice(0, mode === 'mse' ? 4 : 1)
          const told = player?.firstMediaTime ?? 1e12
          assert.ok(
            first.some(timestamp => Math.abs(told - timestamp) <= 1000),
            `${mode}: first ${told} of ${first}`,
          )
          assert.ok(
            Math.abs((player?.mediaTime ?? 1e12) - Math.max(...pictures)) <= 1000,
            `${mode}: last ${player?.mediaTime}`,
          )
          assert.ok(
            (player?.painted ?? 0) > pictures.length * 0.6,
            `${mode}: ${player?.painted} of ${pictures.length}`,
          )
        }
        assert.ok(
          (player?.audio?.samplesPlayed ?? 0) > 48_000,
          `${mode}: ${player?.audio?.samplesPlayed} samples`,
        )
        await page.close()
      }
    })
  }
})

/** The same frames as a recorder gives them that has no description: parameter sets and start codes in the stream. */
function toAnnexB({ tracks, frames }: Stream): Stream {
  const [video] = tracks.filter(track => track.kind === 'video')
  const avcC = decodeBase64(video?.description ?? '')
  const code = Buffer.from([0, 0, 0, 1])
  const spsBytes = (avcC[6] ?? 0) * 256 + (avcC[7] ?? 0)
  const sps = avcC.subarray(8, 8 + spsBytes)
  const pps = avcC.subarray(8 + spsBytes + 3, 8 + spsBytes + 3 + (avcC[8 + spsBytes + 2] ?? 0))
  const convert = (frame: Frame): Frame => {
    if (frame.track !== 'video') return frame
    const parts: Uint8Array[] = frame.keyframe ? [code, sps, code, pps] : []
    const view = new DataView(frame.data.buffer, frame.data.byteOffset, frame.data.byteLength)
    for (let at = 0; at < frame.data.byteLength; ) {
      const size = view.getUint32(at)
      parts.push(code, frame.data.subarray(at + 4, at + 4 + size))
      at += 4 + size
    }
    return { ...frame, data: Buffer.concat(parts) }
  }
  return {
    tracks: tracks.map(track => {
      if (track.kind !== 'video') return track
      const { description, ...rest } = track
      return { ...rest, format: 'annexb' }
    }),
    frames: frames.map(convert),
  }
}
