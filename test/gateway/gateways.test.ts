/** Several gateways on one log: what happens on one shows on all, also where one is killed, stopped or frozen. */
import assert from 'node:assert/strict'
import { randomUUID } from 'node:crypto'
import { once } from 'node:events'
import { mkdtempSync, rmSync } from 'node:fs'
import type { IncomingMessage } from 'node:http'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, describe, it } from 'node:test'
import { setTimeout as pause } from 'node:timers/promises'
import { WebSocket } from 'ws'
import { type Message, subprotocol } from '../../src/wire/message.ts'
import { TestPublisher, TestViewer } from '../support/clients.ts'
import { type Environment, type RunningGateway, startGateway } from '../support/gateway.ts'
import { type KafkaCluster, startKafka } from '../support/kafka.ts'

interface Info {
  readonly id: string
  readonly state: string
  readonly startedAt: number
  readonly viewers: number
}

async function list(gateway: RunningGateway): Promise<ReadonlyMap<string, Info>> {
  const response = await fetch(`${gateway.http}/api/v1/broadcasts`)
  const { broadcasts } = (await response.json()) as { broadcasts: Info[] }
  return new Map(broadcasts.map(info => [info.id, info]))
}

/** Waits until a gateway shows it so. */
async function shows(
  gateway: RunningGateway,
  id: string,
  isSo: (info: Info | undefined) => boolean,
): Promise<Info | undefined> {
  for (;;) {
    const info = (await list(gateway)).get(id)
    if (isSo(info)) return info
    await pause(20)
  }
}

const isState =
  (state: string) =>
  (info: Info | undefined): boolean =>
    info?.state === state

const hasViewers =
  (count: number) =>
  (info: Info | undefined): boolean =>
    info?.viewers === count

/** Waits until a viewer is told of just these. What an earlier test's gateway has left may be told before. */
const told = (viewer: TestViewer, urls: readonly string[], leave?: true): Promise<Message> =>
  viewer.until(
    (message): message is Message =>
      message.type === 'gateways' &&
      message.leave === leave &&
      JSON.stringify(message.urls) === JSON.stringify(urls),
    `gateways ${urls}`,
  )

describe('gateways on one Kafka', { timeout: 120_000 }, () => {
  let kafka: KafkaCluster
  let env: Environment
  let here: RunningGateway
  before(async () => {
    kafka = await startKafka()
    const prefix = `test-${randomUUID().slice(0, 8)}-`
    env = {
      PUBLISHER_GRACE: '3s',
      DRAIN_TIME: '1s',
      BOOTSTRAP_SERVERS: kafka.bootstrapServers,
      TOPIC_PREFIX: prefix,
    }
    here = await startGateway(env)
  })
  after(async () => {
    await here?.[Symbol.asyncDispose]()
    await kafka?.[Symbol.asyncDispose]()
  })

  it('list what goes live, ends or is deleted on another, and count the viewers of all', async () => {
    await using there = await startGateway(env)
    const publisher = await TestPublisher.connect(here.ws, 'seen')
    publisher.publish(3)
    await shows(there, 'seen', isState('live'))
    const viewers = await Promise.all([here, there, there].map(({ ws }) => TestViewer.connect(ws, 'seen')))
    await Promise.all([here, there].map(gateway => shows(gateway, 'seen', hasViewers(3))))
    await viewers[1]?.close()
    await Promise.all([here, there].map(gateway => shows(gateway, 'seen', hasViewers(2))))
    await publisher.end()
    await shows(there, 'seen', isState('ended'))
    const response = await fetch(`${there.http}/api/v1/broadcasts/seen`, { method: 'DELETE' })
    assert.equal(response.status, 204)
    await shows(here, 'seen', info => info === undefined)
    await Promise.all(viewers.map(viewer => viewer.ended()))
  })

  it('drop the viewers of one that was killed, and end what it held after the grace', async () => {
    await using there = await startGateway(env)
    const publisher = await TestPublisher.connect(there.ws, 'orphan')
    publisher.publish(3)
    await publisher.acknowledged(2)
    const kept = await TestPublisher.connect(here.ws, 'kept')
    kept.publish(3)
    const viewer = await TestViewer.connect(there.ws, 'kept')
    const stays = await TestViewer.connect(here.ws, 'kept')
    await shows(here, 'kept', hasViewers(2))
    await shows(here, 'orphan', isState('live'))
    await there.kill('SIGKILL')
    await shows(here, 'kept', hasViewers(1))
    await shows(here, 'orphan', isState('interrupted'))
    await shows(here, 'orphan', isState('ended'))
    // Its own publisher sends nothing, and is connected: that is no end. Which of the two is judged first is open.
    assert.equal((await shows(here, 'kept', info => info?.state !== 'live'))?.state, 'interrupted')
    await Promise.all([kept.close(), stays.close(), viewer.ended(), publisher.ended()])
  })

  it('are told by one that stops in order', async () => {
    await using there = await startGateway(env)
    const publisher = await TestPublisher.connect(there.ws, 'moved')
    publisher.publish(3)
    await shows(here, 'moved', isState('live'))
    await there.kill('SIGTERM')
    assert.equal((await publisher.ended()).code, 4503)
    await shows(here, 'moved', isState('interrupted'))
    const session = publisher.welcome?.session ?? ''
    const again = await TestPublisher.connect(here.ws, 'moved', { session })
    assert.equal(again.welcome?.session, session)
    again.publish(3)
    await shows(here, 'moved', isState('live'))
    await again.close()
  })

  it('tell their pages where else there is one, as they come and go', async () => {
    const viewer = await TestViewer.connect(here.ws, 'told')
    await viewer.next('welcome')
    const there = await startGateway(env)
    await told(viewer, [there.http])
    // Whoever comes later is told with the welcome.
    const late = await TestViewer.connect(there.ws, 'told')
    await told(late, [here.http])
    await there.kill('SIGKILL')
    await told(viewer, [])
    await Promise.all([viewer.close(), late.ended()])
  })

  it('send their pages on before they stop, and take none any more', async () => {
    const there = await startGateway({ ...env, DRAIN_TIME: '1h' })
    const viewer = await TestViewer.connect(there.ws, 'drained')
    await told(viewer, [here.http])
    const stopped = there.kill('SIGTERM')
    await told(viewer, [here.http], true)
    const ready = await fetch(`${there.http}/readyz`)
    assert.equal(ready.status, 503)
    assert.match(await ready.text(), /SHUTTING_DOWN/)
    const refused = new WebSocket(`${there.ws}/api/v1/broadcasts/drained/watch`, subprotocol)
    const [, response] = (await once(refused, 'unexpected-response')) as [unknown, IncomingMessage]
    assert.equal(response.statusCode, 503)
    response.resume()
    // Nobody is sent to it.
    const other = await TestViewer.connect(here.ws, 'drained')
    await other.next('welcome')
    // When its last page has gone, it does not wait any more.
    await viewer.close()
    await stopped
    assert.deepEqual(
      other.messages.filter(message => message.type === 'gateways' && message.urls.includes(there.http)),
      [],
    )
    await other.close()
  })

  it('stop in order however often they are told to', async () => {
    const there = await startGateway({ ...env, DRAIN_TIME: '1h' })
    const viewer = await TestViewer.connect(there.ws, 'twice')
    await told(viewer, [here.http])
    const stopped = there.kill('SIGTERM')
    await told(viewer, [here.http], true)
    const again = there.kill('SIGTERM')
    await pause(100)
    assert.equal(viewer.closed, undefined)
    await viewer.close()
    await Promise.all([stopped, again])
  })

  it('wait for nobody who has nowhere to go: all of them stop', async () => {
    await here.kill('SIGTERM')
    const both = await Promise.all([1, 2].map(() => startGateway({ ...env, DRAIN_TIME: '1h' })))
    const viewers = await Promise.all(both.map(({ ws }) => TestViewer.connect(ws, 'nowhere')))
    await Promise.all(viewers.map(viewer => viewer.next('gateways')))
    await Promise.all(both.map(gateway => gateway.kill('SIGTERM')))
    for (const viewer of viewers) assert.equal((await viewer.ended()).code, 4503)
    here = await startGateway(env)
  })

  it('let in the pages of each other, and of no other origin', async () => {
    await using there = await startGateway(env)
    const open = async (origin: string): Promise<number> => {
      const socket = new WebSocket(`${here.ws}/api/v1/broadcasts/origin/watch`, subprotocol, { origin })
      const status = await Promise.race([
        once(socket, 'open').then(() => 101),
        once(socket, 'unexpected-response').then(([, { statusCode }]) => statusCode as number),
      ])
      socket.on('error', () => {})
      socket.terminate()
      return status
    }
    const viewer = await TestViewer.connect(here.ws, 'origin')
    await viewer.next('gateways')
    assert.equal(await open(there.http), 101)
    assert.equal(await open(`http://localhost:${there.port}`), 101)
    assert.equal(await open('http://evil.example'), 403)
    assert.equal(await open(`http://127.0.0.1.evil.example:${there.port}`), 403)
    await there.kill('SIGKILL')
    await viewer.next('gateways')
    assert.equal(await open(there.http), 101, 'also when it is gone')
    await viewer.close()
  })

  it('show what began anew under an id that was deleted, wherever it was watched before', async () => {
    await using there = await startGateway(env)
    const first = await TestPublisher.connect(here.ws, 'reborn')
    first.publish(5)
    const old = await TestViewer.connect(there.ws, 'reborn')
    await old.frame(4)
    const before = await shows(there, 'reborn', isState('live'))
    const response = await fetch(`${here.http}/api/v1/broadcasts/reborn`, { method: 'DELETE' })
    assert.equal(response.status, 204)
    const second = await TestPublisher.connect(here.ws, 'reborn', { resume: 'another-token-entirely' })
    second.publish(2)
    assert.equal((await old.ended()).code, 4411)
    for (const gateway of [here, there]) {
      await shows(gateway, 'reborn', info => info?.state === 'live' && info.startedAt !== before?.startedAt)
      const viewer = await TestViewer.connect(gateway.ws, 'reborn', 'start')
      await viewer.frame(1)
      assert.deepEqual(viewer.sequences, [0, 1])
      await viewer.close()
    }
    await second.close()
  })

  it('call nobody gone when they wake from being frozen', async () => {
    await using there = await startGateway(env)
    const publisher = await TestPublisher.connect(here.ws, 'awake')
    const sending = setInterval(() => publisher.publish(1), 50)
    try {
      const viewer = await TestViewer.connect(here.ws, 'awake')
      await shows(there, 'awake', isState('live'))
      await shows(there, 'awake', hasViewers(1))
      // Longer than the grace.
      process.kill(there.pid, 'SIGSTOP')
      await pause(5000)
      process.kill(there.pid, 'SIGCONT')
      // Nobody reads it there: what is shown is what is believed of the gateway that holds it, and of its viewers.
      for (let i = 0; i < 60; i++) {
        const { state, viewers } = (await list(there)).get('awake') ?? {}
        assert.deepEqual([state, viewers], ['live', 1])
        await pause(50)
      }
      await viewer.close()
    } finally {
      clearInterval(sending)
      await publisher.close()
    }
  })
})

describe('a gateway over the embedded log', { timeout: 60_000 }, () => {
  it('ends what one before it held that was killed', async () => {
    const dir = mkdtempSync(join(tmpdir(), 'framelog-gateways-'))
    const env = { DATA_DIR: dir, PUBLISHER_GRACE: '2s' }
    {
      await using first = await startGateway(env)
      const publisher = await TestPublisher.connect(first.ws, 'left')
      publisher.publish(3)
      await publisher.acknowledged(2)
      await TestViewer.connect(first.ws, 'left')
      await shows(first, 'left', hasViewers(1))
    }
    await using second = await startGateway(env)
    assert.equal((await list(second)).get('left')?.viewers, 0)
    await shows(second, 'left', isState('interrupted'))
    await shows(second, 'left', isState('ended'))
    await second.kill('SIGTERM')
    rmSync(dir, { recursive: true, force: true })
  })
})
