import assert from 'node:assert/strict'
import { execFile } from 'node:child_process'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { readFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, describe, it } from 'node:test'
import { promisify } from 'node:util'
import { publishRecording, TestPublisher, TestViewer } from '../support/clients.ts'
import { type RunningGateway, startGateway } from '../support/gateway.ts'
import { complaints, encoders, type Media, makeMedia, type Probe, probe } from '../support/media.ts'

const run = promisify(execFile)
const folder = mkdtempSync(join(tmpdir(), 'framelog-clip-'))
after(() => rmSync(folder, { recursive: true, force: true }))

let gateway: RunningGateway
before(async () => {
  gateway = await startGateway({ LOG_LEVEL: 'warn', PUBLISHER_GRACE: '2s' })
})
after(() => gateway[Symbol.asyncDispose]())

const address = (id: string, extension: string, query = ''): string =>
  `${gateway.http}/api/v1/broadcasts/${id}/clip.${extension}${query}`

interface Clip {
  readonly path: string
  readonly bytes: Buffer
  readonly headers: Headers
}

async function clip(id: string, extension: string, query = ''): Promise<Clip> {
  const response = await fetch(address(id, extension, query))
  const bytes = Buffer.from(await response.arrayBuffer())
  assert.equal(response.status, 200, bytes.toString().slice(0, 500))
  assert.equal(Number(response.headers.get('content-length')), bytes.byteLength)
  const path = join(folder, `${id}.${extension}`)
  writeFileSync(path, bytes)
  return { path, bytes, headers: response.headers }
}

/** A file has the frames of a stream from one on. @param within of the times, seconds */
function assertSame(file: Probe, { frames }: Media, within: number, from = 0): void {
  const kept = frames.slice(from)
  const origin = kept.find(({ track }) => track === 'video')?.timestamp ?? kept[0]?.timestamp ?? 0
  for (const kind of ['video', 'audio'] as const) {
    // Sound from before the first picture is left out.
    const sent = kept.filter(
      ({ track, timestamp }) => track === kind && (kind === 'video' || timestamp >= origin - 25_000),
    )
    const missing = sent.length - file[kind].length
    assert.ok(
      missing >= 0 && missing <= (kind === 'video' ? 0 : 2),
      `${file[kind].length} of ${sent.length} ${kind} frames`,
    )
    const rest = sent.slice(missing)
    file[kind].forEach(({ pts, keyframe, size }, i) => {
      const frame = rest[i]
      const at = ((frame?.timestamp ?? 0) - origin) / 1e6
      assert.ok(Math.abs(pts - at) <= within, `${kind} ${i} at ${pts}, not ${at}`)
      assert.equal(keyframe, frame?.keyframe)
      assert.ok(size <= (frame?.data.byteLength ?? 0))
    })
  }
}

const kinds = [
  { name: 'h264-aac', extension: 'mp4', video: encoders.h264, audio: encoders.aac },
  { name: 'h264-b-aac', extension: 'mp4', video: encoders.h264WithB, audio: encoders.aac },
  { name: 'annexb-opus', extension: 'mp4', video: encoders.h264WithB, audio: encoders.opus, annexB: true },
  { name: 'av1-opus', extension: 'mp4', video: encoders.av1, audio: encoders.opus },
  { name: 'av1-opus-webm', extension: 'webm', video: encoders.av1, audio: encoders.opus },
  { name: 'vp8-opus', extension: 'webm', video: encoders.vp8, audio: encoders.opus },
  { name: 'vp9-opus', extension: 'webm', video: encoders.vp9, audio: encoders.opus },
  { name: 'vp9', extension: 'mp4', video: encoders.vp9 },
  { name: 'aac', extension: 'mp4', audio: encoders.aac },
  { name: 'opus', extension: 'webm', audio: encoders.opus },
]

describe('a clip', { timeout: 240_000 }, () => {
  const made = new Map<string, Media>()
  const mediaOf = (name: string): Media => made.get(name) ?? assert.fail(`no ${name}`)

  for (const { name, extension, ...options } of kinds) {
    it(`has all of ${name} in ${extension}`, async () => {
      const media = await makeMedia(folder, { ...options, seconds: 4 })
      made.set(name, media)
      await publishRecording(gateway.ws, name, media)
      const { path } = await clip(name, extension)
      const file = await probe(path)
      assertSame(file, media, extension === 'webm' ? 0.0015 : 0.0001)
      assert.ok(Math.abs((file.duration ?? 0) - 4) < 0.08, `${file.duration} s`)
      assert.equal(await complaints(path), '')
    })
  }

  it('is the same in any ranges', async () => {
    for (const [name, extension] of [
      ['h264-b-aac', 'mp4'],
      ['vp8-opus', 'webm'],
    ] as const) {
      const { bytes, headers } = await clip(name, extension)
      const canonical = `${gateway.http}${headers.get('content-location')}`
      const range = async (text: string): Promise<Response> => fetch(canonical, { headers: { range: text } })
      const cuts = [
        0,
        1,
        700,
        bytes.byteLength >> 2,
        bytes.byteLength >> 1,
        bytes.byteLength - 1,
        bytes.byteLength,
      ]
      for (const [i, begin] of cuts.slice(0, -1).entries()) {
        const end = cuts[i + 1] ?? 0
        const response = await range(`bytes=${begin}-${end - 1}`)
        assert.equal(response.status, 206)
        assert.equal(response.headers.get('content-range'), `bytes ${begin}-${end - 1}/${bytes.byteLength}`)
        assert.deepEqual(Buffer.from(await response.arrayBuffer()), bytes.subarray(begin, end))
      }
      const open = await range(`bytes=${bytes.byteLength - 1000}-`)
      assert.deepEqual(Buffer.from(await open.arrayBuffer()), bytes.subarray(-1000))
      const suffix = await range('bytes=-500')
      assert.deepEqual(Buffer.from(await suffix.arrayBuffer()), bytes.subarray(-500))
      const past = await range(`bytes=${bytes.byteLength}-`)
      assert.deepEqual([past.status, past.headers.get('content-range')], [416, `bytes */${bytes.byteLength}`])
      // A range of what is named by other words leads to where all of it stays what it is.
      const moved = await fetch(address(name, extension), {
        headers: { range: 'bytes=0-9' },
        redirect: 'manual',
      })
      assert.deepEqual([moved.status, moved.headers.get('location')], [307, headers.get('content-location')])
      const other = { range: 'bytes=0-9', 'if-range': '"another"' }
      assert.equal((await fetch(canonical, { headers: other })).status, 200)
      const head = await fetch(canonical, { method: 'HEAD' })
      assert.equal(Number(head.headers.get('content-length')), bytes.byteLength)
      assert.equal(head.headers.get('etag'), headers.get('etag'))
    }
  })

  it('begins with the keyframe before where it is asked to, or exactly there', async () => {
    const media = mediaOf('h264-b-aac')
    const viewer = await TestViewer.connect(gateway.ws, 'h264-b-aac', 'start')
    await viewer.next('end')
    const frames = viewer.frames()
    await viewer.close()
    const keys = media.frames.flatMap(({ track, keyframe }, i) => (track === 'video' && keyframe ? [i] : []))
    const [, second = 0, third = 0] = keys
    const inside = media.frames.findIndex(({ track }, i) => i > second + 20 && track === 'video')
    const at = (index: number): number => frames[index]?.relayed?.offset ?? -1
    const kept = await clip('h264-b-aac', 'mp4', `?from=@${at(inside)}`)
    const path = join(folder, 'from-keyframe.mp4')
    writeFileSync(path, kept.bytes)
    assertSame(await probe(path), media, 0.0001, second)

    const exact = await clip('h264-b-aac', 'mp4', `?from=@${at(inside)}&exact=1`)
    const whole = await probe(path)
    const cut = await probe(exact.path)
    const shift = ((media.frames[inside]?.timestamp ?? 0) - (media.frames[second]?.timestamp ?? 0)) / 1e6
    assert.ok(shift > 0.2)
    // What is only to be decoded lies before 0; ffprobe counts it into the duration, and what plays it does not.
    const lengthOf = async (file: string): Promise<number> => {
      const bytes = await readFile(file)
      const at = bytes.indexOf('mvhd')
      return Number(bytes.readBigUInt64BE(at + 28)) / bytes.readUInt32BE(at + 24)
    }
    assert.ok(Math.abs((await lengthOf(path)) - (await lengthOf(exact.path)) - shift) < 0.001)
    assert.ok(cut.video.some(({ pts }) => Math.abs(pts) < 0.001))
    assert.ok(Math.abs((whole.video[0]?.pts ?? 0) - (cut.video[0]?.pts ?? 0) - shift) < 0.001)

    const until = await clip('h264-b-aac', 'mp4', `?from=@${at(second)}&to=@${at(third)}`)
    const between = await probe(until.path)
    assert.equal(
      between.video.length,
      media.frames.slice(second, third).filter(({ track }) => track === 'video').length,
    )
    assert.equal(await complaints(until.path), '')
  })

  it('goes on over sessions, and over a publisher that drops frames', async () => {
    const media = mediaOf('h264-aac')
    await publishRecording(gateway.ws, 'twice', media)
    await publishRecording(gateway.ws, 'twice', media)
    const { path } = await clip('twice', 'mp4')
    const file = await probe(path)
    const count = media.frames.filter(({ track }) => track === 'video').length
    assert.equal(file.video.length, 2 * count)
    const times = file.video.map(({ pts }) => pts)
    assert.ok(times.every((time, i) => i === 0 || time > (times[i - 1] ?? 0)))
    assert.ok((file.duration ?? 0) > 8)
    assert.equal(await complaints(path), '')

    const publisher = await TestPublisher.connect(gateway.ws, 'holed', { catalog: media.catalog })
    publisher.publishFrames(media.frames.slice(0, 50))
    publisher.sequence += 5
    const key = media.frames.findIndex(({ track, keyframe }, i) => i > 60 && track === 'video' && keyframe)
    publisher.publishFrames(media.frames.slice(key))
    await publisher.acknowledged(publisher.sequence - 1)
    await publisher.end()
    const holed = await clip('holed', 'mp4')
    assert.equal(await complaints(holed.path), '')
  })

  it('ends where its tracks change, and says so', async () => {
    const publisher = await TestPublisher.connect(gateway.ws, 'changed', {
      catalog: mediaOf('h264-aac').catalog,
    })
    publisher.publishFrames(mediaOf('h264-aac').frames)
    publisher.send({ type: 'catalog', catalog: mediaOf('vp9').catalog })
    publisher.publishFrames(
      mediaOf('vp9').frames.map(frame => ({
        ...frame,
        timestamp: (frame.timestamp + 5_000_000) as typeof frame.timestamp,
      })),
    )
    await publisher.acknowledged(publisher.sequence - 1)
    await publisher.end()
    const { path, headers } = await clip('changed', 'mp4')
    assert.equal(headers.get('framelog-cut-short'), 'its tracks change')
    assertSame(await probe(path), mediaOf('h264-aac'), 0.0001)
  })

  it('may be had while the broadcast is on', async () => {
    const media = mediaOf('h264-aac')
    const publisher = await TestPublisher.connect(gateway.ws, 'on-air', { catalog: media.catalog })
    publisher.publishFrames(media.frames.slice(0, 200))
    await publisher.acknowledged(199)
    const first = await clip('on-air', 'mp4')
    publisher.publishFrames(media.frames.slice(200))
    await publisher.acknowledged(publisher.sequence - 1)
    const again = await fetch(`${gateway.http}${first.headers.get('content-location')}`)
    assert.deepEqual(Buffer.from(await again.arrayBuffer()), first.bytes)
    assert.ok((await clip('on-air', 'mp4')).bytes.byteLength > first.bytes.byteLength)
    await publisher.end()
  })

  it('is found its way in by ffmpeg, by its index', async () => {
    const { headers } = await clip('h264-b-aac', 'mp4')
    const url = `${gateway.http}${headers.get('content-location')}`
    const { stdout } = await run(
      'ffmpeg',
      ['-v', 'error', '-ss', '3', '-i', url, '-frames:v', '1', '-f', 'image2pipe', '-c:v', 'png', '-'],
      {
        encoding: 'buffer',
        maxBuffer: 1 << 24,
      },
    )
    assert.ok(stdout.byteLength > 1000)
  })

  it('that cannot be is refused in words', async () => {
    const refused = async (id: string, extension: string, query: string): Promise<unknown> => {
      const response = await fetch(address(id, extension, query))
      const { error } = (await response.json()) as { error: { code: string } }
      return [response.status, error.code]
    }
    assert.deepEqual(await refused('nothing', 'mp4', ''), [404, 'BROADCAST_NOT_FOUND'])
    assert.deepEqual(await refused('h264-aac', 'webm', ''), [415, 'UNSUITABLE_FORMAT'])
    assert.deepEqual(await refused('h264-aac', 'mp4', '?from=yesterday'), [400, 'BAD_POSITION'])
    assert.deepEqual(await refused('h264-aac', 'mp4', '?from=live'), [400, 'BAD_POSITION'])
    assert.deepEqual(await refused('h264-aac', 'mp4', '?to=start'), [400, 'BAD_POSITION'])
    assert.deepEqual(await refused('h264-aac', 'mp4', '?from=@9999999'), [400, 'BAD_POSITION'])
    assert.deepEqual(await refused('h264-aac', 'mp4', '?topic=another'), [410, 'BROADCAST_DELETED'])
  })
})
