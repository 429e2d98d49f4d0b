import assert from 'node:assert/strict'
import { execFile } from 'node:child_process'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, describe, it } from 'node:test'
import { promisify } from 'node:util'
import { publishRecording } from '../support/clients.ts'
import { type RunningCommand, startCommand } from '../support/command.ts'
import { type RunningGateway, startGateway } from '../support/gateway.ts'
import { type KafkaCluster, startKafka } from '../support/kafka.ts'
import { encoders, type Media, makeMedia } from '../support/media.ts'

const run = promisify(execFile)
const folder = mkdtempSync(join(tmpdir(), 'framelog-hls-'))
after(() => rmSync(folder, { recursive: true, force: true }))

const text = async (url: string): Promise<string> => {
  const response = await fetch(url)
  const body = await response.text()
  assert.equal(response.status, 200, body)
  return body
}

/** A playlist that says that nothing follows: a gateway reads that a moment after the publisher has heard it. */
async function over(url: string): Promise<string> {
  for (;;) {
    const playlist = await text(url)
    if (playlist.includes('#EXT-X-ENDLIST')) return playlist
    await new Promise(resolve => setTimeout(resolve, 50))
  }
}

const lines = (playlist: string, tag: string): string[] =>
  playlist.split('\n').flatMap(line => (line.startsWith(tag) ? [line.slice(tag.length)] : []))

/** Addresses of whole segments. */
const segments = (playlist: string): string[] =>
  playlist.split('\n').filter(line => /^[^#].*\.m4s$/.test(line))
const partsOf = (playlist: string): string[] =>
  lines(playlist, '#EXT-X-PART:').map(line => /URI="([^"]+)"/.exec(line)?.[1] ?? '')

describe('HLS, of two gateways on one Kafka', { timeout: 180_000 }, () => {
  let kafka: KafkaCluster
  let gateways: RunningGateway[]
  let media: Media
  let source = ''
  before(async () => {
    kafka = await startKafka()
    const env = { BOOTSTRAP_SERVERS: kafka.bootstrapServers, LOG_LEVEL: 'warn' }
    gateways = [await startGateway(env), await startGateway(env)]
    media = await makeMedia(folder, { video: encoders.h264WithB, audio: encoders.aac, seconds: 12 })
    source = join(folder, 'source.mp4')
    const picture = [
      '-f',
      'lavfi',
      '-i',
      'testsrc2=s=320x180:r=30:d=14',
      '-f',
      'lavfi',
      '-i',
      'sine=440:d=14',
    ]
    const codecs = ['-c:v', 'libx264', '-preset', 'veryfast', '-bf', '2', '-g', '45', '-c:a', 'aac']
    await run('ffmpeg', ['-v', 'error', '-y', ...picture, ...codecs, source])
  })
  after(async () => {
    for (const gateway of gateways ?? []) await gateway[Symbol.asyncDispose]()
    await kafka?.[Symbol.asyncDispose]()
  })

  const hls = (id: string, which = 0): string => `${gateways[which]?.http}/api/v1/broadcasts/${id}/hls`
  const publish = (id: string): RunningCommand =>
    startCommand('publish', [id, source, '--url', gateways[0]?.http ?? ''])
  const bytesOf = async (url: string): Promise<Buffer> => {
    const response = await fetch(url)
    assert.equal(response.status, 200, url)
    assert.equal(response.headers.get('cache-control'), 'public, max-age=31536000, immutable')
    return Buffer.from(await response.arrayBuffer())
  }

  it('names segments and parts as they come, the same from both, and blocks until they are there', async () => {
    const command = publish('live')
    await command.said(/on air/)
    const master = await text(`${hls('live')}/master.m3u8`)
    assert.match(master, /CODECS="avc1\.[0-9a-f]{6},mp4a\.40\.2",RESOLUTION=320x180\nlive\.m3u8\n/)
    let playlist = await text(`${hls('live')}/live.m3u8`)
    const seen = new Set<string>()
    for (let asked = 0; asked < 12; asked++) {
      for (const part of partsOf(playlist)) seen.add(part)
      const base = Number(lines(playlist, '#EXT-X-MEDIA-SEQUENCE:')[0])
      const msn = base + segments(playlist).length
      const open = playlist.slice(Math.max(0, playlist.lastIndexOf('#EXTINF')))
      const part = lines(open, '#EXT-X-PART:').length
      const next = await text(`${hls('live', asked % 2)}/live.m3u8?_HLS_msn=${msn}&_HLS_part=${part}`)
      assert.ok(next.length > 0 && next !== playlist)
      playlist = next
    }
    assert.ok(seen.size >= 6, `${seen.size} parts`)
    assert.equal(await command.ended(), 0, command.errors())
    const [one, other] = [await over(`${hls('live')}/live.m3u8`), await over(`${hls('live', 1)}/live.m3u8`)]
    assert.equal(one, other)
    assert.ok(segments(one).length >= 3)
    for (const name of [
      ...segments(one),
      ...partsOf(one),
      ...lines(one, '#EXT-X-MAP:URI="').map(uri => uri.slice(0, -1)),
    ])
      assert.deepEqual(await bytesOf(`${hls('live')}/${name}`), await bytesOf(`${hls('live', 1)}/${name}`))
    const durations = lines(one, '#EXTINF:').map(Number.parseFloat)
    assert.ok(Math.abs(durations.reduce((sum, each) => sum + each, 0) - 14) < 0.2, durations.join())
    for (const line of lines(one, '#EXT-X-PART:'))
      assert.ok(Number(/DURATION=([\d.]+)/.exec(line)?.[1]) <= 0.6, line)
  })

  it('is read by ffmpeg, live and recorded, every frame of it', async () => {
    const count = async (url: string, ...args: string[]): Promise<number> => {
      const fields = ['-count_packets', '-show_entries', 'stream=nb_read_packets', '-of', 'csv=p=0']
      const { stdout } = await run('ffprobe', [
        '-v',
        'error',
        ...args,
        '-select_streams',
        'v:0',
        ...fields,
        url,
      ])
      return Number.parseInt(stdout, 10)
    }
    assert.equal(await count(`${hls('live')}/recording.m3u8`), 420)
    assert.equal(await count(`${hls('live')}/live.m3u8`, '-live_start_index', '0'), 420)
    const { stderr } = await run('ffmpeg', [
      '-v',
      'error',
      '-i',
      `${hls('live', 1)}/recording.m3u8`,
      '-enc_time_base:v',
      '-1',
      '-f',
      'null',
      '-',
    ])
    assert.equal(stderr, '')
  })

  it('of a span, and of a broadcast that was made anew under the same name', async () => {
    await publishRecording(gateways[0]?.ws ?? '', 'again', media)
    const first = await text(`${hls('again')}/recording.m3u8`)
    const name = segments(first)[0] ?? ''
    await bytesOf(`${hls('again')}/${name}`)
    await fetch(`${gateways[0]?.http}/api/v1/broadcasts/again`, { method: 'DELETE' })
    await publishRecording(gateways[0]?.ws ?? '', 'again', media)
    const gone = await fetch(`${hls('again')}/${name}`)
    assert.equal(gone.status, 410)
    const second = await text(`${hls('again')}/recording.m3u8`)
    assert.notEqual(segments(second)[0], name)
    const offset = /\/(\d+)-(\d+)\.m4s/.exec(segments(second)[0] ?? '')?.[2]
    const rest = await fetch(`${hls('again')}/recording.m3u8?from=@${Number(offset) - 100}`)
    assert.equal(rest.status, 200)
  })

  it('says what is wrong', async () => {
    const vp8 = await makeMedia(folder, { video: encoders.vp8 })
    await publishRecording(gateways[0]?.ws ?? '', 'vp8', vp8)
    const refused = async (path: string): Promise<unknown> => {
      const response = await fetch(path)
      return [response.status, ((await response.json()) as { error: { code: string } }).error.code]
    }
    assert.deepEqual(await refused(`${hls('vp8')}/master.m3u8`), [415, 'UNSUITABLE_FORMAT'])
    assert.deepEqual(await refused(`${hls('none')}/live.m3u8`), [404, 'BROADCAST_NOT_FOUND'])
    assert.deepEqual(await refused(`${hls('live')}/live.m3u8?_HLS_msn=x`), [400, 'BAD_POSITION'])
    assert.deepEqual(await refused(`${hls('live')}/live.m3u8?_HLS_msn=99999999999`), [400, 'BAD_POSITION'])
    assert.deepEqual(await refused(`${hls('live')}/topic/1-2.m4s`), [410, 'BROADCAST_DELETED'])
  })
})
