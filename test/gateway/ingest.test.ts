import assert from 'node:assert/strict'
import { execFile } from 'node:child_process'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, describe, it } from 'node:test'
import { promisify } from 'node:util'
import { errorKinds } from '../../src/errors.ts'
import { ingestLimits } from '../../src/gateway/ingest.ts'
import { catalogLimits } from '../../src/media/catalog.ts'
import { TestPublisher, TestViewer } from '../support/clients.ts'
import { startWatch } from '../support/command.ts'
import { concat, demuxWhole, fixture } from '../support/containers.ts'
import { ffmpeg } from '../support/ffmpeg.ts'
import { enhancedVideo, flvHeader } from '../support/flv-writer.ts'
import { vp8Frame } from '../support/frames.ts'
import { type RunningGateway, startGateway } from '../support/gateway.ts'
import { ingest, Sender } from '../support/ingest.ts'
import { complaints, near, probe, sameTimes } from '../support/media.ts'

const run = promisify(execFile)
const folder = mkdtempSync(join(tmpdir(), 'framelog-ingest-'))
after(() => rmSync(folder, { recursive: true, force: true }))

let gateway: RunningGateway
before(async () => {
  gateway = await startGateway({ LOG_LEVEL: 'info', PUBLISHER_GRACE: '20s' })
})
after(() => gateway[Symbol.asyncDispose]())

const picture = ['-f', 'lavfi', '-i', 'testsrc2=s=320x180:r=30:d=3']
const sound = ['-f', 'lavfi', '-i', 'sine=440:sample_rate=48000:d=3']
const h264 = ['-c:v', 'libx264', '-preset', 'veryfast', '-bf', '3', '-g', '30', '-pix_fmt', 'yuv420p']
const vp8 = ['-c:v', 'libvpx', '-deadline', 'realtime', '-cpu-used', '8', '-g', '30']
const vp9 = ['-c:v', 'libvpx-vp9', '-deadline', 'realtime', '-cpu-used', '8', '-g', '30']
const av1 = ['-c:v', 'libsvtav1', '-preset', '12', '-g', '30', '-svtav1-params', 'log-level=0']
const aac = ['-c:a', 'aac']
const opus = ['-c:a', 'libopus']
// With a fragment each frame ffmpeg 5.1 gives what it copies some times twice.
const fragmented = ['-movflags', 'frag_keyframe+delay_moov+default_base_moof', '-f', 'mp4']

/** What is sent, how, and into what it is recorded. */
const kinds: Readonly<Record<string, { codecs: string[]; format: string[]; into: string }>> = {
  'matroska-h264-aac': { codecs: [...h264, ...aac], format: ['-f', 'matroska'], into: 'mkv' },
  'webm-vp8-opus': { codecs: [...vp8, ...opus], format: ['-f', 'webm'], into: 'webm' },
  'webm-vp9-opus': { codecs: [...vp9, ...opus], format: ['-f', 'webm', '-live', '1'], into: 'webm' },
  'mp4-h264-aac': { codecs: [...h264, ...aac], format: fragmented, into: 'mp4' },
  'mp4-av1-opus': { codecs: [...av1, ...opus], format: fragmented, into: 'mp4' },
  'flv-h264-aac': { codecs: [...h264, ...aac], format: ['-f', 'flv'], into: 'mp4' },
  'mpegts-h264-aac': { codecs: [...h264, ...aac], format: ['-f', 'mpegts'], into: 'mp4' },
  'mpegts-h264-opus': { codecs: [...h264, ...opus], format: ['-f', 'mpegts'], into: 'mkv' },
}

describe('what ffmpeg sends comes out as it went in', { timeout: 300_000 }, () => {
  for (const [id, { codecs, format, into }] of Object.entries(kinds)) {
    it(id, async () => {
      // Matroska counts in milliseconds, which what is made of it would inherit.
      const source = join(folder, `${id}.${id.startsWith('webm') ? 'webm' : 'mp4'}`)
      await run('ffmpeg', ['-v', 'error', '-y', ...picture, ...sound, ...codecs, '-ac', '1', source])
      const url = `${gateway.http}/api/v1/broadcasts/${id}/ingest`
      // Beside the gateway a pipe gets the same bytes: what ffprobe reads in it is the reference.
      const file = join(folder, `${id}-in`)
      const copy = ['-c', 'copy', ...format]
      const args = ['-v', 'error', '-i', source, ...copy, '-method', 'POST', url, ...copy, 'pipe:1']
      const { stdout } = await run('ffmpeg', args, { encoding: 'buffer', maxBuffer: 1 << 26 })
      writeFileSync(file, stdout)
      const path = join(folder, `${id}-out.${into}`)
      const watch = startWatch([id, '-o', path, '--from', 'start', '--url', gateway.http])
      assert.equal(await watch.ended(), 0, watch.errors())
      const [sent, got] = [await probe(file), await probe(path)]
      assert.deepEqual([...got.codecs].sort(), [...sent.codecs].sort())
      sameTimes('video', sent.video, got.video)
      sameTimes('audio', sent.audio, got.audio)
      const apart = (from: typeof sent): number => (from.audio[0]?.pts ?? 0) - (from.video[0]?.pts ?? 0)
      near(apart(got), apart(sent), 'sound behind its picture')
      assert.equal(await complaints(path), '')

      // The same as a clip, and as HLS where it has a place in that.
      const extension = into === 'mkv' ? 'mp4' : into
      const response = await fetch(`${gateway.http}/api/v1/broadcasts/${id}/clip.${extension}`)
      const clip = join(folder, `${id}-clip.${extension}`)
      writeFileSync(clip, new Uint8Array(await response.arrayBuffer()))
      const cut = await probe(clip)
      sameTimes('video', sent.video, cut.video)
      // Sound from before the first picture is left out.
      const missing = sent.audio.length - cut.audio.length
      assert.ok(missing >= 0 && missing <= 2, `${missing} of the sound are missing`)
      assert.equal(await complaints(clip), '')
      if (codecs.includes('libvpx')) return
      const playlist = `${gateway.http}/api/v1/broadcasts/${id}/hls/recording.m3u8`
      const fields = [
        '-count_packets',
        '-show_entries',
        'stream=codec_type,nb_read_packets',
        '-of',
        'csv=p=0',
      ]
      const { stdout: counts } = await run('ffprobe', ['-v', 'error', ...fields, playlist])
      assert.match(counts, new RegExp(`^video,${sent.video.length}$`, 'm'))
      const [, sounds] = /^audio,(\d+)/m.exec(counts) ?? assert.fail(counts)
      assert.ok(sent.audio.length - Number(sounds) <= 2, `${sounds} of ${sent.audio.length} sounds`)
    })
  }
})

const states = async (id: string): Promise<{ state: string; title?: string }> =>
  (await (await fetch(`${gateway.http}/api/v1/broadcasts/${id}`)).json()) as { state: string; title?: string }

const flv = fixture('ffmpeg-h264-aac-b-frames.flv')
const frames = demuxWhole(flv).frames.length
const half = flv.byteLength >> 1

describe('a stream over HTTP', { timeout: 120_000 }, () => {
  it('is answered with what the log has of it, and ends the broadcast', async () => {
    const { status, body } = await ingest(gateway.http, 'whole', flv, { query: '?title=The%20yard' })
    assert.equal(status, 200)
    const bytes = demuxWhole(flv).frames.reduce((sum, { data }) => sum + data.byteLength, 0)
    assert.deepEqual(body, { broadcast: 'whole', frames, bytes, dropped: 0 })
    const { state, title } = await states('whole')
    assert.deepEqual([state, title], ['ended', 'The yard'])
  })

  it('may come by PUT, and under the address without a version', async () => {
    assert.equal((await ingest(gateway.http, 'put', flv, { method: 'PUT' })).status, 200)
    const url = `${gateway.http}/api/broadcasts/short/ingest`
    const { status } = await fetch(url, { method: 'POST', body: flv as Uint8Array<ArrayBuffer> })
    assert.equal(status, 200)
  })

  it('is seen while it is sent', async () => {
    const sender = new Sender(gateway.http, 'seen')
    await sender.send(flv.subarray(0, half))
    const viewer = await TestViewer.connect(gateway.ws, 'seen', 'start')
    const { frame } = await viewer.frame(20)
    assert.ok(frame.data.byteLength > 0)
    sender.end()
    // It is cut off in a tag, which is left out.
    assert.equal((await sender.answer).status, 200)
    await viewer.close()
  })

  it('that is cut leaves the broadcast to whoever comes back', async () => {
    const first = new Sender(gateway.http, 'back')
    await first.send(flv.subarray(0, half))
    const viewer = await TestViewer.connect(gateway.ws, 'back', 'start')
    await viewer.frame(20)
    first.cut()
    await viewer.until(
      (message): message is typeof message & { type: 'state' } =>
        message.type === 'state' && message.state === 'interrupted',
      'interrupted',
    )
    assert.equal((await ingest(gateway.http, 'back', flv)).status, 200)
    await viewer.until(
      (message): message is typeof message & { type: 'state' } =>
        message.type === 'state' && message.state === 'ended',
      'ended',
    )
    // Both sessions, one after the other.
    const before = demuxWhole(flv.subarray(0, half)).frames.length
    assert.ok(viewer.frames().length >= frames + before - 2 && viewer.frames().length <= frames + before)
    await viewer.close()
  })

  it('that comes while another is open takes over from it', async () => {
    const first = new Sender(gateway.http, 'over')
    await first.send(flv.subarray(0, half))
    const viewer = await TestViewer.connect(gateway.ws, 'over', 'start')
    await viewer.frame(5)
    assert.equal((await ingest(gateway.http, 'over', flv)).status, 200)
    const { status, body } = await first.answer
    assert.deepEqual([status, body.error?.code], [409, 'BROADCAST_TAKEN_OVER'])
    await viewer.close()
  })

  it('with another token does not', async () => {
    const first = new Sender(gateway.http, 'held', { headers: { authorization: 'Bearer one' } })
    await first.send(flv.subarray(0, half))
    const viewer = await TestViewer.connect(gateway.ws, 'held', 'start')
    await viewer.frame(5)
    const { status, body } = await ingest(gateway.http, 'held', flv, {
      headers: { authorization: 'Bearer two' },
    })
    assert.deepEqual([status, body.error?.code], [409, 'BROADCAST_BUSY'])
    first.end()
    assert.equal((await first.answer).status, 200)
    await viewer.close()
  })

  it('is refused while a page publishes, and hears so while it still sends', async () => {
    const publisher = await TestPublisher.connect(gateway.ws, 'busy')
    publisher.publish(3, { keyframe: true })
    await publisher.acknowledged(2)
    const sender = new Sender(gateway.http, 'busy')
    await sender.send(flv.subarray(0, half))
    const { status, body } = await sender.answer
    assert.deepEqual([status, body.error?.code], [409, 'BROADCAST_BUSY'])
    await publisher.end()
  })

  it('may be far faster than it plays: the sender is held up, and nothing is lost', async () => {
    const path = join(folder, 'long.flv')
    const encoded = ['-f', 'lavfi', '-i', 'testsrc2=s=1280x720:r=30:d=4']
    const h264 = ['-c:v', 'libx264', '-preset', 'ultrafast', '-g', '30', '-b:v', '12M']
    writeFileSync(path, ffmpeg(...encoded, ...h264, '-f', 'flv'))
    const long = ffmpeg('-stream_loop', '19', '-i', path, '-c', 'copy', '-f', 'flv')
    assert.ok(long.byteLength > 50_000_000, `${long.byteLength} bytes`)
    const { status, body } = await ingest(gateway.http, 'long', long)
    assert.deepEqual([status, body.frames, body.dropped], [200, 2400, 0])
  })
})

describe('a stream of many small frames', { timeout: 60_000 }, () => {
  const frame = (time: number): Uint8Array => enhancedVideo(time, 'vp08', 1, vp8Frame(true))
  const many = 3 * ingestLimits.unacknowledged.items
  const small = concat(flvHeader(1), ...Array.from({ length: many }, (_, i) => frame(i)))

  it('is held up where it comes in chunks, and nothing is lost', async () => {
    const sender = new Sender(gateway.http, 'small')
    for (let at = 0; at < small.byteLength; at += 3000)
      sender.send(small.subarray(at, at + 3000)).catch(() => {})
    sender.end()
    const { status, body } = await sender.answer
    assert.deepEqual([status, body.frames, body.dropped], [200, many, 0])
  })

  it('that is damaged is over, and the gateway goes on', async () => {
    const sender = new Sender(gateway.http, 'small-damaged')
    const damaged = concat(small, new Uint8Array(100).fill(0x55))
    for (let at = 0; at < damaged.byteLength; at += 3000)
      sender.send(damaged.subarray(at, at + 3000)).catch(() => {})
    const { status, body } = await sender.answer
    assert.deepEqual([status, body.error?.code], [400, 'BAD_CONTAINER'])
    sender.cut()
    for (let i = 0; i < 5; i++) assert.equal((await fetch(`${gateway.http}/ping`)).status, 200)
  })
})

describe('what cannot be carried', { timeout: 120_000 }, () => {
  const refused = async (
    id: string,
    bytes: Uint8Array,
    expected: readonly [number, string],
    message: RegExp,
  ): Promise<void> => {
    const { status, body } = await ingest(gateway.http, id, bytes)
    assert.deepEqual([status, body.error?.code], expected)
    assert.match(body.error?.message ?? '', message)
  }

  it('is named: garbage, a codec, a file that cannot be streamed', async () => {
    await refused('garbage', Buffer.alloc(100_000, 'garbage '), [400, 'BAD_CONTAINER'], /neither WebM/)
    const mpeg2 = ffmpeg(...picture, '-c:v', 'mpeg2video', '-f', 'mpegts')
    await refused('mpeg2', mpeg2, [415, 'UNSUPPORTED_CODEC'], /MPEG-2 video/)
    const mp3 = ffmpeg(...picture, ...sound, ...h264, '-c:a', 'libmp3lame', '-f', 'flv')
    await refused('mp3', mp3, [415, 'UNSUPPORTED_CODEC'], /MP3/)
    const flv1 = ffmpeg(...picture, '-c:v', 'flv1', '-f', 'flv')
    await refused('flv1', flv1, [415, 'UNSUPPORTED_CODEC'], /H\.263/)
    const path = join(folder, 'whole.mp4')
    await run('ffmpeg', ['-v', 'error', '-y', ...picture, ...h264, path])
    const file = new Uint8Array(await (await import('node:fs/promises')).readFile(path))
    await refused('file', file, [400, 'BAD_CONTAINER'], /fragment|moov/)
    for (const id of ['garbage', 'mpeg2', 'file'])
      assert.equal((await fetch(`${gateway.http}/api/v1/broadcasts/${id}`)).status, 404, `${id} was begun`)
  })

  it('costs no more than itself: what came before is there, and who comes next goes on', async () => {
    const damaged = flv.slice()
    damaged.fill(0x55, half, half + 2000)
    const { status, body } = await ingest(gateway.http, 'damaged', damaged)
    assert.deepEqual([status, body.error?.code], [400, 'BAD_CONTAINER'])
    const again = await ingest(gateway.http, 'damaged', flv)
    assert.equal(again.status, 200)
    const viewer = await TestViewer.connect(gateway.ws, 'damaged', 'start')
    await viewer.next('end')
    assert.ok(viewer.frames().length > frames)
    await viewer.close()
  })

  it('is refused before anything is read of it: an id, a title, a page of another origin', async () => {
    assert.equal((await ingest(gateway.http, 'NO', flv)).body.error?.code, 'BAD_BROADCAST_ID')
    const query = `?title=${'x'.repeat(catalogLimits.title + 1)}`
    assert.equal((await ingest(gateway.http, 'titled', flv, { query })).body.error?.code, 'BAD_CATALOG')
    const twice = await ingest(gateway.http, 'titled', flv, { query: '?title=a&title=b' })
    assert.equal(twice.body.error?.code, 'BAD_CATALOG')
    const foreign = { headers: { origin: 'https://elsewhere.example' } }
    const { status, body } = await ingest(gateway.http, 'foreign', flv, foreign)
    assert.deepEqual([status, body.error?.code], [errorKinds.FOREIGN_ORIGIN.status, 'FOREIGN_ORIGIN'])
  })

  it('is nothing at all, where a body is empty', async () => {
    const { status, body } = await ingest(gateway.http, 'empty', new Uint8Array())
    assert.deepEqual([status, body.error?.code], [400, 'BAD_CONTAINER'])
  })
})
