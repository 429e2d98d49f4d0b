import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import type { Log } from '../../src/log/log.ts'
import { publicationLimits } from '../../src/relay/publication.ts'
import { relayLimits } from '../../src/relay/relay.ts'
import { broadcastId } from '../../src/units.ts'
import { testCatalog, testFrame } from '../support/clients.ts'
import { useEmbeddedLog } from '../support/embedded.ts'
import { until } from '../support/fake-clock.ts'
import { countTails, publishRequest, relayOn, TestPublisherSink } from '../support/relay.ts'

describe('a broadcast that ends with nobody watching', () => {
  const id = broadcastId('cam')
  let log: Log
  useEmbeddedLog('release', opened => {
    log = opened
  })

  const setUp = async (prefix: string, append: Log['append'] = (topic, more) => log.append(topic, more)) => {
    const tails = countTails(log, `${prefix}cam`)
    const { clock, relay } = relayOn(log, prefix, { tail: tails.tail, append })
    const sink = new TestPublisherSink()
    const publishing = await relay.publish(id, publishRequest(), sink)
    publishing.catalog(testCatalog)
    publishing.frame(testFrame(0))
    await until(() => sink.acknowledged === 0)
    assert.equal(tails.open, 1)
    return { clock, relay, publishing, tails }
  }

  it('is read no longer than it is kept for whoever may come', async () => {
    const { clock, relay, publishing, tails } = await setUp('ended-')
    const ended = publishing.end('stopped')
    publishing.leave()
    await ended
    clock.advance(relayLimits.idle - 1)
    assert.equal(tails.open, 1)
    clock.advance(1)
    assert.equal(tails.open, 0)
    await relay.close()
  })

  it('is let go where its end could not be written, too', async () => {
    const { clock, relay, publishing, tails } = await setUp('stuck-', (topic, more) =>
      more.some(({ key }) => key === '.end') ? new Promise(() => {}) : log.append(topic, more),
    )
    const ended = publishing.end('stopped')
    publishing.leave()
    clock.advance(publicationLimits.endTimeout)
    await ended.catch(() => {})
    clock.advance(relayLimits.idle)
    assert.equal(tails.open, 0)
    await relay.close()
  })

  it('is let go where its publisher was lost', async () => {
    const { clock, relay, publishing, tails } = await setUp('lost-')
    publishing.leave()
    // The look after the grace writes the end.
    clock.advance(40_000)
    await until(() => {
      clock.advance(relayLimits.idle)
      return tails.open === 0
    })
    await relay.close()
  })
})
