/** What a frame says of its way, and what the gateways add to it. */
import assert from 'node:assert/strict'
import { randomUUID } from 'node:crypto'
import { after, before, describe, it } from 'node:test'
import { type Hops, hopNames } from '../../src/media/hops.ts'
import { micros } from '../../src/units.ts'
import { TestPublisher, TestViewer, testFrame } from '../support/clients.ts'
import { type Environment, metricOf, type RunningGateway, startGateway } from '../support/gateway.ts'
import { startKafka } from '../support/kafka.ts'

const said: Hops = { encoded: micros(1000), sent: micros(2000) }

/** What a publisher says of places that it cannot know. */
const claimed: Hops = {
  ...said,
  received: micros(3),
  appended: micros(4),
  read: micros(5),
  relayed: micros(6),
}

function publish(publisher: TestPublisher, count: number, hops: Hops): void {
  const frames = Array.from({ length: count }, () => ({ ...testFrame(publisher.sequence), hops }))
  publisher.publishFrames(frames)
}

function assertAscending(hops: Hops, names: readonly (keyof Hops)[]): void {
  assert.deepEqual(
    hopNames.filter(name => hops[name] !== undefined),
    names,
  )
  const times = names.map(name => hops[name] ?? Number.NaN)
  // A frame of the test is captured at a whole millisecond, by the same clock.
  assert.deepEqual(
    times,
    times.toSorted((a, b) => a - b),
  )
  assert.ok((times.at(-1) ?? 0) < 60_000_000)
}

describe('the way of a frame through a gateway', { timeout: 60_000 }, () => {
  let gateway: RunningGateway
  before(async () => {
    gateway = await startGateway()
  })
  after(() => gateway[Symbol.asyncDispose]())

  it('is told to its viewers, and each place tells its own', async () => {
    const publisher = await TestPublisher.connect(gateway.ws, 'way')
    publish(publisher, 1, said)
    const viewer = await TestViewer.connect(gateway.ws, 'way')
    await viewer.frame(0)
    publish(publisher, 2, claimed)
    for (const n of [1, 2]) {
      const { hops = {} } = (await viewer.frame(n)).frame
      assert.equal(hops.encoded, 1000)
      assert.equal(hops.sent, 2000)
      const { encoded: _, sent: __, appended, ...own } = hops
      assertAscending(own, ['received', 'read', 'relayed'])
      // The log may give a frame back before it has acknowledged it.
      if (appended !== undefined) assert.ok(appended >= (own.received ?? 0))
      for (const [name, at] of Object.entries(own)) assert.notEqual(at, claimed[name as keyof Hops])
    }
    await publisher.acknowledged(2)
    await Promise.all([publisher.close(), viewer.close()])
  })

  it('is told of a frame that is replayed as far as its record has it', async () => {
    const viewer = await TestViewer.connect(gateway.ws, 'way', 'start')
    const { hops = {} } = (await viewer.frame(1)).frame
    assert.deepEqual([hops.encoded, hops.sent, typeof hops.received], [1000, 2000, 'number'])
    assert.equal(hops.read, undefined)
    assert.equal(hops.relayed, undefined)
    await viewer.close()
  })

  it('is not known of a frame whose capture is not', async () => {
    const publisher = await TestPublisher.connect(gateway.ws, 'uncaptured')
    const { capturedAt: _, ...frame } = testFrame(0)
    publisher.publishFrames([{ ...frame, hops: said }])
    const viewer = await TestViewer.connect(gateway.ws, 'uncaptured')
    assert.equal((await viewer.frame(0)).frame.hops, undefined)
    await Promise.all([publisher.close(), viewer.close()])
  })

  it('is measured for operators', async () => {
    const count = (stage: string): Promise<number> =>
      metricOf(gateway, `framelog_frame_${stage}_seconds_count`)
    const before = await Promise.all(['append', 'read_back', 'relay'].map(count))
    const publisher = await TestPublisher.connect(gateway.ws, 'measured')
    const viewer = await TestViewer.connect(gateway.ws, 'measured')
    await viewer.next('welcome')
    assert.equal(await metricOf(gateway, 'framelog_publishers'), 1)
    assert.equal(await metricOf(gateway, 'framelog_viewers'), 1)
    publisher.publish(5)
    await viewer.frame(4)
    await publisher.acknowledged(4)
    const [append = 0, readBack = 0, relay = 0] = before
    assert.equal(await count('read_back'), readBack + 5)
    // What one viewer joins with is what was read before: it counts as well.
    assert.equal(await count('relay'), relay + 5)
    assert.equal(await count('append'), append + 5)
    assert.ok((await metricOf(gateway, 'framelog_frame_append_seconds_sum')) > 0)
    await Promise.all([publisher.close(), viewer.close()])
  })
})

describe('the way of a frame through two gateways', { timeout: 60_000 }, () => {
  it('goes on where another one reads it', async () => {
    await using kafka = await startKafka()
    const env: Environment = {
      BOOTSTRAP_SERVERS: kafka.bootstrapServers,
      TOPIC_PREFIX: `test-${randomUUID().slice(0, 8)}-`,
    }
    await using here = await startGateway(env)
    await using there = await startGateway(env)
    const publisher = await TestPublisher.connect(here.ws, 'far')
    publish(publisher, 1, said)
    await publisher.acknowledged(0)
    const viewer = await TestViewer.connect(there.ws, 'far')
    await viewer.frame(0)
    publish(publisher, 1, said)
    const { hops = {} } = (await viewer.frame(1)).frame
    const { encoded: _, sent: __, ...own } = hops
    assertAscending(own, ['received', 'read', 'relayed'])
    await Promise.all([publisher.close(), viewer.close()])
  })
})
