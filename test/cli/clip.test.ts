import assert from 'node:assert/strict'
import { mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, describe, it } from 'node:test'
import { publishRecording } from '../support/clients.ts'
import { startCommand } from '../support/command.ts'
import { type RunningGateway, startGateway } from '../support/gateway.ts'
import { complaints, encoders, type Media, makeMedia, probe } from '../support/media.ts'

const folder = mkdtempSync(join(tmpdir(), 'framelog-clip-'))
after(() => rmSync(folder, { recursive: true, force: true }))

let gateway: RunningGateway
let media: Media
before(async () => {
  gateway = await startGateway({ LOG_LEVEL: 'warn' })
  media = await makeMedia(folder, { video: encoders.h264WithB, audio: encoders.aac, seconds: 3 })
  await publishRecording(gateway.ws, 'kept', media)
})
after(() => gateway[Symbol.asyncDispose]())

const url = (): string[] => ['--url', gateway.http]
const frames = (): number => media.frames.filter(({ track }) => track === 'video').length

describe('framelog clip', { timeout: 120_000 }, () => {
  it('writes what is kept into a file', async () => {
    const path = join(folder, 'kept.mp4')
    const command = startCommand('clip', ['kept', '-o', path, ...url()])
    assert.equal(await command.ended(), 0, command.errors())
    assert.match(command.errors(), /kept\.mp4: [\d.]+ kB/)
    assert.equal((await probe(path)).video.length, frames())
    assert.equal(await complaints(path), '')
    const piped = startCommand('clip', ['kept', '-o', '-', ...url()])
    assert.equal(await piped.ended(), 0, piped.errors())
    assert.deepEqual(piped.bytes(), readFileSync(path))
  })

  it('goes on where its connection is cut', async () => {
    const ranges: (string | undefined)[] = []
    // Gives each connection 20 kB more than the one before.
    const server = createServer(async ({ url: path = '', headers }, response) => {
      ranges.push(headers.range)
      const upstream = await fetch(gateway.http + path, {
        headers: headers.range ? { range: headers.range } : {},
      })
      const bytes = Buffer.from(await upstream.arrayBuffer())
      const given = bytes.subarray(0, 20_000 * ranges.length)
      response.writeHead(upstream.status, Object.fromEntries(upstream.headers))
      response.write(given, () =>
        given.byteLength === bytes.byteLength ? response.end() : response.destroy(),
      )
    })
    await new Promise<void>(resolve => server.listen(0, '127.0.0.1', resolve))
    const path = join(folder, 'cut.mp4')
    const { port } = server.address() as AddressInfo
    const command = startCommand('clip', ['kept', '-o', path, '--url', `http://127.0.0.1:${port}`])
    assert.equal(await command.ended(), 0, command.errors())
    assert.deepEqual(readFileSync(path), readFileSync(join(folder, 'kept.mp4')))
    assert.deepEqual(ranges.slice(0, 3), [undefined, 'bytes=20000-', 'bytes=60000-'])
    server.close()
  })

  it('says what is wrong, and leaves nothing behind', async () => {
    const says = async (args: readonly string[], pattern: RegExp): Promise<void> => {
      const command = startCommand('clip', args)
      assert.equal(await command.ended(), 1, command.errors())
      assert.match(command.errors(), pattern)
    }
    const path = join(folder, 'none.mp4')
    await says(['nothing', '-o', path, ...url()], /There is no broadcast nothing \[BROADCAST_NOT_FOUND\]/)
    await says(
      ['kept', '-o', join(folder, 'none.webm'), ...url()],
      /cannot be written into video\/webm \[UNSUITABLE_FORMAT\]/,
    )
    await says(
      ['kept', '-o', join(folder, 'none.avi'), ...url()],
      /A clip is mp4 or webm, not "avi" \[OUTPUT_FORMAT\]/,
    )
    await says(['kept', '-o', path, '--from', 'never', ...url()], /\[BAD_POSITION\]/)
    await says(['kept', '-o', path, '--url', 'http://127.0.0.1:1'], /\[GATEWAY_UNREACHABLE\]/)
    assert.throws(() => readFileSync(path), { code: 'ENOENT' })
  })
})
