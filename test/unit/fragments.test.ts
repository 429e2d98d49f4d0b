import assert from 'node:assert/strict'
import { globSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, it } from 'node:test'
import { fragmentWriters } from '../../src/container/fragments.ts'
import { AnyDemuxer } from '../../src/container/recognise.ts'
import { FramelogError } from '../../src/errors.ts'
import type { AudioTrack, VideoTrack } from '../../src/media/catalog.ts'
import type { Frame } from '../../src/media/frame.ts'
import { toLengths } from '../../src/media/h264.ts'
import { micros, trackName } from '../../src/units.ts'

const folder = join(import.meta.dirname, '..', 'fixtures', 'containers')

interface Demuxed {
  /** Every time that tracks were told. */
  readonly told: (readonly (VideoTrack | AudioTrack)[])[]
  readonly frames: Frame[]
}

function demux(...pieces: readonly Uint8Array[]): Demuxed {
  const demuxed: Demuxed = { told: [], frames: [] }
  const demuxer = new AnyDemuxer({
    onTracks: tracks => demuxed.told.push(tracks),
    onFrame: frame => demuxed.frames.push(frame),
  })
  for (const piece of pieces) demuxer.push(piece)
  demuxer.end()
  return demuxed
}

/** As the writers want them: none before zero, each with a duration, decode times that rise. */
const prepared = (frame: Frame): Frame & { duration: NonNullable<Frame['duration']> } => ({
  ...frame,
  timestamp: micros(frame.timestamp + 2_000_000),
  ...(frame.decodeTimestamp === undefined
    ? {}
    : { decodeTimestamp: micros(frame.decodeTimestamp + 2_000_000) }),
  duration: frame.duration ?? micros(33_333),
})

describe('fragments', () => {
  for (const file of globSync('*.{webm,mkv,mp4}', { cwd: folder })) {
    const { told, frames } = demux(readFileSync(join(folder, file)))
    for (const track of told.at(-1) ?? []) {
      const writers = fragmentWriters(track)
      it(`of ${track.codec} in ${file} read back as the frames that were written`, () => {
        assert.ok(writers.length > 0)
        const own = frames.filter(frame => frame.track === track.name).map(prepared)
        for (const make of writers) {
          const writer = make()
          const isWebm = writer.mimeType.includes('webm')
          const pieces = own.map(frame => writer.write(frame))
          const again = demux(...pieces.flat())
          assert.equal(again.told.length, 1)
          const [described] = again.told[0] ?? []
          assert.equal(described?.codec, track.codec)
          assert.equal(again.frames.length, own.length)
          again.frames.forEach((frame, i) => {
            const given = own[i] as Frame
            assert.equal(frame.timestamp, given.timestamp)
            assert.equal(frame.duration, given.duration)
            assert.equal(frame.keyframe, given.keyframe)
            // WebM has no decode times: it takes no track that needs them.
            if (!isWebm) assert.equal(frame.decodeTimestamp, given.decodeTimestamp)
            const isAnnexB = track.kind === 'video' && track.format === 'annexb'
            const data = isAnnexB ? toLengths(given.data) : given.data
            assert.ok(Buffer.from(frame.data).equals(data), `the bytes of frame ${i}`)
          })
          // One piece a frame, but for the first, before which the stream is described.
          assert.deepEqual(
            pieces.map(parts => parts.length),
            own.map((_, i) => (i === 0 ? 2 : 1)),
          )
        }
      })
    }
  }

  it('describe the stream anew where its parameter sets change', () => {
    const { told, frames } = demux(readFileSync(join(folder, 'chromium-h264-opus.mkv')))
    const video = told[0]?.find(track => track.kind === 'video')
    const keyframe = frames.find(frame => frame.track === 'video' && frame.keyframe)
    assert.ok(video !== undefined && keyframe !== undefined)
    const writer = fragmentWriters(video)[0]?.()
    const [first, second, third] = [keyframe, keyframe, withLevel(keyframe, 40)].map(frame =>
      writer?.write({ ...frame, duration: micros(33_333) }),
    )
    assert.deepEqual([first?.length, second?.length, third?.length], [2, 1, 2])
  })

  it('are refused where a keyframe lacks what describes the stream', () => {
    const track: VideoTrack = {
      name: trackName('video'),
      kind: 'video',
      codec: 'avc1.42e01f',
      format: 'annexb',
      width: 640,
      height: 360,
    }
    const [make] = fragmentWriters(track)
    const data = Uint8Array.from([0, 0, 0, 1, 0x65, 1, 2, 3])
    assert.throws(
      () => make?.().write({ timestamp: micros(0), duration: micros(1), keyframe: true, data }),
      (error: unknown) => error instanceof FramelogError && error.code === 'BAD_CONTAINER',
    )
  })

  it('are not to be had for a codec that nobody knows', () => {
    const name = trackName('audio')
    assert.deepEqual(
      fragmentWriters({ name, kind: 'audio', codec: 'flac', sampleRate: 48_000, channels: 2 }),
      [],
    )
  })
})

/** The same with another level in its sequence parameter set. */
function withLevel(frame: Frame, level: number): Frame {
  const data = frame.data.slice()
  const at = data.findIndex(
    (_, i) => data[i] === 0 && data[i + 1] === 0 && data[i + 2] === 1 && ((data[i + 3] ?? 0) & 31) === 7,
  )
  data[at + 6] = level
  return { ...frame, data }
}
