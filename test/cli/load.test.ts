/** `framelog load`, as a program of its own, on gateways that are run as a user runs them. */
import assert from 'node:assert/strict'
import { type ChildProcess, execFile, spawn } from 'node:child_process'
import { once } from 'node:events'
import { writeFileSync } from 'node:fs'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { text } from 'node:stream/consumers'
import { describe, it } from 'node:test'
import { promisify } from 'node:util'
import { ownClip, readClip } from '../../src/cli/load/clip.ts'
import type { LoadReport } from '../../src/cli/load/report.ts'
import { Tally, tallyLimits } from '../../src/cli/load/tally.ts'
import { TestPublisher } from '../support/clients.ts'
import { startGateway } from '../support/gateway.ts'

const root = join(import.meta.dirname, '..', '..')
const command = [join(root, 'bin', 'framelog.js'), 'load']
const containers = join(root, 'test', 'fixtures', 'containers')

function startLoad(...args: string[]): {
  child: ChildProcess
  report: Promise<LoadReport>
  said: () => string
} {
  const child = spawn(process.execPath, [...command, '--json', ...args], {
    stdio: ['ignore', 'pipe', 'pipe'],
  })
  let said = ''
  child.stderr?.on('data', data => {
    said += data
  })
  const report = text(child.stdout as NodeJS.ReadableStream).then(json => {
    assert.notEqual(json, '', said)
    return JSON.parse(json) as LoadReport
  })
  return { child, report, said: () => said }
}

async function run(...args: string[]): Promise<LoadReport & { code: number }> {
  const { child, report } = startLoad(...args)
  const [code] = (await once(child, 'exit')) as [number]
  return { ...(await report), code }
}

const failed = (...args: string[]) =>
  promisify(execFile)(process.execPath, [...command, ...args]).then(
    () => assert.fail('it went well'),
    ({ stderr }: { stderr: string }) => stderr,
  )

describe('framelog load', { timeout: 120_000 }, () => {
  it('gives every frame of its publishers to every viewer, says what it took, and cleans up', async () => {
    await using gateway = await startGateway()
    const report = await run(
      ...['--url', gateway.http, '--publishers', '2', '--viewers', '20', '--slow', '2'],
      ...['--duration', '3s', '--warm-up', '1s'],
    )
    assert.equal(report.code, 0)
    assert.deepEqual([report.lost, report.skipped.quick, report.heldBack], [0, 0, 0])
    // Two publishers of 30 pictures and 50 pieces of sound a second; nine quick viewers of each, and a slow one.
    assert.ok(Math.abs(report.sent - 480) <= 20, `${report.sent} frames sent`)
    assert.ok(Math.abs(report.acknowledged - report.sent) <= 20, `${report.acknowledged} acknowledged`)
    assert.ok(report.delivered >= 9 * (report.sent - 20), `${report.delivered} delivered`)
    assert.ok(report.delivered <= 10 * (report.sent + 20), `${report.delivered} delivered`)
    assert.deepEqual(Object.keys(report.spans), ['sent', 'received', 'read', 'relayed', 'arrived'])
    assert.ok((report.lag?.p50 ?? 0) > 0 && (report.joins?.p50 ?? 0) > 0)
    const [cost] = report.gateways
    assert.ok(cost !== undefined && cost.cpu > 0 && cost.memory > 1e7)
    const { broadcasts } = (await (await fetch(`${gateway.http}/api/v1/broadcasts`)).json()) as {
      broadcasts: unknown[]
    }
    assert.deepEqual(broadcasts, [])
  })

  it('lets viewers come and go on a broadcast that is there', async () => {
    await using gateway = await startGateway()
    const publisher = await TestPublisher.connect(gateway.ws, 'there')
    const camera = setInterval(() => publisher.publish(1, { keyframe: true, bytes: 2000 }), 20)
    try {
      const report = await run(
        ...['there', '--url', gateway.http, '--viewers', '10', '--stay', '1s'],
        ...['--duration', '4s', '--warm-up', '1s'],
      )
      assert.equal(report.code, 0)
      assert.ok(report.joined > 15, `${report.joined} joins`)
      assert.deepEqual([report.lost, report.sent], [0, 0])
    } finally {
      clearInterval(camera)
      await publisher.close()
    }
  })

  it('goes on through a gateway that is killed, and tells who was cut off', async () => {
    await using first = await startGateway()
    const load = startLoad('--url', first.http, '--viewers', '5', '--duration', '30s', '--warm-up', '1s')
    while (!load.said().includes('measuring')) await once(load.child.stderr as NodeJS.ReadableStream, 'data')
    await first.kill()
    while (
      Number(
        load
          .said()
          .match(/(\d+) cut off/g)
          ?.at(-1)
          ?.match(/\d+/),
      ) < 6
    )
      await once(load.child.stderr as NodeJS.ReadableStream, 'data')
    // Its report comes also where it is stopped early.
    load.child.kill('SIGINT')
    const [code] = (await once(load.child, 'exit')) as [number]
    const report = await load.report
    assert.equal(code, 1)
    const ends = Object.entries(report.ends)
    assert.ok(ends.some(([what]) => what.startsWith('publisher: ')))
    assert.ok(ends.some(([what, times]) => what.startsWith('viewer: ') && times >= 5))
    assert.ok(report.heldBack > 0)
    assert.match(load.said(), /is still there: the gateway did not delete it/)
  })

  it('says when no frame came', async () => {
    await using gateway = await startGateway()
    const args = ['nobody', '--url', gateway.http, '--viewers', '1', '--duration', '1s', '--warm-up', '1s']
    const { code, delivered } = await run(...args)
    assert.deepEqual([code, delivered], [1, 0])
  })

  it('refuses what it cannot do, by name', async () => {
    assert.match(
      await failed('--viewers', 'many'),
      /--viewers is "many": expected a whole number .*BAD_OPTION/,
    )
    assert.match(await failed('--viewers', '20001'), /from 0 to 20000 .*BAD_OPTION/)
    assert.match(await failed('--slow', '11'), /--slow is "11": .* from 0 to 10 .*BAD_OPTION/)
    assert.match(await failed('--publishers', '0'), /--publishers is "0".*BAD_OPTION/)
    assert.match(await failed('--stay', '0s'), /--stay is "0s": expected a span such as 30s.*BAD_OPTION/)
    assert.match(await failed('--duration', 'long'), /--duration is "long": expected .*BAD_OPTION/)
    assert.match(await failed('No Such'), /BAD_BROADCAST_ID/)
    assert.match(await failed('--url', 'ftp://x'), /GATEWAY_UNREACHABLE/)
    assert.match(await failed('--url', 'http://127.0.0.1:1'), /No gateway answers .*GATEWAY_UNREACHABLE/)
    assert.match(await failed('--file', '/no/such'), /"\/no\/such" cannot be read .*BAD_OPTION/)
    assert.match(await failed('--file', join(root, 'README.md')), /BAD_CONTAINER/)
  })
})

describe('a clip', () => {
  it('of its own is two seconds of pictures and sound', () => {
    const { catalog, frames, due, span } = readClip(ownClip)
    assert.deepEqual(
      catalog.tracks.map(({ name, kind }) => [name, kind]),
      [
        ['video', 'video'],
        ['audio', 'audio'],
      ],
    )
    assert.equal(frames.filter(({ track }) => track === 'video').length, 60)
    assert.ok(frames[0]?.track === 'video' && frames[0].keyframe)
    assert.ok(Math.abs(span - 2e6) < 30_000, `${span} µs`)
    assert.deepEqual(
      due.toSorted((a, b) => a - b),
      due,
    )
  })

  it('with pictures out of order is sent in the order of their decoding', () => {
    const { frames, due, span } = readClip(join(containers, 'ffmpeg-h264-aac-b-frames-edits.mp4'))
    const pictures = frames.filter(({ track }) => track === 'video')
    const times = pictures.map(({ timestamp }) => timestamp)
    assert.notDeepEqual(
      times.toSorted((a, b) => a - b),
      times,
    )
    const decode = pictures.map(({ decodeTimestamp, timestamp }) => decodeTimestamp ?? timestamp)
    assert.deepEqual(
      decode.toSorted((a, b) => a - b),
      decode,
    )
    assert.ok(span > (due.at(-1) ?? 0))
  })

  it('needs a keyframe, and a length', async () => {
    const folder = await mkdtemp(join(tmpdir(), 'framelog-clip-'))
    try {
      const path = join(folder, 'clip')
      writeFileSync(path, new Uint8Array())
      assert.throws(() => readClip(path), { code: 'BAD_CONTAINER' })
    } finally {
      await rm(folder, { recursive: true })
    }
  })
})

describe('a tally', () => {
  it('tells so many ends apart, and no more', () => {
    const tally = new Tally()
    for (let i = 0; i < tallyLimits.reasons + 10; i++) tally.ended('viewer', `reason ${i}`)
    assert.equal(tally.ends.size, tallyLimits.reasons + 1)
    assert.equal(tally.ends.get('viewer: others'), 10)
  })

  it('gives each part of the way what it took, and passes over what is not known', () => {
    const tally = new Tally()
    tally.arrived({ sent: 100, received: 300, relayed: 900 } as never, 1000)
    const took = Object.entries(tally.spans).map(([name, { count, max }]) => [name, count, count && max])
    assert.deepEqual(took, [
      ['sent', 1, 100],
      ['received', 1, 200],
      ['read', 0, 0],
      ['relayed', 1, 600],
      ['arrived', 1, 100],
    ])
    assert.equal(tally.lag.max, 1000)
  })
})
