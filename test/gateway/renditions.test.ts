/** One broadcast in two sizes: each viewer is sent the one that it asks for, whole, from a keyframe on. */
import assert from 'node:assert/strict'
import { once } from 'node:events'
import { after, before, describe, it } from 'node:test'
import { type Catalog, mainTrack } from '../../src/media/catalog.ts'
import type { NumberedFrame } from '../../src/media/frame.ts'
import { micros, trackName } from '../../src/units.ts'
import type { MessageOf } from '../../src/wire/message.ts'
import { TestPublisher, TestViewer } from '../support/clients.ts'
import { type RunningGateway, startGateway } from '../support/gateway.ts'

const size = (name: string, height: number, altGroup?: number) =>
  ({
    name: trackName(name),
    kind: 'video',
    codec: 'vp8',
    width: height * 2,
    height,
    ...(altGroup === undefined ? {} : { altGroup }),
  }) as const
const sound = {
  name: trackName('audio'),
  kind: 'audio',
  codec: 'opus',
  sampleRate: 48_000,
  channels: 1,
} as const
const catalog: Catalog = { version: 1, tracks: [size('video', 360, 1), size('video-low', 180, 1), sound] }
/** Pictures of a GOP. */
const gop = 10

/** Sends pictures in the order of the page's publisher: the larger size first, and sound between the two. */
class Camera {
  readonly publisher: TestPublisher
  picture = 0

  constructor(publisher: TestPublisher) {
    this.publisher = publisher
  }

  async send(pictures: number, tracks = ['video', 'audio', 'video-low']): Promise<void> {
    for (let i = 0; i < pictures; i++, this.picture++)
      for (const name of tracks) {
        const frame: NumberedFrame = {
          track: trackName(name),
          sequence: this.publisher.sequence++,
          timestamp: micros(this.picture * 33_333),
          keyframe: name === 'audio' || this.picture % gop === 0,
          data: Buffer.from(`${name} ${this.picture}`),
        }
        this.publisher.send({ type: 'frame', frame })
      }
    await this.publisher.acknowledged(this.publisher.sequence - 1)
  }
}

/** What a viewer was sent of the picture: the track and the number of each. */
const seen = (viewer: TestViewer): string[] =>
  viewer
    .frames()
    .flatMap(({ frame }) => (frame.track === 'audio' ? [] : [Buffer.from(frame.data).toString()]))
const run = (name: string, from: number, to: number): string[] =>
  Array.from({ length: to - from }, (_, i) => `${name} ${from + i}`)
const catalogs = (viewer: TestViewer): MessageOf<'catalog'>[] =>
  viewer.messages.filter(message => message.type === 'catalog')

async function until(viewer: TestViewer, last: string): Promise<void> {
  while (seen(viewer).at(-1) !== last) await once(viewer, 'change', { signal: AbortSignal.timeout(10_000) })
}

describe('a broadcast in two sizes', { timeout: 60_000 }, () => {
  let gateway: RunningGateway
  before(async () => {
    gateway = await startGateway()
  })
  after(() => gateway[Symbol.asyncDispose]())

  const begin = async (id: string, its = catalog): Promise<Camera> =>
    new Camera(await TestPublisher.connect(gateway.ws, id, { catalog: its }))

  it('sends all of it to whoever does not ask, and otherwise the one that is asked for', async () => {
    const camera = await begin('asked')
    await camera.send(3)
    const whole = await TestViewer.connect(gateway.ws, 'asked')
    const main = await TestViewer.connect(gateway.ws, 'asked', 'live', { rendition: 'main' })
    const low = await TestViewer.connect(gateway.ws, 'asked', 'live', { rendition: 'video-low' })
    await camera.send(22)
    await Promise.all([until(whole, 'video-low 24'), until(main, 'video 24'), until(low, 'video-low 24')])
    assert.deepEqual(
      whole.sequences,
      Array.from({ length: 75 }, (_, i) => i),
    )
    assert.deepEqual(seen(main), run('video', 0, 25))
    assert.deepEqual(seen(low), run('video-low', 0, 25))
    for (const viewer of [main, low])
      assert.equal(viewer.frames().filter(({ frame }) => frame.track === 'audio').length, 25)
    assert.deepEqual(
      catalogs(whole).map(({ catalog, renditions }) => [catalog.tracks.length, renditions]),
      [[3, undefined]],
    )
    for (const [viewer, name] of [
      [main, 'video'],
      [low, 'video-low'],
    ] as const) {
      const [only, ...others] = catalogs(viewer)
      assert.deepEqual(others, [])
      assert.equal(mainTrack(only?.catalog ?? catalog)?.name, name)
      assert.deepEqual(
        only?.renditions?.map(track => track.name),
        ['video', 'video-low'],
      )
      assert.equal(only?.catalog.tracks.length, 2)
      await viewer.close()
    }
    await whole.close()
    await camera.publisher.end()
  })

  it('changes over where a GOP begins, with no picture missing and none twice', async () => {
    const camera = await begin('changes')
    await camera.send(1)
    const viewer = await TestViewer.connect(gateway.ws, 'changes', 'live', { rendition: 'main' })
    await until(viewer, 'video 0')
    await camera.send(4)
    await until(viewer, 'video 4')
    viewer.send({ type: 'rendition', track: 'video-low' })
    viewer.send({ type: 'ping', sent: 1 })
    await viewer.next('pong')
    await camera.send(20)
    await until(viewer, 'video-low 24')
    viewer.send({ type: 'rendition', track: 'nobody-knows' })
    viewer.send({ type: 'ping', sent: 2 })
    await viewer.next('pong')
    await camera.send(10)
    await until(viewer, 'video 34')
    assert.deepEqual(seen(viewer), [
      ...run('video', 0, 10),
      ...run('video-low', 10, 30),
      ...run('video', 30, 35),
    ])
    assert.deepEqual(
      catalogs(viewer).map(each => mainTrack(each.catalog)?.name),
      ['video', 'video-low', 'video'],
    )
    assert.deepEqual(
      viewer.messages.filter(({ type }) => type === 'gap'),
      [],
    )
    await viewer.close()
    await camera.publisher.end()
  })

  it('replays the one that is asked for, from where it is asked for', async () => {
    const camera = await begin('replayed')
    await camera.send(35)
    await camera.publisher.end()
    const low = await TestViewer.connect(gateway.ws, 'replayed', 'start', { rendition: 'video-low' })
    await low.next('end')
    assert.deepEqual(seen(low), run('video-low', 0, 35))
    const all = await TestViewer.connect(gateway.ws, 'replayed', 'start')
    await all.next('end')
    const wanted = all.frames().find(({ frame }) => Buffer.from(frame.data).toString() === 'video 17')
      ?.relayed?.offset
    low.send({ type: 'seek', seek: 1, from: `@${wanted}` })
    const before = low.messages.length
    await low.next('place')
    await low.next('end')
    const since = low.messages.slice(before).filter(message => message.type === 'frame')
    assert.deepEqual(
      since.flatMap(({ frame }) => (frame.track === 'audio' ? [] : [Buffer.from(frame.data).toString()])),
      run('video-low', 10, 35),
    )
    await low.close()
    await all.close()
  })

  it('falls back on the main one where the one that is asked for has no keyframe in a whole GOP', async () => {
    const camera = await begin('half-there')
    await camera.send(1)
    const viewer = await TestViewer.connect(gateway.ws, 'half-there', 'live', { rendition: 'video-low' })
    await until(viewer, 'video-low 0')
    await camera.send(9)
    viewer.send({ type: 'rendition', track: 'video' })
    viewer.send({ type: 'ping', sent: 1 })
    await viewer.next('pong')
    await camera.send(10, ['video'])
    await until(viewer, 'video 19')
    viewer.send({ type: 'rendition', track: 'video-low' })
    viewer.send({ type: 'ping', sent: 2 })
    await viewer.next('pong')
    await camera.send(21, ['video'])
    await until(viewer, 'video 39')
    assert.deepEqual(seen(viewer), [
      ...run('video-low', 0, 10),
      ...run('video', 10, 20),
      ...run('video', 30, 40),
    ])
    await viewer.close()
    await camera.publisher.end()
  })

  it('sends everything of pictures that do not show the same, whatever is asked for', async () => {
    const two: Catalog = { version: 1, tracks: [size('video', 360), size('video-low', 180), sound] }
    const camera = await begin('cameras', two)
    await camera.send(1)
    const viewer = await TestViewer.connect(gateway.ws, 'cameras', 'live', { rendition: 'video-low' })
    await camera.send(2)
    await until(viewer, 'video-low 2')
    assert.deepEqual(viewer.sequences, [0, 1, 2, 3, 4, 5, 6, 7, 8])
    assert.equal(catalogs(viewer)[0]?.renditions, undefined)
    await viewer.close()
    await camera.publisher.end()
  })
})
