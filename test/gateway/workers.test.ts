/** `WORKERS`: several processes behind one port, over a real broker. */
import assert from 'node:assert/strict'
import { once } from 'node:events'
import { globSync, readFileSync } from 'node:fs'
import { after, before, describe, it } from 'node:test'
import { setTimeout as pause } from 'node:timers/promises'
import { TestPublisher, TestViewer } from '../support/clients.ts'
import { failGateway, metricOf, type RunningGateway, startGateway } from '../support/gateway.ts'
import { type KafkaCluster, startKafka } from '../support/kafka.ts'

const viewerCount = 8

/** The processes that another one has started. */
function children(pid: number): number[] {
  return globSync('/proc/[0-9]*/stat').flatMap(path => {
    try {
      const [, own, parent] = /^(\d+) \(.*\) \S (\d+)/s.exec(readFileSync(path, 'utf8')) ?? []
      return Number(parent) === pid ? [Number(own)] : []
    } catch {
      // It ended meanwhile.
      return []
    }
  })
}

async function until<Value>(what: string, look: () => Promise<Value | undefined>): Promise<Value> {
  for (const deadline = Date.now() + 20_000; Date.now() < deadline; await pause(50)) {
    const value = await look()
    if (value !== undefined) return value
  }
  throw new Error(`${what} did not come`)
}

describe('workers', { timeout: 120_000 }, () => {
  let kafka: KafkaCluster
  let gateway: RunningGateway
  before(async () => {
    kafka = await startKafka()
    gateway = await startGateway({ BOOTSTRAP_SERVERS: kafka.bootstrapServers, WORKERS: '2' })
  })
  after(async () => {
    await gateway?.[Symbol.asyncDispose]()
    await kafka?.[Symbol.asyncDispose]()
  })

  it('share viewers and publishers of one broadcast, are counted as one, and are replaced where they end', async () => {
    const publisher = await TestPublisher.connect(gateway.ws, 'shared')
    publisher.publish(1)
    await publisher.acknowledged(0)
    const welcomes = new Set<string>()
    const viewers = await Promise.all(
      Array.from({ length: viewerCount }, async () => {
        const viewer = await TestViewer.connect(gateway.ws, 'shared')
        const { gateway: name } = await viewer.next('welcome')
        welcomes.add(name)
        await viewer.frame(0)
        return { viewer, name }
      }),
    )
    assert.equal(welcomes.size, 2)
    publisher.publish(59)
    for (const { viewer } of viewers) {
      await viewer.frame(59)
      assert.deepEqual(viewer.sequences, [...Array(60).keys()])
    }
    // Whichever answers.
    for (let i = 0; i < 4; i++) assert.equal(await metricOf(gateway, 'framelog_viewers'), viewerCount)
    const listed = await until('all viewers in the list', async () => {
      const { viewers } = (await (await fetch(`${gateway.http}/api/v1/broadcasts/shared`)).json()) as {
        viewers: number
      }
      return viewers === viewerCount ? viewers : undefined
    })
    assert.equal(listed, viewerCount)

    const pids = children(gateway.pid)
    assert.equal(pids.length, 2)
    const [victim = 0] = pids
    process.kill(victim, 'SIGKILL')
    const left = await until('the viewers of one worker to be cut', async () => {
      const there = viewers.filter(({ viewer }) => viewer.closed === undefined)
      return there.length < viewerCount ? there : undefined
    })
    assert.equal(new Set(left.map(({ name }) => name)).size, 1)
    await until('another worker', async () => {
      const now = children(gateway.pid)
      return now.length === 2 && !now.includes(victim) ? now : undefined
    })
    assert.match(gateway.output(), /a worker has ended; another one takes its place/)
    // The publisher may have been its client too.
    const again =
      publisher.closed === undefined ? publisher : await TestPublisher.connect(gateway.ws, 'shared')
    again.publish(1, { keyframe: true })
    for (const { viewer } of left) while (viewer.frames().length < 61) await once(viewer, 'change')
    // Whoever comes now is taken by either of them.
    const names = new Set<string>()
    await until('viewers of both workers', async () => {
      const viewer = await TestViewer.connect(gateway.ws, 'shared')
      names.add((await viewer.next('welcome')).gateway)
      await viewer.next('frame')
      await viewer.close()
      return names.size === 2 ? names : undefined
    })
    for (const { viewer } of left) viewer.cut()
    again.cut()
  })

  it('stop together when the one that started them is told to', async () => {
    const pids = children(gateway.pid)
    await gateway.kill('SIGTERM')
    assert.deepEqual(
      pids.filter(pid => globSync(`/proc/${pid}`).length > 0),
      [],
    )
  })

  it('are told of once where they cannot start, and are none of the embedded log’s', async () => {
    await using taken = await startGateway()
    const failed = await failGateway({
      BOOTSTRAP_SERVERS: kafka.bootstrapServers,
      WORKERS: '2',
      HTTP_PORT: String(taken.port),
    })
    assert.equal(failed.code, 1)
    assert.equal(failed.output.match(/PORT_UNUSABLE/g)?.length, 1)
    const { code, output } = await failGateway({ WORKERS: '2' })
    assert.equal(code, 1)
    assert.match(
      output,
      /WORKERS makes 2 processes, and the embedded log belongs to one: set BOOTSTRAP_SERVERS, or WORKERS=1/,
    )
  })
})
