/** A broadcast over its publishers: what it is called, when it was on air, and that it is one timeline. */
import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import type { Log } from '../../src/log/log.ts'
import { catalogLimits } from '../../src/media/catalog.ts'
import { directoryLimits } from '../../src/relay/directory.ts'
import { broadcastId } from '../../src/units.ts'
import { testCatalog, testFrame } from '../support/clients.ts'
import { useEmbeddedLog } from '../support/embedded.ts'
import { until } from '../support/fake-clock.ts'
import { publishRequest, relayOn, TestPublisherSink, TestViewerSink } from '../support/relay.ts'

const id = broadcastId('cam')

describe('a broadcast', { timeout: 60_000 }, () => {
  let log: Log
  useEmbeddedLog('lifecycle', opened => {
    log = opened
  })

  const setUp = async (prefix: string) => {
    const { relay, clock } = relayOn(log, prefix)
    await relay.start()
    /** On air for a frame, from now on for so many milliseconds. */
    const air = async (title: string | undefined, span: number): Promise<void> => {
      const sink = new TestPublisherSink()
      const publishing = await relay.publish(id, publishRequest(), sink)
      publishing.catalog(title === undefined ? testCatalog : { ...testCatalog, title })
      publishing.frame(testFrame(0))
      await until(() => sink.acknowledged === 0 && relay.get(id)?.state === 'live')
      clock.freeze(span)
      await publishing.end('stopped')
      await until(() => relay.get(id)?.state === 'ended')
    }
    return { relay, clock, air }
  }

  it('is called what its publisher says, and keeps its name when it is over', async () => {
    const { relay, clock } = await setUp('title-')
    /** Looked at every two seconds, so that nobody can flood the directory with names. */
    const isCalled = async (title: string | undefined): Promise<void> => {
      await until(() => {
        clock.advance(100)
        return relay.get(id)?.title === title
      })
    }
    const viewer = new TestViewerSink()
    relay.watch(id, { from: 'live' }, viewer)
    const sink = new TestPublisherSink()
    const publishing = await relay.publish(id, publishRequest(), sink)
    publishing.catalog({ ...testCatalog, title: 'The front door' })
    publishing.frame(testFrame(0))
    await isCalled('The front door')
    publishing.catalog({ ...testCatalog, title: 'The back door' })
    publishing.frame(testFrame(1))
    await isCalled('The back door')
    publishing.catalog(testCatalog)
    publishing.frame(testFrame(2))
    await isCalled(undefined)
    publishing.catalog({ ...testCatalog, title: 'The gate' })
    publishing.frame(testFrame(3))
    await until(() => viewer.numbers.includes(3))
    const titles = viewer.events.flatMap(event => (event.type === 'catalog' ? [event.catalog.title] : []))
    assert.deepEqual(titles, ['The front door', 'The back door', undefined, 'The gate'])
    await publishing.end('stopped')
    await until(() => relay.get(id)?.state === 'ended')
    await isCalled('The gate')
    await relay.close()
  })

  it('is one timeline, with a gap for when it was over', async () => {
    const { relay, clock, air } = await setUp('gaps-')
    const begun = clock.now()
    await air('One', 1000)
    clock.freeze(5000)
    await air('Two', 2000)
    clock.freeze(7000)
    await air(undefined, 3000)
    assert.equal(relay.get(id)?.startedAt, begun + 15_000)
    const viewer = new TestViewerSink()
    relay.watch(id, { from: 'start' }, viewer)
    await until(() => viewer.events.some(({ type }) => type === 'end') && viewer.numbers.length === 3)
    clock.advance(1000)
    await until(() => viewer.events.some(({ type }) => type === 'span'))
    const span = viewer.events.find(event => event.type === 'span')
    assert.deepEqual(span, {
      type: 'span',
      first: begun,
      last: begun + 18_000,
      gaps: [
        [begun + 1000, begun + 6000],
        [begun + 8000, begun + 15_000],
      ],
      isOver: true,
    })
    await relay.close()
  })

  it('tells that it grows again, and when it was over, as soon as it goes on', async () => {
    const { relay, clock, air } = await setUp('again-')
    await air('One', 1000)
    const ended = clock.now()
    const viewer = new TestViewerSink()
    relay.watch(id, { from: 'start' }, viewer)
    const span = () => {
      const told = viewer.events.findLast(event => event.type === 'span')
      return told?.type === 'span' ? told : undefined
    }
    await until(() => viewer.numbers.length === 1)
    clock.advance(1000)
    await until(() => span()?.isOver === true)
    clock.freeze(5000)
    const publishing = await relay.publish(id, publishRequest(), new TestPublisherSink())
    publishing.catalog(testCatalog)
    publishing.frame(testFrame(0))
    await until(() => relay.get(id)?.state === 'live')
    const late = new TestViewerSink()
    relay.watch(id, { from: 'live' }, late)
    await until(() => late.numbers.length === 1)
    let waited = 0
    await until(() => {
      clock.advance(100)
      waited += 100
      return span()?.isOver === false && span()?.gaps.length === 1
    })
    assert.ok(waited <= 2000, `${waited} ms`)
    const [from = 0, to = 0] = span()?.gaps[0] ?? []
    assert.ok(from >= ended - 1000 && to >= ended + 5000, `${from} to ${to}, over at ${ended}`)
    const seen = late.events.flatMap(event => (event.type === 'span' ? [event.isOver] : []))
    assert.ok(seen.length > 0 && !seen.includes(true), String(seen))
    await relay.close()
  })

  it('remembers so many gaps and no more, the newest', async () => {
    const { relay, clock, air } = await setUp('many-')
    for (let i = 0; i < directoryLimits.gaps + 3; i++) {
      await air('x'.repeat(catalogLimits.title), 10)
      clock.freeze(10)
    }
    const viewer = new TestViewerSink()
    relay.watch(id, { from: 'start' }, viewer)
    await until(() => viewer.places.length > 0)
    clock.advance(1000)
    await until(() => viewer.events.some(({ type }) => type === 'span'))
    const span = viewer.events.find(event => event.type === 'span')
    assert.equal(span?.type === 'span' && span.gaps.length, directoryLimits.gaps)
    assert.equal(span?.type === 'span' && span.gaps.at(-1)?.[1], relay.get(id)?.startedAt ?? 0)
    await relay.close()
  })
})
