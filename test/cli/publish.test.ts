import assert from 'node:assert/strict'
import { execFile } from 'node:child_process'
import { mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, describe, it } from 'node:test'
import { promisify } from 'node:util'
import { TestViewer } from '../support/clients.ts'
import { startCommand, startWatch } from '../support/command.ts'
import { demuxWhole } from '../support/containers.ts'
import { type RunningGateway, startGateway } from '../support/gateway.ts'
import { freePort } from '../support/kafka-process.ts'
import { complaints, probe, sameTimes } from '../support/media.ts'

const run = promisify(execFile)
const folder = mkdtempSync(join(tmpdir(), 'framelog-publish-'))
after(() => rmSync(folder, { recursive: true, force: true }))

let gateway: RunningGateway
before(async () => {
  gateway = await startGateway({ LOG_LEVEL: 'warn' })
})
after(() => gateway[Symbol.asyncDispose]())

const url = (): string[] => ['--url', gateway.http]

const picture = ['-f', 'lavfi', '-i', 'testsrc2=s=320x180:r=30:d=2']
const sound = ['-f', 'lavfi', '-i', 'sine=440:sample_rate=48000:d=2']
const bFrames = ['-c:v', 'libx264', '-preset', 'veryfast', '-bf', '3', '-g', '30', '-pix_fmt', 'yuv420p']

async function make(name: string, ...args: readonly string[]): Promise<string> {
  const path = join(folder, name)
  await run('ffmpeg', ['-v', 'error', '-y', ...args, path])
  return path
}

/** Everything of a broadcast that is over, in a file. */
async function recorded(id: string): Promise<string> {
  const path = join(folder, `${id}-out.mkv`)
  const watch = startWatch([id, '-o', path, '--from', 'start', ...url()])
  assert.equal(await watch.ended(), 0, watch.errors())
  return path
}

async function assertSame(id: string, source: string): Promise<void> {
  const path = await recorded(id)
  const [sent, got] = [await probe(source), await probe(path)]
  for (const kind of ['video', 'audio'] as const) sameTimes(kind, sent[kind], got[kind])
  assert.equal(await complaints(path), '')
}

describe('framelog publish', { timeout: 240_000 }, () => {
  it('sends a file as fast as it plays', async () => {
    const path = await make('plays.mp4', ...picture, ...sound, ...bFrames, '-c:a', 'aac')
    const began = performance.now()
    const command = startCommand('publish', ['plays', path, '--title', 'A yard', ...url()])
    assert.equal(await command.ended(), 0, command.errors())
    const took = performance.now() - began
    assert.ok(took > 1900, `${took} ms`)
    assert.match(command.errors(), /plays: 2\.\d s, \d+ frames, .* MB in the log/)
    await assertSame('plays', path)
    const info = (await (await fetch(`${gateway.http}/api/v1/broadcasts/plays`)).json()) as { title: string }
    assert.equal(info.title, 'A yard')
  })

  const files: Readonly<Record<string, readonly string[]>> = {
    'whole-vp9-opus.mp4': [
      ...picture,
      ...sound,
      '-c:v',
      'libvpx-vp9',
      '-cpu-used',
      '8',
      '-deadline',
      'realtime',
      '-c:a',
      'libopus',
    ],
    'whole-h264-opus.mkv': [...picture, ...sound, ...bFrames, '-c:a', 'libopus'],
    'whole-h264-aac.ts': [...picture, ...sound, ...bFrames, '-c:a', 'aac'],
    'whole-h264-aac.flv': [...picture, ...sound, ...bFrames, '-c:a', 'aac'],
    'whole-h264.mov': [...picture, ...bFrames],
    'whole-aac.mp4': [...sound, '-c:a', 'aac'],
  }
  for (const [name, args] of Object.entries(files)) {
    it(`sends ${name} as fast as the log takes it`, async () => {
      const id = name.replaceAll('.', '-')
      const path = await make(name, ...args)
      const command = startCommand('publish', [id, path, '--rate', 'max', ...url()])
      assert.equal(await command.ended(), 0, command.errors())
      await assertSame(id, path)
    })
  }

  it('sends what comes on its standard input, as it comes', async () => {
    const path = await make('piped.ts', ...picture, ...sound, ...bFrames, '-c:a', 'aac')
    const bytes = readFileSync(path)
    const command = startCommand('publish', ['piped', '-', ...url()], { takes: true })
    command.write(bytes.subarray(0, bytes.byteLength >> 1))
    const viewer = await TestViewer.connect(gateway.ws, 'piped', 'start')
    await viewer.frame(20)
    command.write(bytes.subarray(bytes.byteLength >> 1))
    command.write(undefined)
    assert.equal(await command.ended(), 0, command.errors())
    await viewer.close()
    await assertSame('piped', path)
  })

  it('goes round in a loop until it is stopped, and then ends the broadcast', async () => {
    const path = await make('loop.mkv', ...picture, '-t', '1', ...bFrames)
    const command = startCommand('publish', ['loop', path, '--loop', ...url()])
    const viewer = await TestViewer.connect(gateway.ws, 'loop', 'start')
    await viewer.frame(75)
    command.signal('SIGINT')
    assert.equal(await command.ended(), 0, command.errors())
    await viewer.next('end')
    const times = viewer.frames().map(({ frame }) => frame.decodeTimestamp ?? frame.timestamp)
    const steps = times.slice(1).map((time, i) => time - (times[i] ?? 0))
    assert.ok(
      Math.min(...steps) >= 0 && Math.max(...steps) < 500_000,
      `${Math.min(...steps)} to ${Math.max(...steps)}`,
    )
    await viewer.close()
  })

  it('goes on where a gateway dies and comes back, and loses nothing', async () => {
    const path = await make('outlives.mkv', ...picture, ...sound, '-t', '2', ...bFrames, '-c:a', 'libopus')
    const data = mkdtempSync(join(folder, 'data-'))
    const HTTP_PORT = String(await freePort())
    const first = await startGateway({ DATA_DIR: data, HTTP_PORT, LOG_LEVEL: 'warn' })
    const command = startCommand('publish', ['outlives', path, '--rate', '0.5', '--url', first.http])
    const viewer = await TestViewer.connect(first.ws, 'outlives', 'start')
    await viewer.frame(20)
    await first.kill()
    const second = await startGateway({ DATA_DIR: data, HTTP_PORT, LOG_LEVEL: 'warn' })
    assert.equal(await command.ended(), 0, command.errors())
    assert.match(command.errors(), /out of reach/)
    const again = await TestViewer.connect(second.ws, 'outlives', 'start')
    await again.next('end')
    assert.deepEqual(
      again.sequences,
      demuxWhole(readFileSync(path)).frames.map((_, i) => i),
    )
    await again.close()
    await second[Symbol.asyncDispose]()
  })

  it('reads an address by ffmpeg, encodes what cannot be carried, and waits for one that is gone', async () => {
    const path = await make('mpeg2.ts', ...picture, ...sound, '-c:v', 'mpeg2video', '-c:a', 'mp2')
    const bytes = readFileSync(path)
    const isGone = { value: false }
    const server = createServer((_request, response) => {
      if (isGone.value) response.writeHead(404).end()
      else response.writeHead(200, { 'content-type': 'video/mp2t' }).end(bytes)
    })
    await new Promise<void>(resolve => server.listen(0, '127.0.0.1', resolve))
    const from = `http://127.0.0.1:${(server.address() as AddressInfo).port}/camera.ts`
    try {
      const refused = startCommand('publish', ['camera', from, ...url()])
      assert.equal(await refused.ended(), 1)
      assert.match(
        refused.errors(),
        /mpeg2video, which cannot be carried; --transcode .* \[UNSUPPORTED_CODEC\]/,
      )
      const command = startCommand('publish', ['camera', from, '--transcode', '--loop', ...url()])
      const viewer = await TestViewer.connect(gateway.ws, 'camera', 'start')
      await viewer.frame(20)
      isGone.value = true
      await command.said(/cannot be read: .*; trying again/)
      isGone.value = false
      const before = viewer.frames().length
      await viewer.frame(before + 100)
      command.signal('SIGTERM')
      assert.equal(await command.ended(), 0, command.errors())
      const { catalog } = await (await TestViewer.connect(gateway.ws, 'camera', 'start')).next('catalog')
      assert.deepEqual(
        catalog.tracks.map(track => String((track as { codec?: string }).codec).split('.')[0]),
        ['avc1', 'opus'],
      )
      await viewer.close()
    } finally {
      server.close()
      server.closeAllConnections()
    }
  })

  it('says what is wrong', async () => {
    const says = async (args: readonly string[], pattern: RegExp, env = {}): Promise<void> => {
      const command = startCommand('publish', [...args, ...url()], { env })
      assert.equal(await command.ended(), 1, command.errors())
      assert.match(command.errors(), pattern)
    }
    await says(
      ['bad', join(folder, 'nothing.mp4')],
      /nothing\.mp4" cannot be read \(ENOENT\) \[SOURCE_UNUSABLE\]/,
    )
    await says(['bad', join(import.meta.dirname, 'publish.test.ts')], /\[BAD_CONTAINER\]/)
    const hevc = await make('hevc.mp4', ...picture, '-c:v', 'libx265', '-x265-params', 'log-level=none')
    await says(['bad', hevc], /The video is "hevc", which cannot be carried \[UNSUPPORTED_CODEC\]/)
    await says(['bad', '-', '--loop'], /cannot be read again \[BAD_OPTION\]/)
    await says(
      ['bad', hevc, '--rate', 'fast'],
      /--rate is "fast": expected 0\.1 to 100, or max \[BAD_OPTION\]/,
    )
    await says(['BAD', hevc], /\[BAD_BROADCAST_ID\]/)
    await says(['bad', 'rtsp://127.0.0.1:1/x'], /cannot be read: .* \[SOURCE_UNUSABLE\]/)
    await says(['bad', 'rtsp://127.0.0.1:1/x'], /ffmpeg, which is not found on PATH \[SOURCE_UNUSABLE\]/, {
      PATH: '/nowhere',
    })
    const lost = startCommand('publish', [
      'bad',
      hevc.replace('hevc.mp4', 'plays.mp4'),
      '--url',
      'http://127.0.0.1:1',
    ])
    assert.equal(await lost.ended(), 1)
    assert.match(lost.errors(), /\[GATEWAY_UNREACHABLE\]/)
  })
})
