/** Timed data over real sockets, and thumbnails over HTTP. */
import assert from 'node:assert/strict'
import { after, before, describe, it } from 'node:test'
import { timedDataLimits } from '../../src/media/timed-data.ts'
import { dataWriterLimits } from '../../src/relay/data-writer.ts'
import { micros, trackName } from '../../src/units.ts'
import { encodeMessage, type MessageOf } from '../../src/wire/message.ts'
import { TestPublisher, TestViewer, TestWriter, testData, testFrame, WireClient } from '../support/clients.ts'
import { type RunningGateway, startGateway } from '../support/gateway.ts'

const textOf = ({ record }: MessageOf<'data'>): string => Buffer.from(record.data).toString()

describe('timed data on the sockets', { timeout: 60_000 }, () => {
  let gateway: RunningGateway
  before(async () => {
    gateway = await startGateway({ PUBLISHER_GRACE: '2s' })
  })
  after(() => gateway[Symbol.asyncDispose]())

  const live = async (id: string): Promise<TestPublisher> => {
    const publisher = await TestPublisher.connect(gateway.ws, id)
    publisher.publish(3)
    await publisher.acknowledged(2)
    return publisher
  }

  const refusal = async (client: WireClient): Promise<[code: string, close: number]> => {
    const { code } = await client.next('error')
    return [code, (await client.ended()).code]
  }

  it('is acknowledged in order once the log has it, and comes to viewers with its moment', async () => {
    const publisher = await live('score')
    const session = publisher.welcome?.session ?? ''
    const viewer = await TestViewer.connect(gateway.ws, 'score')
    await viewer.frame(2)
    const writer = await TestWriter.connect(gateway.ws, 'score')
    assert.equal(writer.welcome?.maxDataBytes, 64 * 1024)
    const moment = { session, timestamp: micros(-7) }
    writer.write(testData('one'), { ...testData('two', moment), duration: micros(5) }, testData('three'))
    for (const sequence of [0, 1, 2]) assert.equal((await writer.next('ack')).sequence, sequence)
    const came = [await viewer.next('data'), await viewer.next('data'), await viewer.next('data')]
    assert.deepEqual(came.map(textOf), ['one', 'two', 'three'])
    assert.deepEqual(came[0]?.record.moment, { session, timestamp: testFrame(2).timestamp })
    assert.deepEqual(came[1]?.record.moment, moment)
    assert.equal(came[1]?.record.duration, 5)
    const offsets = came.map(({ relayed }) => relayed?.offset ?? -1)
    assert.deepEqual(
      offsets,
      [0, 1, 2].map(i => (offsets[0] ?? 0) + i),
    )
    const late = await TestViewer.connect(gateway.ws, 'score')
    assert.equal(textOf(await late.next('data')), 'one')
    writer.send({ type: 'ping', sent: 1 })
    await writer.next('pong')
    await Promise.all([publisher.close(), viewer.close(), late.close(), writer.close()])
  })

  it('comes from the publisher too, beside its frames', async () => {
    const publisher = await live('own')
    const viewer = await TestViewer.connect(gateway.ws, 'own')
    publisher.send({ type: 'data', record: testData('from the page') })
    publisher.publish(1)
    assert.equal(textOf(await viewer.next('data')), 'from the page')
    await viewer.frame(3)
    await publisher.acknowledged(3)
    await Promise.all([publisher.close(), viewer.close()])
  })

  it('is refused where nobody has published, and where the broadcast is over', async () => {
    assert.deepEqual(await refusal(await TestWriter.hello(gateway.ws, 'nobody')), [
      'BROADCAST_NOT_FOUND',
      4404,
    ])
    const publisher = await live('over')
    const writer = await TestWriter.connect(gateway.ws, 'over')
    await publisher.end()
    writer.write(testData('late'))
    assert.deepEqual(await refusal(writer), ['BROADCAST_NOT_LIVE', 4412])
    assert.deepEqual(await refusal(await TestWriter.hello(gateway.ws, 'over')), ['BROADCAST_NOT_LIVE', 4412])
  })

  it('is refused before the hello, without a data track, and where it is too large', async () => {
    const publisher = await live('limits')
    const early = await new WireClient(`${gateway.ws}/api/v1/broadcasts/limits/data`).opened()
    early.send({ type: 'data', record: testData('early') })
    assert.deepEqual(await refusal(early), ['BAD_MESSAGE', 4400])
    const largest = { ...testData(''), data: new Uint8Array(timedDataLimits.bytes) }
    const cases: [code: string, close: number, bytes: Uint8Array][] = [
      [
        'BAD_TRACK_NAME',
        4400,
        encodeMessage({ type: 'data', record: { ...largest, track: trackName('video') } }),
      ],
      ['BAD_MESSAGE', 4400, encodeMessage({ type: 'data', record: testData('') })],
      ['BAD_MESSAGE', 4400, encodeMessage({ type: 'frame', frame: testFrame(3) })],
      [
        'MESSAGE_TOO_LARGE',
        4413,
        encodeMessage({
          type: 'data',
          record: { ...largest, data: new Uint8Array(timedDataLimits.bytes + 1) },
        }),
      ],
    ]
    for (const [code, close, bytes] of cases) {
      const writer = await TestWriter.connect(gateway.ws, 'limits')
      writer.write(largest)
      writer.socket.send(bytes)
      assert.deepEqual(await refusal(writer), [code, close])
    }
    publisher.publish(1)
    await publisher.acknowledged(3)
    await publisher.close()
  })

  it('is refused past what may wait for the log, and nobody else is harmed', async () => {
    const publisher = await live('many')
    const writer = await TestWriter.connect(gateway.ws, 'many')
    // They come faster than the log takes them, many in each turn of the gateway.
    writer.write(...Array.from({ length: dataWriterLimits.waiting * 20 }, () => testData('x')))
    assert.deepEqual(await refusal(writer), ['TOO_MANY', 4503])
    const acks = writer.messages.flatMap(message => (message.type === 'ack' ? [message.sequence] : []))
    assert.deepEqual(acks, [...acks.keys()])
    publisher.publish(1)
    await publisher.acknowledged(3)
    const again = await TestWriter.connect(gateway.ws, 'many')
    again.write(testData('again'))
    assert.equal((await again.next('ack')).sequence, 0)
    await Promise.all([publisher.close(), again.close()])
  })
})

describe('the thumbnail of a broadcast over HTTP', { timeout: 60_000 }, () => {
  let gateway: RunningGateway
  before(async () => {
    gateway = await startGateway()
  })
  after(() => gateway[Symbol.asyncDispose]())

  const get = (id: string): Promise<Response> => fetch(`${gateway.http}/api/v1/broadcasts/${id}/thumbnail`)
  const codeOf = async (response: Response): Promise<string> =>
    ((await response.json()) as { error: { code: string } }).error.code

  it('is the newest one that its publisher or anybody else has written', async () => {
    const publisher = await TestPublisher.connect(gateway.ws, 'seen')
    publisher.publish(1)
    const track = trackName('meta-thumbnail')
    const jpeg = Buffer.from([0xff, 0xd8, 0xff, 0xe0, 1, 2, 3])
    publisher.send({ type: 'data', record: { track, data: jpeg } })
    const writer = await TestWriter.connect(gateway.ws, 'seen')
    writer.write({ track, data: Buffer.from('<svg onload="alert(1)"/>') })
    await writer.next('ack')
    const response = await get('seen')
    assert.equal(response.status, 200)
    assert.equal(response.headers.get('content-type'), 'image/jpeg')
    assert.equal(response.headers.get('cache-control'), 'max-age=5')
    assert.equal(response.headers.get('x-content-type-options'), 'nosniff')
    assert.deepEqual(Buffer.from(await response.arrayBuffer()), jpeg)
    await Promise.all([publisher.close(), writer.close()])
  })

  it('is not there where nobody has written one', async () => {
    const publisher = await TestPublisher.connect(gateway.ws, 'unseen')
    publisher.publish(1)
    await publisher.acknowledged(0)
    for (const id of ['unseen', 'nowhere']) {
      const response = await get(id)
      assert.deepEqual([response.status, await codeOf(response)], [404, 'NOT_FOUND'])
    }
    assert.equal(await codeOf(await get('NO')), 'BAD_BROADCAST_ID')
    await publisher.close()
  })
})
