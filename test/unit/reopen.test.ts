import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { FramelogError } from '../../src/errors.ts'
import type { Log, TailSink } from '../../src/log/log.ts'
import { broadcastId } from '../../src/units.ts'
import { testCatalog, testFrame } from '../support/clients.ts'
import { useEmbeddedLog } from '../support/embedded.ts'
import { until } from '../support/fake-clock.ts'
import { publishRequest, relayOn, TestPublisherSink, TestViewerSink } from '../support/relay.ts'

describe('a broadcast whose reader retention has overtaken', () => {
  const id = broadcastId('cam')
  let log: Log
  useEmbeddedLog('reopen', opened => {
    log = opened
  })

  /** A broadcast with a publisher and a viewer, whose next look for its topic waits for the test. */
  const setUp = async (prefix: string) => {
    let tailSink: TailSink | undefined
    let found: Promise<unknown> | undefined
    const { relay } = relayOn(log, prefix, {
      tail: (topic, from, sink) => {
        tailSink = sink
        return log.tail(topic, from, sink)
      },
      find: async name => {
        await found
        return log.find(name)
      },
    })
    const sink = new TestPublisherSink()
    const publishing = await relay.publish(id, publishRequest(), sink)
    publishing.catalog(testCatalog)
    publishing.frame(testFrame(0))
    const viewer = new TestViewerSink()
    relay.watch(id, { from: 'live' }, viewer)
    await until(() => viewer.numbers.includes(0) && sink.acknowledged === 0)
    const looked = Promise.withResolvers<void>()
    found = looked.promise
    tailSink?.onEnd(new FramelogError('OFFSET_OUT_OF_RANGE', 'gone'))
    const heal = (): void => {
      found = undefined
    }
    return { relay, sink, publishing, viewer, looked, heal, topic: await log.find(`${prefix}cam`) }
  }

  it('tells its publisher to come back, while it is read anew, and not that it is gone', async () => {
    const { relay, sink, publishing, viewer, looked } = await setUp('anew-')
    publishing.frame(testFrame(1))
    await until(() => sink.error !== undefined)
    assert.deepEqual([sink.error?.code, sink.error?.retryable], ['LOG_UNREACHABLE', true])
    looked.resolve()
    const again = new TestPublisherSink()
    const second = await relay.publish(id, publishRequest('hash', publishing.session), again)
    assert.deepEqual([second.session, second.next], [publishing.session, 1])
    second.catalog(testCatalog)
    second.frame(testFrame(1, { keyframe: true }))
    await until(() => viewer.numbers.includes(1))
    await relay.close()
  })

  it('tells everybody why it cannot be read anew, and serves who comes then', async () => {
    const { relay, sink, viewer, looked, heal } = await setUp('fails-')
    looked.reject(new FramelogError('LOG_UNREACHABLE', 'No broker answers'))
    await until(() => viewer.error !== undefined)
    assert.deepEqual([viewer.error?.code, sink.error?.code], ['LOG_UNREACHABLE', 'LOG_UNREACHABLE'])
    heal()
    const other = new TestViewerSink()
    relay.watch(id, { from: 'live' }, other)
    await until(() => other.numbers.includes(0) || other.error !== undefined)
    assert.equal(other.error, undefined)
    await relay.close()
  })

  it('is gone where its topic is', async () => {
    const { relay, sink, viewer, looked, topic } = await setUp('deleted-')
    await log.delete(topic ?? assert.fail('no topic'))
    looked.resolve()
    await until(() => viewer.error !== undefined)
    assert.deepEqual([viewer.error?.code, sink.error?.code], ['BROADCAST_DELETED', 'BROADCAST_DELETED'])
    await relay.close()
  })
})
