import assert from 'node:assert/strict'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, describe, it } from 'node:test'
import { TestPublisher } from '../support/clients.ts'
import { type RunningGateway, startGateway } from '../support/gateway.ts'
import { complaints, encoders, type Media, makeMedia, probe } from '../support/media.ts'
import { startWatch } from '../support/watch.ts'

const folder = mkdtempSync(join(tmpdir(), 'framelog-watch-'))
after(() => rmSync(folder, { recursive: true, force: true }))

const count = ({ frames }: Media, track: string): number =>
  frames.filter(frame => frame.track === track).length

describe('a recording', { timeout: 120_000 }, () => {
  let gateway: RunningGateway
  before(async () => {
    gateway = await startGateway({ LOG_LEVEL: 'warn' })
  })
  after(() => gateway[Symbol.asyncDispose]())

  const kinds = [
    { name: 'vp8-opus', extension: 'webm', video: encoders.vp8, audio: encoders.opus },
    { name: 'vp9-opus', extension: 'webm', video: encoders.vp9, audio: encoders.opus },
    { name: 'h264-aac', extension: 'mp4', video: encoders.h264, audio: encoders.aac },
    { name: 'h264-b-opus', extension: 'mp4', video: encoders.h264WithB, audio: encoders.opus },
    { name: 'h264-b-mkv', extension: 'mkv', video: encoders.h264WithB, audio: encoders.aac },
    { name: 'annexb-mkv', extension: 'mkv', video: encoders.h264, audio: encoders.opus, annexB: true },
    { name: 'annexb-mp4', extension: 'mp4', video: encoders.h264WithB, audio: encoders.opus, annexB: true },
    { name: 'av1-mp4', extension: 'mp4', video: encoders.av1, audio: encoders.opus },
    { name: 'vp8-mp4', extension: 'mp4', video: encoders.vp8, audio: encoders.opus },
  ]
  for (const { name, extension, video, audio, annexB = false } of kinds) {
    it(`${name} into ${extension}`, async () => {
      const media = await makeMedia(folder, { video, audio, annexB })
      const publisher = await TestPublisher.connect(gateway.ws, name, { catalog: media.catalog })
      publisher.publishFrames(media.frames)
      await publisher.acknowledged(media.frames.length - 1)
      await publisher.end()
      const path = join(folder, `${name}.${extension}`)
      const watch = startWatch([name, '-o', path, '--from', 'start', '--url', gateway.http])
      assert.equal(await watch.ended(), 0, watch.errors())
      console.log(watch.errors())
      const file = await probe(path)
      console.log(
        file.format,
        file.duration,
        file.codecs,
        file.video.slice(0, 4),
        file.audio.slice(0, 2),
        media.frames.slice(0, 4).map(f => [f.track, f.timestamp, f.decodeTimestamp]),
      )
      assert.equal(file.video.length, count(media, 'video'))
      assert.equal(file.audio.length, count(media, 'audio'))
      assert.equal(await complaints(path), '')
    })
  }
})
