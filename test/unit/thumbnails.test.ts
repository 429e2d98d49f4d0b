/** Thumbnails, as they are found in a real log. */
import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { FramelogError } from '../../src/errors.ts'
import type { Log, NewRecord, Topic } from '../../src/log/log.ts'
import { encodeEntry } from '../../src/log/record.ts'
import { imageType } from '../../src/media/image.ts'
import { searchBytes } from '../../src/relay/entry-point.ts'
import { Thumbnails, thumbnailLimits, thumbnailTrack } from '../../src/relay/thumbnails.ts'
import { type BroadcastId, broadcastId, millis, trackName } from '../../src/units.ts'
import { useEmbeddedLog } from '../support/embedded.ts'
import { FakeClock } from '../support/fake-clock.ts'
import { logWith } from '../support/relay.ts'

const jpeg = (name: number): Buffer => Buffer.from([0xff, 0xd8, 0xff, name])
const webp = Buffer.from('RIFF....WEBPVP8 ', 'latin1')
const png = Buffer.from('\x89PNG\r\n\x1a\n', 'latin1')

const record = (data: Uint8Array, track = thumbnailTrack): NewRecord =>
  encodeEntry({ kind: 'data', record: { track: trackName(track), data } }, millis(1))

const other = (bytes: number): NewRecord => ({
  key: 'other',
  value: new Uint8Array(bytes),
  headers: [],
  timestamp: millis(1),
})

describe('the kind of an image', () => {
  it('is told by its first bytes, and nothing but three kinds is one', () => {
    assert.equal(imageType(jpeg(1)), 'image/jpeg')
    assert.equal(imageType(png), 'image/png')
    assert.equal(imageType(webp), 'image/webp')
    for (const text of ['', '<svg xmlns=""/>', 'GIF89a', 'RIFF....WAVEfmt ', '<script>', 'RIFF'])
      assert.equal(imageType(Buffer.from(text)), undefined)
    for (const bytes of [jpeg(1).subarray(0, 3), png, webp.subarray(0, 12)])
      assert.equal(imageType(bytes.subarray(0, bytes.length - 1)), undefined)
  })
})

describe('the thumbnail of a broadcast', { timeout: 60_000 }, () => {
  let log: Log
  useEmbeddedLog('thumbnails', opened => {
    log = opened
  })

  const setUp = (prefix: string) => {
    const reads = { bytes: 0, count: 0, finds: 0, failure: undefined as Error | undefined }
    const counted = logWith(log, {
      find: name => {
        reads.finds += 1
        return reads.failure === undefined ? log.find(name) : Promise.reject(reads.failure)
      },
      read: async (topic, from, maxBytes) => {
        const chunk = await log.read(topic, from, maxBytes)
        reads.count += 1
        reads.bytes += chunk.records.reduce((sum, { value }) => sum + value.byteLength, 0)
        return chunk
      },
    })
    const clock = new FakeClock()
    const thumbnails = new Thumbnails(counted, clock, id => `${prefix}${id}`)
    const topicOf = (id: BroadcastId): Promise<Topic> => log.create(`${prefix}${id}`, {})
    return { thumbnails, clock, reads, topicOf }
  }

  const id = broadcastId('cam')

  it('is the newest image on its track', async () => {
    const { thumbnails, clock, topicOf } = setUp('newest-')
    assert.equal(await thumbnails.of(id), undefined)
    const topic = await topicOf(id)
    await log.append(topic, [
      record(jpeg(1)),
      other(9),
      record(jpeg(2)),
      record(Buffer.from('<svg/>')),
      other(9),
    ])
    await log.append(topic, [record(jpeg(3), 'meta-other'), { ...record(jpeg(4)), headers: [] }])
    clock.freeze(thumbnailLimits.fresh)
    assert.deepEqual(await thumbnails.of(id), { type: 'image/jpeg', data: jpeg(2) })
    await log.append(topic, [record(webp)])
    clock.freeze(thumbnailLimits.fresh)
    assert.deepEqual(await thumbnails.of(id), { type: 'image/webp', data: webp })
  })

  it('is remembered for a while, and what was looked at is not read again', async () => {
    const { thumbnails, clock, topicOf, reads } = setUp('remembered-')
    const topic = await topicOf(id)
    await log.append(topic, [record(jpeg(1)), ...Array.from({ length: 200 }, () => other(1000))])
    await Promise.all(Array.from({ length: 50 }, () => thumbnails.of(id)))
    assert.equal(reads.finds, 1)
    await log.append(topic, [record(jpeg(2))])
    clock.freeze(thumbnailLimits.fresh - 1)
    assert.deepEqual((await thumbnails.of(id))?.data, jpeg(1))
    reads.bytes = 0
    clock.freeze(1)
    assert.deepEqual((await thumbnails.of(id))?.data, jpeg(2))
    assert.ok(reads.bytes < 1000)
    await log.append(topic, [other(1000)])
    clock.freeze(thumbnailLimits.fresh)
    assert.deepEqual((await thumbnails.of(id))?.data, jpeg(2))
    await log.delete(topic)
    await log.append(await topicOf(id), [other(9)])
    clock.freeze(thumbnailLimits.fresh)
    assert.equal(await thumbnails.of(id), undefined)
  })

  it('is looked for in so many records', async () => {
    const { thumbnails, clock, topicOf } = setUp('records-')
    const topic = await topicOf(id)
    await log.append(topic, [
      record(jpeg(1)),
      ...Array.from({ length: thumbnailLimits.records - 1 }, () => other(1)),
    ])
    assert.deepEqual((await thumbnails.of(id))?.data, jpeg(1))
    const [far, ids] = [broadcastId('far'), await topicOf(broadcastId('far'))]
    await log.append(ids, [
      record(jpeg(1)),
      ...Array.from({ length: thumbnailLimits.records }, () => other(1)),
    ])
    clock.freeze(thumbnailLimits.fresh)
    assert.equal(await thumbnails.of(far), undefined)
  })

  it('is looked for in so many bytes', async () => {
    const { thumbnails, topicOf, reads } = setUp('bytes-')
    const topic = await topicOf(id)
    const bytes = 512 * 1024
    await log.append(topic, [record(jpeg(1))])
    for (let sum = 0; sum <= searchBytes + 64 * bytes; sum += 8 * bytes)
      await log.append(
        topic,
        Array.from({ length: 8 }, () => other(bytes)),
      )
    assert.equal(await thumbnails.of(id), undefined)
    assert.ok(reads.bytes >= searchBytes && reads.bytes <= searchBytes + 2 * 1024 * 1024, `${reads.bytes}`)
  })

  it('is looked for again after a failure', async () => {
    const { thumbnails, topicOf, reads } = setUp('failure-')
    await log.append(await topicOf(id), [record(jpeg(1))])
    reads.failure = new FramelogError('LOG_UNREACHABLE', 'No broker answers')
    await assert.rejects(thumbnails.of(id), /No broker/)
    reads.failure = undefined
    assert.deepEqual((await thumbnails.of(id))?.data, jpeg(1))
  })

  it('is remembered of so many broadcasts, and looked for in so many at a time', async () => {
    const { thumbnails, reads } = setUp('many-')
    const ids = Array.from({ length: thumbnailLimits.broadcasts + 1 }, (_, i) => broadcastId(`b${i}`))
    for (const each of ids) await thumbnails.of(each)
    reads.finds = 0
    await thumbnails.of(ids.at(-1) as BroadcastId)
    await thumbnails.of(ids[1] as BroadcastId)
    assert.equal(reads.finds, 0)
    await thumbnails.of(ids[0] as BroadcastId)
    assert.equal(reads.finds, 1)
    const asked = Array.from({ length: thumbnailLimits.searches + 1 }, (_, i) =>
      thumbnails.of(broadcastId(`c${i}`)),
    )
    const results = await Promise.allSettled(asked)
    const refused = results.flatMap(result => (result.status === 'rejected' ? [result.reason.code] : []))
    assert.deepEqual(refused, ['TOO_MANY'])
  })
})
