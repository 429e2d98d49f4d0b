import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import {
  BufferTarget,
  EncodedAudioPacketSource,
  EncodedPacket,
  EncodedVideoPacketSource,
  MkvOutputFormat,
  Mp4OutputFormat,
  Output,
} from 'mediabunny'
import { decodeBase64 } from '../../src/core/base64.ts'
import type { AudioTrack, VideoTrack } from '../../src/media/catalog.ts'
import { parseCodec } from '../../src/media/codec.ts'
import type { Frame } from '../../src/media/frame.ts'
import {
  type Demuxed,
  demuxWhole,
  fixture,
  fixtureNames,
  type ReadTrack,
  readByMediabunny,
} from '../support/containers.ts'

/** Microseconds that sound in Matroska is ahead by its CodecDelay, which mediabunny passes over. */
const delays: Readonly<Record<string, number>> = {
  'ffmpeg-vp8-opus-live.webm': 6500,
  'ffmpeg-vp9-opus.webm': 6500,
  'ffmpeg-av1-opus.mkv': 6500,
  'ffmpeg-opus-surround.webm': 6500,
  'firefox-vp8-opus.webm': 6500,
}

describe('what comes out of a container is what mediabunny reads in it', () => {
  for (const name of fixtureNames) {
    it(name, async () => {
      const bytes = fixture(name)
      const isMatroska = !name.endsWith('.mp4')
      compare(demuxWhole(bytes), await readByMediabunny(bytes), { isMatroska, delay: delays[name] ?? 0 })
    })
  }

  for (const format of ['fragmented MP4', 'appended Matroska'] as const) {
    it(`${format} that mediabunny writes`, async () => {
      const bytes = await written(
        format,
        await readByMediabunny(fixture('ffmpeg-h264-aac-b-frames-edits.mp4')),
      )
      const isMatroska = format === 'appended Matroska'
      compare(demuxWhole(bytes), await readByMediabunny(bytes), { isMatroska, delay: 0 })
    })
  }
})

function compare(
  ours: Demuxed,
  theirs: readonly ReadTrack[],
  { isMatroska, delay }: { readonly isMatroska: boolean; readonly delay: number },
): void {
  const [announced] = ours.announcements
  assert.equal(ours.announcements.length, 1)
  assert.equal(announced?.before, 0)
  assert.deepEqual(
    announced.tracks.map(({ kind }) => kind),
    theirs.map(({ kind }) => kind),
  )
  for (const [i, their] of theirs.entries()) {
    const track: VideoTrack | AudioTrack | undefined = announced.tracks[i]
    assert.ok(track)
    assert.deepEqual(
      track.kind === 'audio' ? [track.sampleRate, track.channels] : [track.width, track.height],
      their.format,
    )
    sameCodec(track.codec, their.codec)
    // One or two channels of Opus, and AV1, need none: then only one of the two has one.
    if (track.description !== undefined && their.description !== undefined)
      assert.deepEqual(decodeBase64(track.description), their.description)
    const frames: readonly Frame[] = ours.frames.filter(frame => frame.track === track.name)
    assert.equal(frames.length, their.packets.length)
    for (const [n, packet] of their.packets.entries()) {
      const frame = frames[n]
      assert.ok(frame)
      const shift = track.kind === 'audio' ? delay : 0
      assert.ok(Math.abs(frame.timestamp + shift - packet.timestamp) <= 1, `${track.name} ${n}: time`)
      assert.equal(frame.keyframe, packet.keyframe, `${track.name} ${n}: keyframe`)
      assert.ok(Buffer.from(frame.data).equals(packet.data), `${track.name} ${n}: bytes`)
      // Matroska states few durations: mediabunny measures to the next frame, a packet of sound here says its own.
      if (!isMatroska && packet.duration > 0)
        assert.ok(Math.abs((frame.duration ?? 0) - packet.duration) <= 1, `${track.name} ${n}: duration`)
    }
  }
}

/** Colours are not said here, nor avc3; and the level of VP9 in MP4 is what its writer pleases. */
function sameCodec(our: string, their: string): void {
  const ours = parseCodec(our)
  const theirs = parseCodec(their)
  assert.equal(ours.family, theirs.family)
  if (ours.family === 'h264' && theirs.family === 'h264')
    assert.deepEqual({ ...ours, sample: 'avc1' }, { ...theirs, sample: 'avc1' })
  else if (ours.family === 'av1' && theirs.family === 'av1') assert.ok(their.startsWith(our))
  else if (ours.family === 'vp9' && theirs.family === 'vp9')
    assert.deepEqual([ours.profile, ours.bitDepth], [theirs.profile, theirs.bitDepth])
  else assert.equal(our, their)
}

async function written(
  format: 'fragmented MP4' | 'appended Matroska',
  tracks: readonly ReadTrack[],
): Promise<Uint8Array> {
  const target = new BufferTarget()
  const output = new Output({
    format:
      format === 'fragmented MP4'
        ? new Mp4OutputFormat({ fastStart: 'fragmented', minimumFragmentDuration: 0.3 })
        : new MkvOutputFormat({ appendOnly: true, minimumClusterDuration: 0.3 }),
    target,
  })
  const video = new EncodedVideoPacketSource('avc')
  const audio = new EncodedAudioPacketSource('aac')
  output.addVideoTrack(video)
  output.addAudioTrack(audio)
  await output.start()
  await Promise.all(
    tracks.map(async ({ kind, codec, description, format: [first = 0, second = 0], packets }) => {
      for (const { data, keyframe, timestamp, duration } of packets) {
        const packet = new EncodedPacket(
          data,
          keyframe ? 'key' : 'delta',
          Math.max(0, timestamp) / 1_000_000,
          duration / 1_000_000,
        )
        const own = description === undefined ? {} : { description }
        if (kind === 'video')
          await video.add(packet, {
            decoderConfig: { codec, codedWidth: first, codedHeight: second, ...own },
          })
        else
          await audio.add(packet, {
            decoderConfig: { codec, sampleRate: first, numberOfChannels: second, ...own },
          })
      }
      if (kind === 'video') video.close()
      else audio.close()
    }),
  )
  await output.finalize()
  assert.ok(target.buffer)
  return new Uint8Array(target.buffer)
}
