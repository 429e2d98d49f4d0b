/** What `watch` does when things are not as they should be. */
import assert from 'node:assert/strict'
import { execFileSync } from 'node:child_process'
import { existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, describe, it } from 'node:test'
import type { Frame } from '../../src/media/frame.ts'
import { micros } from '../../src/units.ts'
import { publishRecording, TestPublisher } from '../support/clients.ts'
import { startWatch } from '../support/command.ts'
import { type RunningGateway, startGateway } from '../support/gateway.ts'
import { freePort } from '../support/kafka-process.ts'
import { complaints, encoders, type Media, makeMedia, probe } from '../support/media.ts'

const folder = mkdtempSync(join(tmpdir(), 'framelog-watch-faults-'))
after(() => rmSync(folder, { recursive: true, force: true }))

let gateway: RunningGateway
let vp8: Media
let h264: Media
before(async () => {
  gateway = await startGateway({ LOG_LEVEL: 'warn' })
  vp8 = await makeMedia(folder, { video: encoders.vp8, audio: encoders.opus })
  h264 = await makeMedia(folder, { video: encoders.h264, seconds: 1 })
})
after(() => gateway[Symbol.asyncDispose]())

const publish = (base: string, id: string, { catalog, frames }: Media, some = frames): Promise<void> =>
  publishRecording(base, id, { catalog, frames: some })

/** The same frames over and over, their times going on. */
const repeated = ({ frames }: Media, times: number): Frame[] =>
  Array.from({ length: times }, (_, i) =>
    frames.map(frame => ({ ...frame, timestamp: micros(frame.timestamp + i * 2_040_000) })),
  ).flat()

/** One line for a person: what is wrong, its code, what to do. */
async function refuses(args: readonly string[], ...patterns: RegExp[]): Promise<void> {
  const watch = startWatch(['--url', gateway.http, ...args])
  assert.equal(await watch.ended(), 1, watch.errors())
  assert.equal(watch.bytes().byteLength, 0)
  const lines = watch.errors().trim().split('\n')
  for (const pattern of patterns) assert.match(lines.at(-1) ?? '', pattern)
}

describe('an output that cannot be', { timeout: 240_000 }, () => {
  it('a file that is there already, which stays as it is, unless --force is given', async () => {
    const path = join(folder, 'there.webm')
    writeFileSync(path, 'mine')
    await publish(gateway.ws, 'there', vp8)
    await refuses(
      ['there', '-o', path, '--from', 'start'],
      /there\.webm is there already/,
      /OUTPUT_EXISTS/,
      /--force/,
    )
    assert.equal(readFileSync(path, 'utf8'), 'mine')
    // Nothing comes of this one, and so nothing is lost.
    const waiting = startWatch(['not-there', '-o', path, '--force', '--url', gateway.http])
    await waiting.said(/has not begun/)
    waiting.signal('SIGINT')
    assert.equal(await waiting.ended(), 0)
    assert.equal(readFileSync(path, 'utf8'), 'mine')
    const forced = startWatch(['there', '-o', path, '--from', 'start', '--force', '--url', gateway.http])
    assert.equal(await forced.ended(), 0, forced.errors())
    assert.equal((await probe(path)).video.length, 60)
  })

  it('a name that tells no format, or one that cannot be written', async () => {
    await refuses(['any', '-o', join(folder, 'any.avi')], /\.avi/, /OUTPUT_FORMAT/, /\.webm, \.mkv or \.mp4/)
    await refuses(['any', '-o', join(folder, 'any')], /no extension/, /OUTPUT_FORMAT/)
    await refuses(['any', '-o', join(folder, 'any.webm'), '--format', 'gif'], /gif/, /OUTPUT_FORMAT/)
  })

  it('a folder that is not there, a file in the place of one, a folder in the place of the file', async () => {
    await refuses(['any', '-o', join(folder, 'none', 'any.webm')], /OUTPUT_UNUSABLE/, /folder does not exist/)
    writeFileSync(join(folder, 'file'), '')
    await refuses(['any', '-o', join(folder, 'file', 'any.webm')], /OUTPUT_UNUSABLE/)
    mkdirSync(join(folder, 'folder.webm'))
    await refuses(['any', '-o', join(folder, 'folder.webm'), '--force'], /OUTPUT_UNUSABLE/, /is a folder/)
    if (process.platform === 'linux') {
      await refuses(['any', '-o', '/proc/any.webm'], /OUTPUT_UNUSABLE/)
      await refuses(['any', '-o', '/dev/null', '--format', 'mkv', '--force'], /OUTPUT_UNUSABLE/, /not a file/)
    }
  })

  it('a disk that is full: what was written before stays, and can be read', async () => {
    await publish(gateway.ws, 'full', vp8, repeated(vp8, 6))
    const path = join(folder, 'full.mkv')
    const args = ['full', '-o', path, '--from', 'start', '--url', gateway.http]
    const watch = startWatch(args, { fileBlocks: 256 })
    assert.equal(await watch.ended(), 1)
    assert.match(watch.errors(), /OUTPUT_UNUSABLE/)
    assert.match(watch.errors(), /full\.mkv: \d/)
    const packets = execFileSync('ffprobe', [
      '-v',
      'quiet',
      '-select_streams',
      'v',
      '-show_packets',
      '-of',
      'csv',
      path,
    ])
    assert.ok(packets.toString().split('\n').length > 60)
  })

  it('a codec that the format does not hold', async () => {
    await publish(gateway.ws, 'unheld', h264)
    const path = join(folder, 'unheld.webm')
    await refuses(['unheld', '-o', path, '--from', 'start'], /avc1/, /webm/, /UNSUITABLE_FORMAT/, /\.mkv/)
    assert.equal(existsSync(path), false)
  })
})

describe('a request that cannot be met', { timeout: 60_000 }, () => {
  const path = join(folder, 'unmet.webm')

  it('an id, a position, a duration that is none', async () => {
    await refuses(['UPPER', '-o', path], /BAD_BROADCAST_ID/)
    await refuses(['any', '-o', path, '--from', 'yesterday'], /BAD_POSITION/)
    await refuses(['any', '-o', path, '--duration', 'long'], /BAD_OPTION/, /10m/)
  })

  it('no gateway, at once', async () => {
    await refuses(
      ['any', '-o', path, '--url', 'http://127.0.0.1:1'],
      /No gateway answers/,
      /GATEWAY_UNREACHABLE/,
    )
    await refuses(['any', '-o', path, '--url', 'ftp://127.0.0.1'], /not a gateway/, /GATEWAY_UNREACHABLE/)
    assert.equal(existsSync(path), false)
  })

  it('a broadcast that nobody sends is waited for until a signal, and leaves no file', async () => {
    const watch = startWatch(['nobody', '-o', path, '--from', '-30s', '--url', gateway.http])
    await watch.said(/nobody has not begun, waiting for it/)
    watch.signal('SIGTERM')
    assert.equal(await watch.ended(), 0, watch.errors())
    assert.match(watch.errors(), /nothing was written/)
    assert.equal(existsSync(path), false)
  })
})

const times = ({ source }: RegExp, n: number): RegExp => new RegExp(`(${source}[^]*){${n}}`)

describe('a gateway that is killed and comes back', { timeout: 240_000 }, () => {
  it('costs no frame and repeats none, live', async () => {
    const env = { DATA_DIR: join(folder, 'live'), HTTP_PORT: String(await freePort()), LOG_LEVEL: 'warn' }
    let running = await startGateway(env)
    const path = join(folder, 'live.webm')
    const watch = startWatch(['lasting', '-o', path, '--url', running.http])
    await watch.said(/has not begun/)
    const frames = repeated(vp8, 4)
    let publisher = await TestPublisher.connect(running.ws, 'lasting', { catalog: vp8.catalog })
    const session = publisher.welcome?.session ?? ''
    for (const [round, upTo] of [150, 340].entries()) {
      publisher.publishFrames(frames.slice(publisher.sequence, upTo))
      await publisher.acknowledged(upTo - 40)
      await running.kill('SIGKILL')
      await watch.said(times(/out of reach/, round + 1))
      running = await startGateway(env)
      publisher = await TestPublisher.connect(running.ws, 'lasting', { session, catalog: vp8.catalog })
      assert.equal(publisher.welcome?.session, session)
      await watch.said(times(/is live/, round + 2))
    }
    publisher.publishFrames(frames.slice(publisher.sequence))
    await publisher.acknowledged(frames.length - 1)
    await publisher.end()
    assert.equal(await watch.ended(), 0, watch.errors())
    const { video, audio } = await probe(path)
    const sizes = (kind: string): number[] =>
      frames.filter(({ track }) => track === kind).map(({ data }) => data.byteLength)
    assert.deepEqual(
      video.map(({ size }) => size),
      sizes('video'),
    )
    assert.deepEqual(
      audio.map(({ size }) => size),
      sizes('audio'),
    )
    assert.equal(await complaints(path), '')
    await running[Symbol.asyncDispose]()
  })

  it('costs no frame and repeats none in the middle of a recording', async () => {
    const env = { DATA_DIR: join(folder, 'replay'), HTTP_PORT: String(await freePort()), LOG_LEVEL: 'warn' }
    let running = await startGateway(env)
    const frames = repeated(vp8, 30)
    await publish(running.ws, 'recorded', vp8, frames)
    const watch = startWatch(['recorded', '-o', '-', '--from', 'start', '--url', running.http], {
      reads: false,
    })
    await watch.said(/recording comes/)
    await running.kill('SIGKILL')
    watch.read()
    await watch.said(/out of reach/)
    running = await startGateway(env)
    assert.equal(await watch.ended(), 0, watch.errors())
    const path = join(folder, 'recorded.mkv')
    writeFileSync(path, watch.bytes())
    const { video, audio } = await probe(path)
    assert.deepEqual([video.length, audio.length], [1800, frames.length - 1800])
    assert.equal(await complaints(path), '')
    await running[Symbol.asyncDispose]()
  })
})

describe('a reader that is slower than the broadcast', { timeout: 240_000 }, () => {
  /** Larger than all that holds frames on their way: pipes, sockets, this process, the gateway. */
  const heavy = (): Frame[] =>
    repeated(vp8, 40).map(frame => (frame.track === 'video' ? { ...frame, data: padded(frame.data) } : frame))

  it('has every frame of a live broadcast in the end: what was passed over comes from the log', async () => {
    const watch = startWatch(['slow', '-o', '-', '--url', gateway.http], { reads: false })
    await watch.said(/has not begun/)
    const frames = heavy()
    const publisher = await TestPublisher.connect(gateway.ws, 'slow', { catalog: vp8.catalog })
    for (let at = 0; at < frames.length; at += 500) {
      publisher.publishFrames(frames.slice(at, at + 500))
      await publisher.acknowledged(publisher.sequence - 1)
    }
    watch.read()
    await publisher.end()
    assert.equal(await watch.ended(), 0, watch.errors())
    const path = join(folder, 'slow.mkv')
    writeFileSync(path, watch.bytes())
    const { video, audio } = await probe(path)
    assert.deepEqual([video.length, audio.length], [2400, frames.length - 2400])
  })

  it('is not waited for after a second signal', async () => {
    await publish(gateway.ws, 'stuck', vp8, heavy())
    const watch = startWatch(['stuck', '-o', '-', '--from', 'start', '--url', gateway.http], { reads: false })
    await watch.said(/recording comes/)
    watch.signal('SIGINT')
    await watch.said(/Finishing/)
    watch.signal('SIGINT')
    assert.equal(await watch.ended(), 'SIGINT')
  })
})

/** A frame whose end decoders ignore, as long as frames of 5 Mb/s are. */
const padded = (data: Uint8Array): Uint8Array => Buffer.concat([data, Buffer.alloc(20_000)])
