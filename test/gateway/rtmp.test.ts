import assert from 'node:assert/strict'
import { execFile, spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtempSync, rmSync } from 'node:fs'
import { connect, type Socket } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, describe, it } from 'node:test'
import { promisify } from 'node:util'
import { decodeAmf0, encodeAmf0 } from '../../src/container/flv/amf0.ts'
import { ChunkReader, encodeMessage, messageTypes } from '../../src/gateway/rtmp/chunk-stream.ts'
import { TestPublisher, TestViewer } from '../support/clients.ts'
import { startWatch } from '../support/command.ts'
import { type RunningGateway, startGateway } from '../support/gateway.ts'
import { complaints, probe, sameTimes } from '../support/media.ts'

const run = promisify(execFile)
const folder = mkdtempSync(join(tmpdir(), 'framelog-rtmp-'))
after(() => rmSync(folder, { recursive: true, force: true }))

let gateway: RunningGateway
before(async () => {
  gateway = await startGateway({ LOG_LEVEL: 'info', RTMP_PORT: '0', PUBLISHER_GRACE: '20s' })
})
after(() => gateway[Symbol.asyncDispose]())

const source = ['-f', 'lavfi', '-i', 'testsrc2=s=320x180:r=30:d=3', '-f', 'lavfi', '-i', 'sine=440:d=3']
const codecs = ['-c:v', 'libx264', '-preset', 'veryfast', '-bf', '3', '-g', '30', '-c:a', 'aac']

async function make(): Promise<string> {
  const path = join(folder, 'source.mkv')
  await run('ffmpeg', ['-v', 'error', '-y', ...source, ...codecs, path])
  return path
}

/** A client of RTMP that goes through the handshake and says what it is told to. */
class Client {
  readonly socket: Socket
  readonly #reader = new ChunkReader()
  readonly #answers: unknown[][] = []
  #read = 0

  private constructor(socket: Socket) {
    this.socket = socket
  }

  static async connect(address: string): Promise<Client> {
    const { port } = new URL(address.replace('rtmp:', 'http:'))
    const socket = connect(Number(port), '127.0.0.1')
    socket.on('error', () => {})
    const client = new Client(socket)
    socket.write(Buffer.concat([Uint8Array.of(3), Buffer.alloc(1536)]))
    socket.on('data', (bytes: Buffer) => {
      const before = client.#read
      client.#read += bytes.byteLength
      const rest = bytes.subarray(Math.max(0, 3073 - before))
      if (before < 3073 && client.#read >= 3073) socket.write(Buffer.alloc(1536))
      if (rest.byteLength === 0) return
      for (const { type, data } of client.#reader.push(new Uint8Array(rest)))
        if (type === messageTypes.command) client.#answers.push(decodeAmf0(data))
      socket.emit('answer')
    })
    while (client.#read < 3073) await once(socket, 'data')
    return client
  }

  command(...values: Parameters<typeof encodeAmf0>[0]): void {
    this.socket.write(encodeMessage(3, messageTypes.command, 1, encodeAmf0(values)))
  }

  async answer(): Promise<unknown[]> {
    while (this.#answers.length === 0) {
      const over = await Promise.race([
        once(this.socket, 'answer').then(() => false),
        once(this.socket, 'close').then(() => true),
      ])
      if (over) throw new Error('closed')
    }
    return this.#answers.shift() as unknown[]
  }

  async closed(): Promise<void> {
    if (!this.socket.closed) await once(this.socket, 'close')
  }
}

const codeOf = (answer: unknown[]): unknown => (answer[3] as { code: string }).code

describe('RTMP', { timeout: 120_000 }, () => {
  it('what ffmpeg sends comes out as it went in', async () => {
    const path = await make()
    await run('ffmpeg', ['-v', 'error', '-i', path, '-c', 'copy', '-f', 'flv', `${gateway.rtmp}/sent`])
    const out = join(folder, 'out.mp4')
    const watch = startWatch(['sent', '-o', out, '--from', 'start', '--url', gateway.http])
    assert.equal(await watch.ended(), 0, watch.errors())
    const [sent, got] = [await probe(path), await probe(out)]
    for (const kind of ['video', 'audio'] as const) sameTimes(kind, sent[kind], got[kind])
    assert.equal(await complaints(out), '')
  })

  it('a publisher that is killed leaves the broadcast to whoever comes back', async () => {
    const path = join(folder, 'source.mkv')
    const args = ['-v', 'error', '-re', '-stream_loop', '-1', '-i', path, '-c', 'copy', '-f', 'flv']
    const first = spawn('ffmpeg', [...args, `${gateway.rtmp}/back?key=one`], { stdio: 'ignore' })
    const viewer = await TestViewer.connect(gateway.ws, 'back', 'start')
    await viewer.frame(30)
    first.kill('SIGKILL')
    const second = spawn('ffmpeg', [...args, `${gateway.rtmp}/back?key=one`], { stdio: 'ignore' })
    const before = viewer.frames().at(-1)?.frame.sequence ?? 0
    await viewer.until(
      (message): message is typeof message & { type: 'frame' } =>
        message.type === 'frame' && message.frame.sequence < before,
      'a second session',
    )
    second.kill('SIGINT')
    await viewer.next('end')
    await viewer.close()
  })

  it('is refused in words: an id that is none, a broadcast that is taken, a viewer', async () => {
    const refused = async (name: string, ...rest: string[]): Promise<string> => {
      const client = await Client.connect(gateway.rtmp ?? '')
      client.command('connect', 1, { app: 'live' })
      assert.equal(codeOf(await client.answer()), 'NetConnection.Connect.Success')
      client.command('createStream', 2, null)
      assert.deepEqual(await client.answer(), ['_result', 2, null, 1])
      client.command(name, 3, null, ...rest)
      const [, , , status] = (await client.answer()) as [
        string,
        number,
        null,
        { code: string; description: string },
      ]
      assert.equal(status.code, 'NetStream.Publish.BadName')
      await client.closed()
      return status.description
    }
    assert.match(await refused('publish', 'NO', 'live'), /\[BAD_BROADCAST_ID\]/)
    assert.match(await refused('play', 'sent'), /takes publishers here, and no viewers \[BAD_MESSAGE\]/)
    const publisher = await TestPublisher.connect(gateway.ws, 'busy')
    publisher.publish(3, { keyframe: true })
    await publisher.acknowledged(2)
    const args = ['-v', 'error', '-i', join(folder, 'source.mkv'), '-c', 'copy', '-f', 'flv']
    // It sends all it has before it could read that it is refused.
    await run('ffmpeg', [...args, `${gateway.rtmp}/busy`]).catch(() => {})
    await gateway.said(/BROADCAST_BUSY/)
    await publisher.end()
  })

  it('is no wedge for what is none: garbage, half a handshake, chunks that lie', async () => {
    const { port } = new URL((gateway.rtmp ?? '').replace('rtmp:', 'http:'))
    const garbage = connect(Number(port), '127.0.0.1')
    garbage.on('error', () => {})
    garbage.resume().write('GET / HTTP/1.1\r\n\r\n')
    await once(garbage, 'close')
    const half = connect(Number(port), '127.0.0.1')
    half.write(Buffer.concat([Uint8Array.of(3), Buffer.alloc(100)]))
    half.destroy()
    for (const bytes of [
      // A chunk that goes on where nothing began, a size of nothing, a message that is too large.
      Uint8Array.of(0xc5),
      encodeMessage(2, messageTypes.setChunkSize, 0, Uint8Array.of(0, 0, 0, 0)),
      Uint8Array.of(4, 0, 0, 0, 0xff, 0xff, 0xff, 9, 1, 0, 0, 0),
      encodeMessage(3, messageTypes.command, 0, Uint8Array.of(2, 0, 200, 1)),
    ]) {
      const client = await Client.connect(gateway.rtmp ?? '')
      client.socket.write(bytes)
      await client.closed()
    }
    const fine = await Client.connect(gateway.rtmp ?? '')
    fine.command('connect', 1, { app: 'live' })
    assert.equal(codeOf(await fine.answer()), 'NetConnection.Connect.Success')
    fine.socket.destroy()
  })
})
