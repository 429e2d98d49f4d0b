/** What `make kafka` refuses before it starts or stores anything, and what it keeps of a cluster's folder. */
import assert from 'node:assert/strict'
import { spawnSync } from 'node:child_process'
import { existsSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { createServer, type Server } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, describe, it } from 'node:test'
import { startBrokers } from '../support/kafka.ts'
import { clusterIdOf } from '../support/kafka-process.ts'

const folder = mkdtempSync(join(tmpdir(), 'framelog-dev-kafka-'))
after(() => rmSync(folder, { recursive: true, force: true }))

const program = join(import.meta.dirname, '..', '..', 'dev', 'kafka.ts')

const refuses = (brokers: string, line: string): void => {
  const { status, stdout, stderr } = spawnSync(process.execPath, [program], {
    env: { ...process.env, BROKERS: brokers },
    encoding: 'utf8',
    timeout: 20_000,
  })
  assert.deepEqual({ status, stdout, stderr }, { status: 1, stdout: '', stderr: `${line}\n` })
}

/** Takes the port, or leaves it to whoever has it: a developer may have a Kafka of their own. */
async function take(port: number): Promise<Server> {
  const server = createServer()
  await new Promise<void>(done => server.once('error', () => done()).listen(port, '127.0.0.1', done))
  return server
}

describe('make kafka', () => {
  it('takes 1 or 3 brokers', () => {
    refuses('2', 'BROKERS takes 1 or 3, not 2')
  })

  it('starts nothing where a port is in use, and says so in one line', async () => {
    const server = await take(9092)
    for (const brokers of ['', '3'])
      refuses(brokers, '127.0.0.1:9092 is in use: is another make kafka running? Stop it first.')
    server.close()
  })

  it("looks at the controllers' ports too, before anything is stored", async () => {
    const server = await take(0)
    const { port } = server.address() as { port: number }
    const dir = join(folder, 'unused')
    await assert.rejects(startBrokers({ ports: [port - 1], dir }), {
      message: /^127\.0\.0\.1:\d+ is in use: is another make kafka running\? Stop it first\.$/,
    })
    assert.equal(existsSync(dir), false)
    server.close()
  })
})

describe("a cluster's folder", () => {
  const broker = (name: string, text?: string): string => {
    const dir = join(folder, name)
    mkdirSync(join(dir, 'data'), { recursive: true })
    if (text !== undefined) writeFileSync(join(dir, 'data', 'meta.properties'), text)
    return dir
  }

  it('keeps the cluster that it was made for, and gives it to a broker that is new', async () => {
    const made = broker('made', '#\nversion=1\ncluster.id=ZnJhbWVsb2cta2Fma2EtMQ\nnode.id=1\n')
    assert.equal(await clusterIdOf([broker('new'), made]), 'ZnJhbWVsb2cta2Fma2EtMQ')
    assert.equal(await clusterIdOf([broker('new')]), undefined)
  })

  it('says what to remove where its brokers are of two clusters, or of none', async () => {
    const one = broker('one', 'cluster.id=a\n')
    const other = broker('other', 'cluster.id=b\n')
    const none = broker('none', '')
    await assert.rejects(clusterIdOf([one, other]), {
      message: `${one} and ${other} are brokers of different clusters: remove all but one`,
    })
    await assert.rejects(clusterIdOf([none]), { message: /names no cluster: remove .+none$/ })
  })
})
