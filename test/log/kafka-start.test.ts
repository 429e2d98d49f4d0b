/** Brokers that start on a folder that stays, and brokers that end before they serve. */
import assert from 'node:assert/strict'
import { mkdtempSync, rmSync } from 'node:fs'
import { createServer } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, describe, it } from 'node:test'
import { startBrokers } from '../support/kafka.ts'
import { clusterIdOf, freePort } from '../support/kafka-process.ts'

const folder = mkdtempSync(join(tmpdir(), 'framelog-kafka-start-'))
after(() => rmSync(folder, { recursive: true, force: true }))

describe('brokers on a folder that stays', { timeout: 120_000 }, () => {
  it('are a cluster of their own, and the same one when they start again', async () => {
    const ids: (string | undefined)[] = []
    for (const name of ['one', 'one', 'other']) {
      const dir = join(folder, name)
      await using _cluster = await startBrokers({ dir })
      ids.push(await clusterIdOf([join(dir, '1')]))
    }
    assert.equal(ids[0], ids[1])
    assert.notEqual(ids[0], ids[2])
  })

  it('that end while they start say why, each thing once, and what to remove', async () => {
    const server = createServer()
    await new Promise<void>(done => server.listen(0, '127.0.0.1', done))
    const { port: taken } = server.address() as { port: number }
    const controller = await freePort()
    const dir = join(folder, 'taken')
    const properties = {
      listeners: `PLAINTEXT://127.0.0.1:${taken},CONTROLLER://127.0.0.1:${controller}`,
      'controller.quorum.voters': `1@127.0.0.1:${controller}`,
    }
    const error = await startBrokers({ dir, properties }).catch((reason: unknown) => reason)
    server.close()
    assert(error instanceof Error)
    const lines = error.message.split('\n')
    assert.equal(lines[0], 'broker 1 ended while it started:')
    assert.match(error.message, new RegExp(`failed to bind to 127.0.0.1:${taken}: Address already in use`))
    assert.doesNotMatch(error.message, / INFO |^\s+at /m)
    assert(lines.length <= 12, error.message)
    assert.equal(new Set(lines).size, lines.length, error.message)
    assert.equal(lines.at(-1), `If what it stored is damaged, remove ${dir}: it starts anew then.`)
  })
})
