/** What viewers may ask of how they are sent frames: all are, in order, whatever it is. */
import assert from 'node:assert/strict'
import { once } from 'node:events'
import { after, before, describe, it } from 'node:test'
import type { Delivery } from '../../src/wire/message.ts'
import { TestPublisher, TestViewer } from '../support/clients.ts'
import { type RunningGateway, startGateway } from '../support/gateway.ts'

const gatherTime = 500
const frames = 60

describe('viewers who ask for', { timeout: 60_000 }, () => {
  let gateway: RunningGateway
  before(async () => {
    gateway = await startGateway({ GATHER_TIME: `${gatherTime}ms` })
  })
  after(() => gateway[Symbol.asyncDispose]())

  /** @returns how often the network gave a viewer something while it was sent frames, and their numbers */
  async function watch(delivery: Delivery | undefined): Promise<{ reads: number; numbers: number[] }> {
    const id = `asks-for-${delivery ?? 'nothing'}`
    const publisher = await TestPublisher.connect(gateway.ws, id)
    publisher.publish(1)
    const options = delivery === undefined ? {} : { delivery }
    const viewer = await TestViewer.connect(gateway.ws, id, 'live', options)
    await viewer.next('frame')
    let reads = 0
    const { _socket: socket } = viewer.socket as unknown as { _socket: NodeJS.ReadableStream }
    socket.on('data', () => {
      reads += 1
    })
    for (let i = 0; i < frames; i++) {
      publisher.publish(1)
      await publisher.next('ack')
    }
    while (viewer.frames().length < 1 + frames) await once(viewer, 'change')
    const numbers = viewer.frames().map(({ frame }) => frame.sequence)
    // Whatever else they are sent comes behind what was gathered before.
    publisher.publish(1)
    publisher.send({ type: 'end', reason: 'the test is over' })
    await viewer.next('end')
    assert.equal(viewer.frames().length, 2 + frames)
    await viewer.close()
    return { reads, numbers }
  }

  const all = Array.from({ length: 1 + frames }, (_, i) => i)

  it('the lowest cost get many frames at a time', async () => {
    const { reads, numbers } = await watch('gathered')
    assert.deepEqual(numbers, all)
    assert.ok(reads < frames / 3, `${reads} reads for ${frames} frames`)
  })

  it('the lowest lag get each frame by itself, as do those who ask for nothing while there is time to spare', async () => {
    for (const delivery of ['prompt', undefined] as const) {
      const { reads, numbers } = await watch(delivery)
      assert.deepEqual(numbers, all)
      assert.ok(reads > frames / 2, `${reads} reads for ${frames} frames`)
    }
    const text = await (await fetch(`${gateway.http}/metrics`)).text()
    assert.match(text, /^framelog_gather_seconds 0$/m)
  })
})
