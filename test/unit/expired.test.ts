import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import type { Log } from '../../src/log/log.ts'
import { broadcastId } from '../../src/units.ts'
import { testCatalog, testFrame } from '../support/clients.ts'
import { useEmbeddedLog } from '../support/embedded.ts'
import { until } from '../support/fake-clock.ts'
import { publishRequest, relayOn, TestPublisherSink, TestViewerSink } from '../support/relay.ts'

describe('a broadcast that is over', () => {
  const id = broadcastId('cam')
  let log: Log
  useEmbeddedLog('expired', opened => {
    log = opened
  })

  const record = async (prefix: string): Promise<void> => {
    const { relay } = relayOn(log, prefix)
    await relay.start()
    const sink = new TestPublisherSink()
    const publishing = await relay.publish(id, publishRequest(), sink)
    publishing.catalog(testCatalog)
    publishing.frame(testFrame(0))
    await publishing.end('stopped')
    await until(() => relay.list().some(({ state }) => state === 'ended'))
    await relay.close()
  }

  it('is not announced as live where it is only read again', async () => {
    await record('again-')
    const { relay, events } = relayOn(log, 'again-')
    await relay.start()
    const viewer = new TestViewerSink()
    relay.watch(id, { from: 'start' }, viewer)
    await until(() => viewer.events.some(({ type }) => type === 'end'))
    const states = events.flatMap(event => (event.kind === 'state' ? [event.state] : []))
    assert.deepEqual([states, viewer.state, viewer.numbers], [['ended'], 'ended', [0]])
    await relay.close()
  })

  for (const from of ['start', 'live'] as const) {
    it(`has no viewer wait for it where retention has taken all of it, from ${from}`, async () => {
      const prefix = `gone-${from}-`
      await record(prefix)
      const { relay } = relayOn(log, prefix, {
        // As Kafka's log answers where all is past the window.
        bounds: async topic => {
          const { first, next } = await log.bounds(topic)
          return { first: topic.name === `${prefix}cam` ? next : first, next }
        },
      })
      await relay.start()
      const viewer = new TestViewerSink()
      relay.watch(id, { from }, viewer)
      await until(() => viewer.events.some(({ type }) => type === 'end'))
      assert.equal(viewer.state, 'ended')
      assert.deepEqual(
        viewer.events.flatMap(event => (event.type === 'end' ? [event.reason] : [])),
        ['its recording is past retention'],
      )
      // Whoever begins it anew is seen.
      const sink = new TestPublisherSink()
      const publishing = await relay.publish(id, publishRequest(), sink)
      publishing.catalog(testCatalog)
      publishing.frame(testFrame(0))
      await until(() => sink.acknowledged === 0 && viewer.numbers.includes(0))
      await relay.close()
    })
  }
})
