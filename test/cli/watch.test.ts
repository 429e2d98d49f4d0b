import assert from 'node:assert/strict'
import { once } from 'node:events'
import { existsSync, mkdtempSync, rmSync, watch as watchFiles, writeFileSync } from 'node:fs'
import { stat } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, describe, it } from 'node:test'
import { mainTrack } from '../../src/media/catalog.ts'
import { publishRecording, TestPublisher } from '../support/clients.ts'
import { machineNode, startWatch } from '../support/command.ts'
import { type RunningGateway, startGateway } from '../support/gateway.ts'
import { complaints, encoders, type Media, makeMedia, type Probe, probe } from '../support/media.ts'

const folder = mkdtempSync(join(tmpdir(), 'framelog-watch-'))
after(() => rmSync(folder, { recursive: true, force: true }))

let gateway: RunningGateway
let vp8: Media
let h264: Media
before(async () => {
  gateway = await startGateway({ LOG_LEVEL: 'warn' })
  vp8 = await makeMedia(folder, { video: encoders.vp8, audio: encoders.opus })
  h264 = await makeMedia(folder, { video: encoders.h264WithB, audio: encoders.aac })
})
after(() => gateway[Symbol.asyncDispose]())

const url = (): string[] => ['--url', gateway.http]

const publish = (id: string, media: Media): Promise<void> => publishRecording(gateway.ws, id, media)

/** Resolves when a file has so many bytes. */
async function grown(path: string, bytes: number): Promise<void> {
  const changes = watchFiles(folder)
  for (;;) {
    const change = once(changes, 'change')
    if (existsSync(path) && (await stat(path)).size >= bytes) break
    await change
  }
  changes.close()
}

interface Tolerance {
  /** The first of the frames. */
  readonly from?: number
  /** Of the times, seconds. */
  readonly within?: number
}

/** Matroska counts milliseconds. */
const matroskaStep = 0.0015

/** A file has the frames of a stream: as many, in their order, at their times, with their keyframes. */
function assertSame(file: Probe, media: Media, { from = 0, within = matroskaStep }: Tolerance = {}): void {
  const frames = media.frames.slice(from)
  const earliest = Math.min(...frames.map(({ timestamp }) => timestamp))
  for (const kind of ['video', 'audio'] as const) {
    const sent = frames.filter(({ track }) => track === kind)
    const packets = file[kind]
    assert.equal(packets.length, sent.length, `${kind} frames`)
    packets.forEach(({ pts, keyframe }, i) => {
      const expected = ((sent[i]?.timestamp ?? 0) - earliest) / 1e6
      assert.ok(Math.abs(pts - expected) <= within, `${kind} ${i} at ${pts}, not ${expected}`)
      assert.equal(keyframe, sent[i]?.keyframe, `${kind} ${i} as a keyframe`)
    })
    const decoded = packets.map(({ dts }) => dts).filter(dts => dts !== undefined)
    assert.deepEqual(
      decoded,
      decoded.toSorted((a, b) => a - b),
    )
  }
  if (file.duration === undefined) return
  const expected =
    (Math.max(...frames.map(frame => frame.timestamp + (frame.duration ?? 20_000))) - earliest) / 1e6
  assert.ok(Math.abs(file.duration - expected) < 0.04, `${file.duration} s, not ${expected}`)
}

describe('a recording comes out of the log as it went in', { timeout: 240_000 }, () => {
  const kinds = [
    { name: 'vp8-opus', extension: 'webm', video: encoders.vp8, audio: encoders.opus },
    { name: 'vp9', extension: 'webm', video: encoders.vp9 },
    { name: 'av1-opus', extension: 'mp4', video: encoders.av1, audio: encoders.opus },
    { name: 'h264-aac', extension: 'mp4', video: encoders.h264, audio: encoders.aac },
    { name: 'h264-b-opus', extension: 'mp4', video: encoders.h264WithB, audio: encoders.opus },
    { name: 'h264-b-aac', extension: 'mkv', video: encoders.h264WithB, audio: encoders.aac },
    { name: 'annexb-opus', extension: 'mkv', video: encoders.h264, audio: encoders.opus, annexB: true },
    { name: 'annexb-b-aac', extension: 'mp4', video: encoders.h264WithB, audio: encoders.aac, annexB: true },
    { name: 'adts', extension: 'mp4', audio: encoders.aac, through: 'aac' },
    { name: 'opus', extension: 'webm', audio: encoders.opus },
  ]
  for (const { name, extension, ...options } of kinds) {
    it(`${name} into ${extension}`, async () => {
      const media = await makeMedia(folder, options)
      await publish(name, media)
      const path = join(folder, `${name}.${extension}`)
      const watch = startWatch([name, '-o', path, '--from', 'start', ...url()])
      assert.equal(await watch.ended(), 0, watch.errors())
      const file = await probe(path)
      assertSame(file, media)
      assert.notEqual(file.duration, undefined)
      assert.equal(await complaints(path), '')
      const sent = media.frames.filter(({ track }) => track === mainTrack(media.catalog)?.name).length
      assert.match(watch.errors(), new RegExp(`${name}\\.${extension}: .* ${sent} (video|audio)`))
    })
  }
})

describe('watching live', { timeout: 240_000 }, () => {
  it('waits for a broadcast that has not begun, and has it from its first frame to its last', async () => {
    const path = join(folder, 'awaited.webm')
    const watch = startWatch(['awaited', '-o', path, ...url()])
    await watch.said(/awaited has not begun, waiting for it/)
    await publish('awaited', vp8)
    assert.equal(await watch.ended(), 0, watch.errors())
    assertSame(await probe(path), vp8)
    assert.equal(await complaints(path), '')
  })

  it('begins with the keyframe that a viewer is shown first', async () => {
    const publisher = await TestPublisher.connect(gateway.ws, 'joined', { catalog: vp8.catalog })
    const second = vp8.frames.findIndex(({ track, keyframe }, i) => i > 3 && track === 'video' && keyframe)
    publisher.publishFrames(vp8.frames.slice(0, second + 7))
    await publisher.acknowledged(second + 6)
    const path = join(folder, 'joined.mkv')
    const watch = startWatch(['joined', '-o', path, ...url()])
    await watch.said(/is live/)
    publisher.publishFrames(vp8.frames.slice(second + 7))
    await publisher.end()
    assert.equal(await watch.ended(), 0, watch.errors())
    assertSame(await probe(path), vp8, { from: second })
    assert.equal(await complaints(path), '')
  })

  const isHandedOver = machineNode() !== process.execPath
  for (const [extension, signal, media, node] of [
    ['webm', 'SIGINT', () => vp8, process.execPath],
    ['mp4', 'SIGTERM', () => h264, machineNode()],
    // Where an older Node.js hands over, what it handed over to is not left behind.
    ['mkv', isHandedOver ? 'SIGKILL' : 'SIGHUP', () => vp8, machineNode()],
  ] as const) {
    it(`finishes a ${extension} on ${signal}`, async () => {
      const id = `stopped-${extension}`
      const path = join(folder, `${id}.${extension}`)
      const watch = startWatch([id, '-o', path, ...url()], { node })
      await watch.said(/has not begun/)
      const publisher = await TestPublisher.connect(gateway.ws, id, { catalog: media().catalog })
      publisher.publishFrames(media().frames)
      // The first half of the frames has over half of the bytes: keyframes are large.
      await grown(path, media().frames.reduce((sum, { data }) => sum + data.byteLength, 0) * 0.75)
      watch.signal(signal)
      assert.equal(await watch.ended(), signal === 'SIGKILL' ? signal : 0, watch.errors())
      const file = await probe(path)
      assert.ok(file.video.length > 30 && file.audio.length > 30)
      assert.ok((file.duration ?? 0) > 0.9)
      assert.equal(await complaints(path), '')
      await publisher.close()
    })
  }

  it('writes as much as was asked for', async () => {
    await publish('measured', h264)
    const path = join(folder, 'measured.mp4')
    const watch = startWatch(['measured', '-o', path, '--from', 'start', '--duration', '1s', ...url()])
    assert.equal(await watch.ended(), 0, watch.errors())
    const { duration = 0, video } = await probe(path)
    assert.ok(duration > 0.85 && duration < 1.04, `${duration} s`)
    assert.ok(video.length > 25 && video.length <= 31)
    assert.equal(await complaints(path), '')
  })
})

describe('the standard output', { timeout: 240_000 }, () => {
  for (const [name, args, media, format, within] of [
    ['as WebM', ['--format', 'webm'], () => vp8, /webm/, matroskaStep],
    ['as Matroska where nothing is asked for', [], () => h264, /matroska/, matroskaStep],
    // ffmpeg shows the picture of fragments late by what its B-frames are moved; there is no edit list against it.
    ['as fragmented MP4', ['--format', 'mp4'], () => h264, /mp4/, 0.04],
  ] as const) {
    it(`has the media and nothing else, ${name}`, async () => {
      const id = `out-${name.replaceAll(' ', '-').toLowerCase()}`
      await publish(id, media())
      const watch = startWatch([id, '-o', '-', '--from', 'start', ...args, ...url()])
      assert.equal(await watch.ended(), 0, watch.errors())
      const path = join(folder, id)
      writeFileSync(path, watch.bytes())
      const file = await probe(path)
      assert.match(file.format, format)
      assertSame({ ...file, duration: undefined }, media(), { within })
      assert.equal(await complaints(path), '')
    })
  }

  it('has each frame as soon as the tracks stand in order, long before the end', async () => {
    const watch = startWatch(['prompt', '-o', '-', ...url()])
    await watch.said(/has not begun/)
    const publisher = await TestPublisher.connect(gateway.ws, 'prompt', { catalog: vp8.catalog })
    const videos = vp8.frames.flatMap((frame, i) => (frame.track === 'video' ? [i] : []))
    let sent = 0
    for (const nth of [10, 20, 40]) {
      const upTo = (videos[nth] ?? 0) + 1
      publisher.publishFrames(vp8.frames.slice(sent, upTo))
      sent = upTo
      const before = Buffer.from(vp8.frames[videos[nth - 2] ?? 0]?.data ?? [])
      await watch.wrote(bytes => bytes.includes(before))
    }
    await publisher.end()
    assert.equal(await watch.ended(), 0, watch.errors())
  })

  it('does not wait for a track that the catalog names and that never comes', async () => {
    const silent = { ...vp8, frames: vp8.frames.filter(({ track }) => track === 'video') }
    const watch = startWatch(['silent', '-o', '-', ...url()])
    await watch.said(/has not begun/)
    const publisher = await TestPublisher.connect(gateway.ws, 'silent', { catalog: silent.catalog })
    publisher.publishFrames(silent.frames)
    const last = Buffer.from(silent.frames.at(-3)?.data ?? [])
    await watch.wrote(bytes => bytes.includes(last))
    // The sound begins after all.
    const late = vp8.frames.filter(({ track, timestamp }) => track === 'audio' && timestamp > 1_500_000)
    publisher.publishFrames(late)
    await publisher.end()
    assert.equal(await watch.ended(), 0, watch.errors())
    const path = join(folder, 'silent.mkv')
    writeFileSync(path, watch.bytes())
    const file = await probe(path)
    assert.deepEqual([file.video.length, file.audio.length], [silent.frames.length, late.length])
    assert.equal(await complaints(path), '')
  })

  it('ends without a complaint when its reader has left', async () => {
    await publish('left', vp8)
    const watch = startWatch(['left', '-o', '-', '--from', 'start', ...url()], { reads: false })
    watch.leave()
    assert.equal(await watch.ended(), 0, watch.errors())
    assert.doesNotMatch(watch.errors(), /\[[A-Z_]+\]/)
  })
})

describe('what cannot go on in one file', { timeout: 240_000 }, () => {
  const larger = (size: string): Promise<Media> =>
    makeMedia(folder, { video: encoders.vp8, audio: encoders.opus, seconds: 1, size })

  it('a picture of another size does, where the codec tells it in its frames', async () => {
    const first = await larger('320x180')
    const second = await larger('640x360')
    const publisher = await TestPublisher.connect(gateway.ws, 'resized', { catalog: first.catalog })
    publisher.publishFrames(first.frames)
    publisher.send({ type: 'catalog', catalog: second.catalog })
    const shifted = second.frames.map(frame => ({
      ...frame,
      timestamp: (frame.timestamp + 1_100_000) as typeof frame.timestamp,
    }))
    publisher.publishFrames(shifted)
    await publisher.acknowledged(publisher.sequence - 1)
    await publisher.end()
    for (const extension of ['webm', 'mp4']) {
      const path = join(folder, `resized.${extension}`)
      const watch = startWatch(['resized', '-o', path, '--from', 'start', ...url()])
      assert.equal(await watch.ended(), 0, watch.errors())
      assertSame(await probe(path), { catalog: first.catalog, frames: [...first.frames, ...shifted] })
      assert.equal(await complaints(path), '')
    }
  })

  it('another codec goes on in a second file, and on the standard output ends with a code', async () => {
    const publisher = await TestPublisher.connect(gateway.ws, 'changed', { catalog: vp8.catalog })
    publisher.publishFrames(vp8.frames)
    publisher.send({ type: 'catalog', catalog: h264.catalog })
    const shift = 3_000_000
    const shifted = h264.frames.map(frame => ({
      ...frame,
      timestamp: (frame.timestamp + shift) as typeof frame.timestamp,
    }))
    publisher.publishFrames(shifted)
    await publisher.acknowledged(publisher.sequence - 1)
    await publisher.end()
    const path = join(folder, 'changed.mkv')
    const watch = startWatch(['changed', '-o', path, '--from', 'start', ...url()])
    assert.equal(await watch.ended(), 0, watch.errors())
    assertSame(await probe(path), vp8)
    const next = join(folder, 'changed-2.mkv')
    assertSame(await probe(next), h264)
    assert.equal((await complaints(path)) + (await complaints(next)), '')
    assert.match(watch.errors(), /changed-2\.mkv/)

    const out = startWatch(['changed', '-o', '-', '--from', 'start', ...url()])
    assert.equal(await out.ended(), 1)
    assert.match(out.errors(), /CANNOT_GO_ON/)
    const written = join(folder, 'changed-out.mkv')
    writeFileSync(written, out.bytes())
    assertSame({ ...(await probe(written)), duration: undefined }, vp8)
  })

  it('parameter sets that change within the stream go on in a second file', async () => {
    const options = { video: encoders.h264, seconds: 1, annexB: true }
    const first = await makeMedia(folder, options)
    const second = await makeMedia(folder, { ...options, size: '640x360' })
    const publisher = await TestPublisher.connect(gateway.ws, 'in-band', { catalog: first.catalog })
    publisher.publishFrames(first.frames)
    publisher.publishFrames(
      second.frames.map(frame => ({
        ...frame,
        timestamp: (frame.timestamp + 1_100_000) as typeof frame.timestamp,
      })),
    )
    await publisher.acknowledged(publisher.sequence - 1)
    await publisher.end()
    const path = join(folder, 'in-band.mp4')
    const watch = startWatch(['in-band', '-o', path, '--from', 'start', ...url()])
    assert.equal(await watch.ended(), 0, watch.errors())
    assertSame(await probe(path), first)
    assertSame(await probe(join(folder, 'in-band-2.mp4')), second)
  })

  it('a second session does: its time follows that of the first', async () => {
    await publish('twice', vp8)
    await publish('twice', vp8)
    const path = join(folder, 'twice.webm')
    const watch = startWatch(['twice', '-o', path, '--from', 'start', ...url()])
    assert.equal(await watch.ended(), 0, watch.errors())
    const { video, audio, duration = 0 } = await probe(path)
    const half = video.length / 2
    assert.equal(video.length + audio.length, vp8.frames.length * 2)
    assert.ok(duration > 4, `${duration} s`)
    const pause = (video[half]?.pts ?? 0) - (video[half - 1]?.pts ?? 0)
    assert.ok(pause > 0.02 && pause < 10, `${pause} s between the sessions`)
    // Within the second session nothing has moved.
    const drift = (video[half]?.pts ?? 0) - (video[0]?.pts ?? 0)
    video.slice(half).forEach(({ pts }, i) => {
      assert.ok(Math.abs(pts - (video[i]?.pts ?? 0) - drift) < 0.002)
    })
    audio.slice(audio.length / 2).forEach(({ pts }, i) => {
      assert.ok(Math.abs(pts - (audio[i]?.pts ?? 0) - drift) < 0.002)
    })
    assert.equal(await complaints(path), '')
  })

  it('a session that takes over on air is in the same file', async () => {
    const path = join(folder, 'taken.webm')
    const watch = startWatch(['taken', '-o', path, ...url()])
    await watch.said(/has not begun/)
    const first = await TestPublisher.connect(gateway.ws, 'taken', { catalog: vp8.catalog })
    first.publishFrames(vp8.frames)
    await first.acknowledged(first.sequence - 1)
    first.cut()
    await publish('taken', vp8)
    assert.equal(await watch.ended(), 0, watch.errors())
    const { video, audio } = await probe(path)
    assert.equal(video.length + audio.length, vp8.frames.length * 2)
    assert.equal(await complaints(path), '')
  })

  it('frames that the publisher dropped are told of', async () => {
    const publisher = await TestPublisher.connect(gateway.ws, 'holed', { catalog: vp8.catalog })
    publisher.publishFrames(vp8.frames.slice(0, 20))
    publisher.sequence += 5
    const key = vp8.frames.findIndex(({ track, keyframe }, i) => i > 20 && track === 'video' && keyframe)
    publisher.publishFrames(vp8.frames.slice(key))
    await publisher.acknowledged(publisher.sequence - 1)
    await publisher.end()
    const path = join(folder, 'holed.webm')
    const watch = startWatch(['holed', '-o', path, '--from', 'start', ...url()])
    assert.equal(await watch.ended(), 0, watch.errors())
    assert.match(watch.errors(), /5 frames were lost/)
    assert.equal(await complaints(path), '')
  })
})
