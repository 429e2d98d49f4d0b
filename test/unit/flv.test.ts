import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { demuxLimits } from '../../src/container/demuxer.ts'
import { amfLimits, decodeAmf0, encodeAmf0 } from '../../src/container/flv/amf0.ts'
import { OutOfBytes } from '../../src/core/bytes.ts'
import { FramelogError } from '../../src/errors.ts'
import { opusHead } from '../../src/media/opus.ts'
import { concat, demux, demuxWhole, fixture } from '../support/containers.ts'
import { enhancedAudio, enhancedVideo, flvHeader, metadata, tag } from '../support/flv-writer.ts'
import { opusPacket, vp8Frame } from '../support/frames.ts'

const refusal = (...parts: readonly Uint8Array[]): string => {
  try {
    demuxWhole(concat(...parts))
  } catch (error) {
    if (error instanceof FramelogError) return `${error.code}: ${error.message}`
    throw error
  }
  return 'nothing'
}

const realKeyframe = (name: string): Uint8Array => {
  const found = demuxWhole(fixture(name)).frames.find(({ track, keyframe }) => track === 'video' && keyframe)
  assert.ok(found)
  return found.data
}

describe('FLV', () => {
  it('has the codecs of Enhanced RTMP', () => {
    const keys = {
      vp08: realKeyframe('ffmpeg-vp8-opus-live.webm'),
      vp09: realKeyframe('ffmpeg-vp9-opus.webm'),
      av01: realKeyframe('ffmpeg-av1-aac.mp4'),
    }
    for (const [codec, key] of Object.entries(keys)) {
      const { announcements, frames } = demuxWhole(
        concat(
          flvHeader(),
          enhancedAudio(0, 'Opus', 0, opusHead(2)),
          enhancedVideo(0, codec, 0, Uint8Array.of(1, 0, 0, 0)),
          enhancedVideo(0, codec, 1, key),
          enhancedAudio(7, 'Opus', 1, opusPacket(40)),
          enhancedVideo(33, codec, 3, key, { keyframe: false }),
          enhancedVideo(66, codec, 1, key, { keyframe: false, nanoseconds: 500_000 }),
        ),
      )
      const codecs = announcements.at(-1)?.tracks.map(track => track.codec.split('.')[0])
      assert.deepEqual(codecs, [codec === 'vp08' ? 'vp8' : codec, 'opus'])
      assert.deepEqual(
        frames.map(({ track, timestamp, keyframe }) => [track, timestamp, keyframe]),
        [
          ['video', 0, true],
          ['audio', 7000, true],
          ['video', 33_000, false],
          ['video', 66_500, false],
        ],
      )
    }
  })

  it('needs no header for VP8, whose frames say it all', () => {
    const { frames } = demuxWhole(concat(flvHeader(1), enhancedVideo(5, 'vp08', 1, vp8Frame(true))))
    assert.deepEqual(
      frames.map(({ timestamp }) => timestamp),
      [5000],
    )
  })

  it('begins without a track that is announced and does not come, after a second of media', () => {
    const video = (time: number): Uint8Array => enhancedVideo(time, 'vp08', 1, vp8Frame(true))
    const pieces = [flvHeader(), ...Array.from({ length: 40 }, (_, i) => video(i * 40))]
    const { frames, pushes } = demux(pieces)
    assert.equal(frames.length, 40)
    assert.equal(pushes[0], 27)
    assert.equal(pushes[39], 40)
    // The metadata knows better than the header.
    const told = demux([flvHeader(), metadata({ videocodecid: 7 }), ...pieces.slice(1)])
    assert.equal(told.pushes[0], 2)
  })

  it('takes in a track that comes late, and holds up the others no more', () => {
    const video = (time: number, keyframe = false): Uint8Array =>
      enhancedVideo(time, 'vp08', 1, vp8Frame(keyframe), { keyframe })
    const { announcements, frames } = demuxWhole(
      concat(
        flvHeader(1),
        ...[video(0, true), video(40)],
        ...[enhancedAudio(50, 'Opus', 0, opusHead(1)), enhancedAudio(50, 'Opus', 1, opusPacket(30))],
        video(80),
      ),
    )
    assert.deepEqual(
      announcements.map(({ before, tracks }) => [before, tracks.length]),
      [
        [0, 1],
        [2, 2],
      ],
    )
    assert.deepEqual(
      frames.map(({ timestamp }) => timestamp),
      [0, 40_000, 50_000, 80_000],
    )
  })

  it('goes on where its times go round, after 49 days', () => {
    const end = 2 ** 32 - 20
    const video = (time: number): Uint8Array => enhancedVideo(time, 'vp08', 1, vp8Frame(true))
    const { frames } = demuxWhole(concat(flvHeader(1), video(end | 0), video(20)))
    const [first, second] = frames.map(({ timestamp }) => timestamp)
    assert.equal((second ?? 0) - (first ?? 0), 40_000)
  })

  it('passes over commands, empty tags and metadata that cannot be read', () => {
    const seek = tag(9, 0, Uint8Array.of(0x57, 0))
    const damaged = tag(18, 0, Uint8Array.of(2, 0, 200))
    const key = enhancedVideo(0, 'vp08', 1, vp8Frame(true))
    assert.equal(demuxWhole(concat(flvHeader(1), tag(8, 0), seek, damaged, key)).frames.length, 1)
  })

  it('is refused where bytes are missing, or are not carried', () => {
    const key = enhancedVideo(0, 'vp08', 1, vp8Frame(true))
    assert.match(refusal(flvHeader(1), key.subarray(0, -14), key), /^BAD_CONTAINER: The tag before byte/)
    assert.match(
      refusal(flvHeader(1), Uint8Array.of(7, ...key.subarray(1))),
      /^BAD_CONTAINER: Byte 13 begins no tag/,
    )
    assert.match(
      refusal(flvHeader(1), Uint8Array.of(0x29, ...key.subarray(1))),
      /^UNSUPPORTED_CODEC: .* encrypted/,
    )
    assert.match(
      refusal(flvHeader(1), tag(9, 0, Uint8Array.of(0x17))),
      /^BAD_CONTAINER: A tag at 0 ms is cut off/,
    )
    assert.match(
      refusal(flvHeader(1), enhancedVideo(0, 'hvc1', 0, Uint8Array.of(1))),
      /^UNSUPPORTED_CODEC: .*"hvc1"/,
    )
    assert.match(
      refusal(flvHeader(1), enhancedVideo(0, 'avc1', 6, Uint8Array.of(1))),
      /^UNSUPPORTED_CODEC: .*several/,
    )
    assert.match(refusal(flvHeader(4), tag(8, 0, Uint8Array.of(0x2f, 1))), /^UNSUPPORTED_CODEC: .* MP3/)
    assert.match(refusal(flvHeader(1), tag(9, 0, Uint8Array.of(0x12, 1))), /^UNSUPPORTED_CODEC: .* H\.263/)
    const large = Uint8Array.of(9, 0xff, 0xff, 0xff, 0, 0, 0, 0, 0, 0, 0)
    assert.match(refusal(flvHeader(1), large), /^FRAME_TOO_LARGE: .* 16777215 bytes/)
    const config = new Uint8Array(demuxLimits.description + 1)
    assert.match(
      refusal(flvHeader(1), enhancedVideo(0, 'avc1', 0, config)),
      /^BAD_CONTAINER: A configuration/,
    )
    assert.match(
      refusal(concat(flvHeader(1).subarray(0, 5), Uint8Array.of(1, 0, 0, 0, 0))),
      /^BAD_CONTAINER: .* bytes/,
    )
  })
})

describe('AMF 0', () => {
  it('comes back as it was written', () => {
    const values = [
      'connect',
      1,
      { app: 'live', deep: { yes: true, none: null, list: [1, 'two', false] } },
      -0.5,
    ]
    assert.deepEqual(decodeAmf0(encodeAmf0(values)), values)
  })

  it('is read as others write it: arrays by name, dates, long strings, what is left out', () => {
    const bytes = Uint8Array.of(
      ...[8, 0, 0, 0, 1, 0, 1, 0x61, 1, 1, 0, 0, 9],
      ...[11, 0x40, 0, 0, 0, 0, 0, 0, 0, 0, 0],
      ...[12, 0, 0, 0, 2, 0x68, 0x69, 6, 13],
      ...[16, 0, 1, 0x43, 0, 1, 0x62, 5, 0, 0, 9],
    )
    assert.deepEqual(decodeAmf0(bytes), [{ a: true }, 2, 'hi', null, null, { b: null }])
  })

  it('has limits', () => {
    const deep = Uint8Array.from(Array.from({ length: amfLimits.depth + 2 }, () => [10, 0, 0, 0, 1]).flat())
    assert.throws(() => decodeAmf0(deep), OutOfBytes)
    assert.throws(() => decodeAmf0(new Uint8Array(amfLimits.values + 1).fill(5)), OutOfBytes)
    assert.equal(decodeAmf0(new Uint8Array(amfLimits.values).fill(5)).length, amfLimits.values)
    assert.throws(() => decodeAmf0(Uint8Array.of(10, 0xff, 0xff, 0xff, 0xff)), OutOfBytes)
    assert.throws(() => encodeAmf0(['x'.repeat(70_000)]), RangeError)
  })
})
