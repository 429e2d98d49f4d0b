import assert from 'node:assert/strict'
import { execFile } from 'node:child_process'
import { chmodSync, existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { createServer } from 'node:net'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { after, describe, it } from 'node:test'
import { promisify } from 'node:util'
import { settings } from '../../src/cli/config.ts'
import { TestPublisher, TestViewer } from '../support/clients.ts'
import { failGateway, startGateway } from '../support/gateway.ts'
import { startBrokers } from '../support/kafka.ts'

const folder = mkdtempSync(join(tmpdir(), 'framelog-cli-'))
after(() => rmSync(folder, { recursive: true, force: true }))

const root = join(import.meta.dirname, '..', '..')

/** One line for a person: what is wrong, its code, what to do. */
const refuses = async (env: Record<string, string>, ...patterns: RegExp[]): Promise<void> => {
  const data = env.BOOTSTRAP_SERVERS ? {} : { DATA_DIR: join(folder, 'unused') }
  const { code, output } = await failGateway({ ...data, ...env })
  assert.equal(code, 1)
  assert.equal(output.trim().split('\n').length, 1, output)
  for (const pattern of patterns) assert.match(output, pattern)
}

describe('settings that cannot work', { timeout: 60_000 }, () => {
  it('a port that is taken', async () => {
    const server = createServer()
    await new Promise<void>(resolve => server.listen(0, '127.0.0.1', resolve))
    const { port } = server.address() as { port: number }
    await refuses({ HTTP_PORT: String(port) }, /PORT_UNUSABLE/, /HTTP_PORT/, new RegExp(`${port} is taken`))
    server.close()
  })

  it('a data folder that cannot be written', async () => {
    const file = join(folder, 'file')
    writeFileSync(file, '')
    await refuses({ DATA_DIR: join(file, 'below') }, /DATA_DIR_UNUSABLE/, /DATA_DIR/)
    if (process.platform === 'linux') await refuses({ DATA_DIR: '/proc/none/at/all' }, /DATA_DIR_UNUSABLE/)
    if (process.getuid?.() !== 0) {
      chmodSync(folder, 0o500)
      await refuses({ DATA_DIR: join(folder, 'denied') }, /DATA_DIR_UNUSABLE/)
      chmodSync(folder, 0o700)
    }
  })

  it('a data folder that another gateway uses', async () => {
    const dir = join(folder, 'shared')
    await using _gateway = await startGateway({ DATA_DIR: dir })
    await refuses({ DATA_DIR: dir }, /DATA_DIR_UNUSABLE/, /Another gateway/)
  })

  it('brokers that do not answer', async () => {
    await refuses(
      { BOOTSTRAP_SERVERS: '127.0.0.1:1' },
      /LOG_UNREACHABLE/,
      /BOOTSTRAP_SERVERS/,
      /127\.0\.0\.1:1/,
    )
  })

  it('names every wrong setting at once', async () => {
    const wrong = { HTTP_PORT: 'http', RETENTION: 'long', LOG_LEVEL: 'loud', SASL_USERNAME: 'u' }
    await refuses(wrong, /BAD_CONFIG/, /HTTP_PORT/, /RETENTION/, /LOG_LEVEL/, /SASL_PASSWORD/)
  })

  it('names what would change nothing', async () => {
    const lost = { BOOTSTRAP_SERVER: 'kafka:9092', SECURITY_PROTOCOL: 'SSL' }
    await refuses(lost, /BAD_CONFIG/, /BOOTSTRAP_SERVER is no setting/, /SECURITY_PROTOCOL is for Kafka/)
    const both = { BOOTSTRAP_SERVERS: '127.0.0.1:1', DATA_DIR: join(folder, 'beside') }
    await refuses(both, /BAD_CONFIG/, /DATA_DIR is for the embedded log/)
    assert.ok(!existsSync(join(folder, 'beside')))
  })
})

describe('a cluster that refuses', { timeout: 90_000 }, () => {
  it('names the setting that is wrong, and serves where none is', async () => {
    await using kafka = await startBrokers({ secured: true })
    const { saslTls = '', sasl = '', username = '', password = '', certificates } = kafka.secured ?? {}
    const env = {
      BOOTSTRAP_SERVERS: saslTls,
      SASL_USERNAME: username,
      SASL_PASSWORD: password,
      SSL_CA_LOCATION: certificates?.authority ?? '',
    }
    const wrong = (change: Record<string, string>, ...patterns: RegExp[]) =>
      refuses({ ...env, ...change }, ...patterns)
    await wrong({ SASL_PASSWORD: 'wrong' }, /LOG_AUTHENTICATION/, /SASL_PASSWORD/)
    await wrong({ BOOTSTRAP_SERVERS: sasl }, /LOG_TLS/, /SECURITY_PROTOCOL/)
    await wrong({ SSL_CA_LOCATION: '' }, /LOG_CERTIFICATE/, /SSL_CA_LOCATION/)
    await wrong({ SSL_CA_LOCATION: '/none' }, /BAD_CONFIG/, /SSL_CA_LOCATION names \/none/)
    await wrong(
      { REPLICATION_FACTOR: '3' },
      /TOPIC_REFUSED/,
      /REPLICATION_FACTOR=3 is more than the 1 broker/,
    )
    await wrong({ MIN_INSYNC_REPLICAS: '2' }, /TOPIC_REFUSED/, /MIN_INSYNC_REPLICAS=2/)
    await using gateway = await startGateway(env)
    assert.match(gateway.output(), /kafka log: one copy/)
    const publisher = await TestPublisher.connect(gateway.ws, 'secured')
    publisher.publish(1)
    await publisher.acknowledged(0)
    await publisher.close()
    // The topics of the gateway are there now, and do not hide it.
    await wrong(
      { REPLICATION_FACTOR: '3' },
      /TOPIC_REFUSED/,
      /REPLICATION_FACTOR=3 is more than the 1 broker/,
    )
    await wrong({ MIN_INSYNC_REPLICAS: '2' }, /TOPIC_REFUSED/, /MIN_INSYNC_REPLICAS=2/)
  })
})

describe('the embedded log under a kill', { timeout: 60_000 }, () => {
  it('has every frame that was acknowledged, after kill -9 in the middle', async () => {
    const dir = join(folder, 'killed')
    for (let round = 0; round < 3; round++) {
      const first = await startGateway({ DATA_DIR: dir })
      const publisher = await TestPublisher.connect(first.ws, `kill-${round}`)
      publisher.publish(2000, { bytes: 4000 })
      await publisher.acknowledged(200)
      await first.kill('SIGKILL')
      const acknowledged = publisher.messages.reduce(
        (last, message) => (message.type === 'ack' ? message.sequence : last),
        -1,
      )
      assert.ok(acknowledged >= 200)
      await using second = await startGateway({ DATA_DIR: dir, PUBLISHER_GRACE: '1s' })
      const viewer = await TestViewer.connect(second.ws, `kill-${round}`, 'start')
      const { session = '' } = await viewer.next('catalog')
      viewer.send({ type: 'position', session, timestamp: 100_000_000 })
      await viewer.next('end')
      const { sequences } = viewer
      assert.deepEqual(
        sequences,
        sequences.map((_, i) => i),
      )
      assert.ok(
        sequences.length > acknowledged,
        `${sequences.length} frames where ${acknowledged} was acknowledged`,
      )
      await viewer.close()
    }
  })

  it('lets the publisher go on after a restart, with no frame lost or repeated', async () => {
    const dir = join(folder, 'resumed')
    const first = await startGateway({ DATA_DIR: dir })
    const publisher = await TestPublisher.connect(first.ws, 'resumed')
    publisher.publish(100)
    await publisher.acknowledged(50)
    await first.kill('SIGKILL')
    await using second = await startGateway({ DATA_DIR: dir })
    const session = publisher.welcome?.session ?? ''
    const again = await TestPublisher.connect(second.ws, 'resumed', { session })
    assert.equal(again.welcome?.session, session)
    assert.ok((again.welcome?.next ?? 0) > 50)
    again.publish(200 - again.sequence)
    await again.acknowledged(199)
    const viewer = await TestViewer.connect(second.ws, 'resumed', 'start')
    await viewer.frame(199)
    assert.deepEqual(
      viewer.sequences,
      Array.from({ length: 200 }, (_, i) => i),
    )
    await Promise.all([again.close(), viewer.close()])
  })
})

describe('the command line', { timeout: 30_000 }, () => {
  // As a program of its own, by its first line.
  const env = { ...process.env, PATH: `${dirname(process.execPath)}:${process.env.PATH}` }
  const framelog = (...args: string[]) => promisify(execFile)(join(root, 'bin/framelog.js'), args, { env })

  it('lists the broadcasts of a gateway, as a table and as JSON', async () => {
    await using gateway = await startGateway()
    assert.match((await framelog('list', '--url', gateway.http)).stdout, /No broadcasts yet/)
    const publisher = await TestPublisher.connect(gateway.ws, 'listed')
    publisher.publish(2)
    await publisher.acknowledged(1)
    assert.match(
      (await framelog('list', '--url', gateway.http)).stdout,
      /BROADCAST +STATE[^\n]*\nlisted +live/,
    )
    const [line = ''] = (await framelog('list', '--url', gateway.http, '--json')).stdout.split('\n')
    assert.equal(JSON.parse(line).id, 'listed')
    await publisher.close()
  })

  it('says in one line that no gateway answers', async () => {
    await assert.rejects(
      framelog('list', '--url', 'http://127.0.0.1:1'),
      ({ stderr }: { stderr: string }) => {
        assert.match(stderr, /^framelog: No gateway answers .*GATEWAY_UNREACHABLE.*\n$/)
        return true
      },
    )
  })

  it('stops in order on SIGTERM', async () => {
    const gateway = await startGateway()
    const viewer = await TestViewer.connect(gateway.ws, 'any')
    await viewer.next('welcome')
    await gateway.kill('SIGTERM')
    assert.equal((await viewer.ended()).code, 4503)
  })
})

it('docs/configuration.md lists every setting with its default', () => {
  const path = join(root, 'docs', 'configuration.md')
  assert.ok(existsSync(path))
  const rows = readFileSync(path, 'utf8')
    .split('\n')
    .filter(line => line.startsWith('| `'))
  const expected = Object.entries(settings).map(
    ([name, { default: value, only = '', describe }]) =>
      `| \`${name}\` | ${value === undefined ? '' : `\`${value}\``} | ${only} | ${describe} |`,
  )
  assert.deepEqual(rows, expected)
})
