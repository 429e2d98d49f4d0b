/** examples/python decodes what gateways wrote, and what it writes back is told to viewers on the picture that it belongs to. */
import assert from 'node:assert/strict'
import { execFile } from 'node:child_process'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, describe, it } from 'node:test'
import { promisify } from 'node:util'
import { publishRecording, TestPublisher, TestViewer } from '../support/clients.ts'
import { type RunningGateway, startGateway } from '../support/gateway.ts'
import { type KafkaCluster, startKafka } from '../support/kafka.ts'
import { encoders, type Media, makeMedia } from '../support/media.ts'

const root = join(import.meta.dirname, '../..')
const python = join(root, 'tools/python/venv/bin/python')
const program = join(root, 'examples/python/watch.py')
const folder = mkdtempSync(join(tmpdir(), 'framelog-python-'))
after(() => rmSync(folder, { recursive: true, force: true }))

describe('examples/python/watch.py', { timeout: 120_000 }, () => {
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

  const decoded = async (
    id: string,
    ...args: readonly string[]
  ): Promise<{ pictures: number; keyframes: number }> => {
    const options = ['--servers', kafka.bootstrapServers, '--end', ...args]
    const { stdout } = await promisify(execFile)(python, [program, id, ...options])
    const [, pictures, keyframes] = /(\d+) pictures, (\d+) keyframes\s*$/.exec(stdout) ?? assert.fail(stdout)
    return { pictures: Number(pictures), keyframes: Number(keyframes) }
  }

  const pictures = ({ frames }: Media): number => frames.filter(({ track }) => track === 'video').length
  const keys = ({ frames }: Media): number =>
    frames.filter(({ track, keyframe }) => track === 'video' && keyframe).length

  for (const [id, options] of Object.entries({
    vp8: { video: encoders.vp8, audio: encoders.opus },
    vp9: { video: encoders.vp9 },
    av1: { video: encoders.av1 },
    'h264-avc': { video: encoders.h264WithB, audio: encoders.aac },
    'h264-annexb': { video: encoders.h264WithB, annexB: true },
  })) {
    it(`decodes every picture of ${id}`, async () => {
      const media = await makeMedia(folder, options)
      await publishRecording(gateway.ws, id, media)
      assert.deepEqual(await decoded(id, '--from', 'start'), {
        pictures: pictures(media),
        keyframes: keys(media),
      })
    })
  }

  it('begins with the newest keyframe', async () => {
    const { catalog, frames } = await makeMedia(folder, { video: encoders.vp8 })
    const publisher = await TestPublisher.connect(gateway.ws, 'newest', { catalog })
    const second = frames.findIndex(({ keyframe }, i) => i > 0 && keyframe)
    publisher.publishFrames(frames.slice(0, second))
    await publisher.acknowledged(second - 1)
    publisher.publishFrames(frames.slice(second))
    await publisher.acknowledged(frames.length - 1)
    await publisher.end()
    assert.deepEqual(await decoded('newest'), { pictures: frames.length - second, keyframes: 1 })
  })

  it('writes boxes that viewers get with the pictures that they are of', async () => {
    const media = await makeMedia(folder, { video: encoders.vp8 })
    const publisher = await TestPublisher.connect(gateway.ws, 'boxed', { catalog: media.catalog })
    publisher.publishFrames(media.frames)
    await publisher.acknowledged(publisher.sequence - 1)
    const viewer = await TestViewer.connect(gateway.ws, 'boxed', 'start')
    assert.equal((await decoded('boxed', '--from', 'start', '--boxes')).pictures, pictures(media))
    await publisher.end()
    await viewer.next('end')
    const boxes = viewer.messages.filter(message => message.type === 'data')
    assert.deepEqual(
      boxes.map(({ record }) => [record.track, record.moment?.timestamp]),
      media.frames.map(({ timestamp }) => ['meta-boxes', timestamp]),
    )
    const [first] = boxes
    const { boxes: drawn } = JSON.parse(Buffer.from(first?.record.data ?? []).toString()) as {
      boxes: { x: number }[]
    }
    assert.ok(drawn.length === 1 && (drawn[0]?.x ?? -1) >= 0)
    await viewer.close()
  })
})
