/** Another language and another Kafka client reads what gateways wrote, by docs/record-format.md alone. */
import assert from 'node:assert/strict'
import { execFile } from 'node:child_process'
import { join } from 'node:path'
import { after, before, describe, it } from 'node:test'
import { promisify } from 'node:util'
import { crc32 } from 'node:zlib'
import { TestPublisher, testCatalog, testFrame } from '../support/clients.ts'
import { type RunningGateway, startGateway } from '../support/gateway.ts'
import { type KafkaCluster, startKafka } from '../support/kafka.ts'

const python = join(import.meta.dirname, '../../tools/python/venv/bin/python')
const reader = join(import.meta.dirname, '../readers/read_broadcast.py')

describe('a reader in Python, with confluent-kafka', { timeout: 60_000 }, () => {
  let kafka: KafkaCluster
  let gateway: RunningGateway
  before(async () => {
    kafka = await startKafka()
    gateway = await startGateway({ BOOTSTRAP_SERVERS: kafka.bootstrapServers })
  })
  after(async () => {
    await gateway?.[Symbol.asyncDispose]()
    await kafka?.[Symbol.asyncDispose]()
  })

  it('reads every header of every kind of record', async () => {
    const id = 'read-elsewhere'
    const first = await TestPublisher.connect(gateway.ws, id)
    first.publish(40)
    await first.acknowledged(39)
    // The page is cut off in the middle of a GOP, drops three frames, and goes on under a later claim.
    const { session = '' } = first.welcome ?? {}
    first.cut()
    const second = await TestPublisher.connect(gateway.ws, id, { session })
    second.sequence += 3
    second.publish(80)
    const reordered = {
      ...testFrame(second.sequence),
      decodeTimestamp: testFrame(second.sequence - 1).timestamp,
    }
    second.publishFrames([reordered])
    await second.end()

    const { stdout } = await promisify(execFile)(python, [reader, kafka.bootstrapServers, `video-${id}`])
    const records = stdout
      .trim()
      .split('\n')
      .map(line => JSON.parse(line) as Record<string, unknown>)
    const of = (key: string) => records.filter(record => record.key === key)

    const claims = of('.session')
    assert.equal(claims.length, 2)
    assert.ok(claims.every(claim => claim.session === session))
    assert.notEqual(claims[0]?.nonce, claims[1]?.nonce)
    assert.ok(of('.catalog').every(({ catalog }) => assert.deepEqual(catalog, testCatalog) === undefined))
    assert.ok(of('.catalog').every(({ resumeHash }) => resumeHash === claims[0]?.resumeHash))
    const [gap] = of('.gap')
    assert.deepEqual([gap?.from, gap?.to], [40, 42])
    assert.equal(of('.end').length, 1)
    assert.equal(records.at(-1)?.key, '.end')

    const frames = of('video')
    const numbers = [...Array(40).keys(), ...Array.from({ length: 81 }, (_, i) => 43 + i)]
    assert.deepEqual(
      frames.map(({ sequence }) => sequence),
      numbers,
    )
    for (const record of frames) {
      const sequence = Number(record.sequence)
      const sent = testFrame(sequence)
      assert.equal(record.timestamp, sent.timestamp)
      assert.equal(record.duration, sent.duration)
      assert.equal(record.keyframe, sent.keyframe)
      assert.equal(record.bytes, sent.data.byteLength)
      assert.equal(record.crc, crc32(sent.data).toString(16).padStart(8, '0'))
      assert.ok(Math.abs(Number(record.capturedAt) - Number(record.time)) < 60_000)
      assert.equal(record.decodeTimestamp, sequence === 123 ? reordered.decodeTimestamp : undefined)
      // Where the session went on within a GOP, the claim of that GOP is named.
      const goesOn = sequence > 42 && sequence < 60
      assert.equal(record.startEpoch, goesOn ? claims[0]?.offset : undefined, `frame ${sequence}`)
      assert.ok(Number(record.start) <= Number(record.offset))
    }
  })
})
