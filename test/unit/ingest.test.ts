import assert from 'node:assert/strict'
import { once } from 'node:events'
import { connect } from 'node:net'
import { after, before, describe, it } from 'node:test'
import Fastify, { type FastifyInstance } from 'fastify'
import { errorKinds, toFramelogError } from '../../src/errors.ts'
import { httpIngest, httpIngestLimits } from '../../src/gateway/http-ingest.ts'
import { Ingest, Ingests, ingestLimits } from '../../src/gateway/ingest.ts'
import { RtmpServer } from '../../src/gateway/rtmp/server.ts'
import { rtmpLimits } from '../../src/gateway/rtmp/session.ts'
import { createLogger } from '../../src/observe/logger.ts'
import type { PublisherSink } from '../../src/relay/publication.ts'
import type { Publishing, Relay } from '../../src/relay/relay.ts'
import type { BroadcastId, Offset } from '../../src/units.ts'
import { demuxWhole, fixture } from '../support/containers.ts'
import { FakeClock } from '../support/fake-clock.ts'
import { ingest, Sender } from '../support/ingest.ts'

const flv = fixture('ffmpeg-h264-aac-b-frames.flv')
const { frames, announcements } = demuxWhole(flv)
const id = 'yard' as BroadcastId

/** A relay that takes what it is given, and acknowledges it when it is told to. */
class Taker {
  sink: PublisherSink | undefined
  readonly taken: number[] = []
  left = 0
  readonly relay = {
    isDraining: false,
    isKnownOrigin: () => false,
    publish: async (_id: unknown, _request: unknown, sink: PublisherSink): Promise<Publishing> => {
      this.sink = sink
      return {
        ...{ session: 's', next: 5, epoch: 0 as Offset, gop: undefined },
        catalog: () => {},
        frame: ({ sequence }) => void this.taken.push(sequence),
        data: () => {},
        end: async () => {},
        leave: () => {
          this.left += 1
        },
      }
    },
  } as unknown as Relay
}

const open = (): { taker: Taker; stream: Ingest } => {
  const taker = new Taker()
  const stream = new Ingest({ relay: taker.relay, id, token: undefined, title: undefined })
  stream.onTracks(announcements[0]?.tracks ?? [])
  return { taker, stream }
}

describe('a stream that comes in', () => {
  it('waits where too much of it is not acknowledged, and goes on when it is', async () => {
    const { taker, stream } = open()
    const [frame] = frames
    assert.ok(frame)
    for (let i = 0; i < ingestLimits.unacknowledged.items; i++) stream.onFrame(frame)
    let isRoomy = false
    const flow = Promise.resolve(stream.flow()).then(() => {
      isRoomy = true
    })
    await new Promise(resolve => setImmediate(resolve))
    assert.deepEqual(
      [isRoomy, taker.taken.length, taker.taken[0]],
      [false, ingestLimits.unacknowledged.items, 5],
    )
    taker.sink?.acknowledge(5)
    await flow
    assert.equal(stream.report.frames, 1)
    // What the gateway gave up is on its way no more either.
    const large = { ...frame, data: new Uint8Array(ingestLimits.unacknowledged.bytes) }
    stream.onFrame(large)
    const again = stream.flow()
    assert.ok(again)
    taker.sink?.dropped(
      { from: 6, to: 5 + ingestLimits.unacknowledged.items },
      'the log did not answer',
      false,
    )
    await again
    assert.equal(stream.report.dropped, ingestLimits.unacknowledged.items)
  })

  it('is told why it is over where it waits, and leaves its broadcast once', async () => {
    const { taker, stream } = open()
    for (let i = 0; i < ingestLimits.unacknowledged.items; i++) stream.onFrame(frames[0] ?? assert.fail())
    const flow = stream.flow()
    await new Promise(resolve => setImmediate(resolve))
    taker.sink?.close(toFramelogError(new Error('over')))
    await assert.rejects(Promise.resolve(flow), /over/)
    stream.leave()
    stream.leave()
    assert.equal(taker.left, 1)
  })

  it('is one of so many', () => {
    const ingests = new Ingests(new Taker().relay)
    const all = Array.from({ length: ingestLimits.streams }, () =>
      ingests.open({ id, token: undefined, title: undefined }),
    )
    assert.throws(() => ingests.open({ id, token: undefined, title: undefined }), { code: 'TOO_MANY' })
    ingests.release(all[0] ?? assert.fail())
    ingests.open({ id, token: undefined, title: undefined })
  })
})

describe('a sender that falls silent', () => {
  const clock = new FakeClock()
  const taker = new Taker()
  const context = { clock, log: createLogger('fatal'), relay: taker.relay, ingests: new Ingests(taker.relay) }
  let app: FastifyInstance
  let base = ''
  let rtmp: RtmpServer
  let rtmpPort = 0
  before(async () => {
    app = Fastify()
    app.setErrorHandler((error, _request, reply) => {
      const coded = toFramelogError(error)
      reply.code(coded.status).send({ error: coded.toJSON() })
    })
    await httpIngest(app, context)
    base = await app.listen({ port: 0, host: '127.0.0.1' })
    rtmp = new RtmpServer(context)
    rtmpPort = await rtmp.listen('127.0.0.1', 0)
  })
  after(async () => {
    await rtmp[Symbol.asyncDispose]()
    await app.close()
  })

  it('is gone after a while, over HTTP', async () => {
    const sender = new Sender(base, id)
    await sender.send(flv.subarray(0, 5000))
    while (taker.taken.length === 0) await new Promise(resolve => setImmediate(resolve))
    clock.advance(httpIngestLimits.silence - 1)
    const before = taker.taken.length
    await sender.send(flv.subarray(5000, 9000))
    while (taker.taken.length === before) await new Promise(resolve => setImmediate(resolve))
    clock.advance(httpIngestLimits.silence - 1)
    clock.advance(1)
    const { status, body } = await sender.answer
    assert.deepEqual([status, body.error?.code], [errorKinds.STREAM_CUT_OFF.status, 'STREAM_CUT_OFF'])
    sender.cut()
  })

  it('is gone sooner where it has not begun, over RTMP', async () => {
    const socket = connect(rtmpPort, '127.0.0.1')
    await once(socket, 'connect')
    socket.write(Uint8Array.of(3))
    const closed = once(socket.resume(), 'close')
    // Its connection is taken in a turn of its own.
    await ingest(base, 'NO', flv)
    clock.advance(rtmpLimits.begin)
    await closed
  })
})
