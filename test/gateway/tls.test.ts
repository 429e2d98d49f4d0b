/** A gateway that serves https from certificate files. */
import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import { X509Certificate } from 'node:crypto'
import { once } from 'node:events'
import { mkdtempSync, readFileSync, rmSync } from 'node:fs'
import type { IncomingMessage } from 'node:http'
import { get } from 'node:https'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { text } from 'node:stream/consumers'
import { after, before, describe, it } from 'node:test'
import { WebSocket } from 'ws'
import { complaintOf } from '../../src/cli/certificate.ts'
import { subprotocol } from '../../src/wire/message.ts'
import { failGateway, startGateway } from '../support/gateway.ts'
import { type Certificates, makeCertificates } from '../support/kafka-security.ts'

describe('a gateway with a certificate', { timeout: 60_000 }, () => {
  let dir: string
  let files: Certificates
  before(async () => {
    dir = mkdtempSync(join(tmpdir(), 'framelog-tls-'))
    files = await makeCertificates(dir)
  })
  after(() => rmSync(dir, { recursive: true, force: true }))

  it('serves pages and sockets by TLS, and says so', async () => {
    await using gateway = await startGateway({ TLS_CERTIFICATE: files.broker, TLS_KEY: files.broker })
    assert.match(gateway.output(), /Framelog is at https:\/\/127\.0\.0\.1:\d+\/static/)
    const ca = readFileSync(files.authority)
    const [response] = (await once(get(`${gateway.http}/ping`, { ca }), 'response')) as [IncomingMessage]
    assert.equal(await text(response), '{"message":"pong"}')
    const socket = new WebSocket(`${gateway.ws}/api/v1/broadcasts/cam/watch`, subprotocol, {
      ca,
      origin: gateway.http,
    })
    await once(socket, 'open')
    socket.terminate()
    await assert.rejects(fetch(`http://127.0.0.1:${gateway.port}/ping`))
  })

  it('is asked by programs that trust its authority, and refused in words by others', async () => {
    await using gateway = await startGateway({ TLS_CERTIFICATE: files.broker, TLS_KEY: files.broker })
    const run = async (command: string, env: NodeJS.ProcessEnv): Promise<[code: number, said: string]> => {
      const bin = join(import.meta.dirname, '..', '..', 'bin', 'framelog.js')
      const output = command === 'watch' ? ['cam', '-o', join(dir, 'cam.mkv')] : []
      const args = [bin, command, ...output, '--url', gateway.http]
      const child = spawn(process.execPath, args, { env: { ...process.env, ...env } })
      const [said, [code]] = await Promise.all([
        Promise.all([text(child.stdout), text(child.stderr)]),
        once(child, 'close') as Promise<[number]>,
      ])
      return [code, said.join('')]
    }
    for (const command of ['list', 'watch']) {
      const [code, said] = await run(command, {})
      assert.notEqual(code, 0)
      assert.match(
        said,
        /^framelog: The certificate of https:\S+ is not to be trusted \(.*NODE_EXTRA_CA_CERTS/m,
      )
    }
    assert.deepEqual((await run('list', { NODE_EXTRA_CA_CERTS: files.authority }))[0], 0)
  })

  it('is complained of where its certificate ends, has ended, or has not begun', () => {
    const pem = readFileSync(files.broker, 'utf8')
    const complaint = (now: number): string | undefined => complaintOf({ cert: pem, key: '' }, now)
    const { validFromDate, validToDate } = new X509Certificate(pem)
    const [from, to] = [validFromDate.getTime(), validToDate.getTime()]
    const day = 24 * 3_600_000
    assert.match(complaint(from - day) ?? '', /begins on/)
    assert.match(complaint(to - day) ?? '', /expires on/)
    assert.match(complaint(to + 1000) ?? '', /has expired on/)
    if (to - from > 15 * day) assert.equal(complaint(from + 1000), undefined)
  })

  it('does not start with files that do not fit, and names the setting', async () => {
    for (const [settings, wanted] of [
      [{ TLS_CERTIFICATE: files.broker }, /TLS_CERTIFICATE and TLS_KEY go together/],
      [{ TLS_CERTIFICATE: join(dir, 'none.pem'), TLS_KEY: files.broker }, /TLS_CERTIFICATE names .*ENOENT/],
      [
        { TLS_CERTIFICATE: files.key, TLS_KEY: files.key },
        /TLS_CERTIFICATE names .* no readable PEM certificate/,
      ],
      [{ TLS_CERTIFICATE: files.broker, TLS_KEY: files.authority }, /TLS_KEY names .* no readable PEM key/],
      [{ TLS_CERTIFICATE: files.broker, TLS_KEY: files.lockedKey }, /TLS_KEY names .* encrypted/],
      [
        { TLS_CERTIFICATE: files.broker, TLS_KEY: files.otherKey },
        /TLS_KEY is not the one of the certificate/,
      ],
    ] as const) {
      const { code, output } = await failGateway(settings)
      assert.equal(code, 1)
      assert.match(output, wanted)
      assert.match(output, /BAD_CONFIG/)
    }
  })
})
