import assert from 'node:assert/strict'
import { createHash } from 'node:crypto'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, describe, it } from 'node:test'
import type { AudioTrack, VideoTrack } from '../../src/media/catalog.ts'
import { kindOfCodec, parseCodec } from '../../src/media/codec.ts'
import type { Frame } from '../../src/media/frame.ts'
import {
  cut,
  demux,
  demuxWhole,
  fixture,
  fixtureNames,
  pathOfFixture,
  streamNames,
} from '../support/containers.ts'
import { ffmpeg, ffprobe, type ProbedStream } from '../support/ffmpeg.ts'

describe('what comes out of a container is what ffprobe reads in it', () => {
  for (const name of [...fixtureNames, ...streamNames]) {
    it(name, () => compare(fixture(name), pathOfFixture(name)))
  }
})

const input = ['-f', 'lavfi', '-i', 'testsrc2=s=640x360:r=30:d=4', '-f', 'lavfi', '-i', 'sine=440:d=4']
const fast = ['-c:v', 'libx264', '-preset', 'ultrafast', '-g', '30']
const bFrames = ['-c:v', 'libx264', '-preset', 'veryfast', '-bf', '3', '-g', '45']
const movflags = (flags: string): string[] => ['-movflags', flags, '-f', 'mp4']
const lateSound = ['-f', 'lavfi', '-itsoffset', '0.7', '-i', 'sine=550:d=3']

const larger: Readonly<Record<string, readonly string[]>> = {
  'MP4, a fragment each frame': [
    ...[...input, ...fast, '-c:a', 'aac'],
    ...movflags('frag_every_frame+empty_moov+default_base_moof'),
  ],
  'MP4, a fragment each frame, with edits': [
    ...[...input, ...bFrames, '-c:a', 'aac'],
    ...movflags('frag_every_frame+delay_moov+default_base_moof'),
  ],
  'MP4, offsets from the beginning of the file': [
    ...[...input, ...bFrames, '-c:a', 'libopus'],
    ...movflags('frag_keyframe+empty_moov'),
  ],
  'MP4, offsets from nothing that is named': [
    ...[...input, ...bFrames, '-c:a', 'libopus'],
    ...movflags('frag_keyframe+delay_moov+omit_tfhd_offset'),
  ],
  'MP4, negative composition offsets': [
    ...[...input, ...bFrames, '-c:a', 'aac'],
    ...movflags('frag_keyframe+delay_moov+default_base_moof+negative_cts_offsets'),
  ],
  'MP4, a fragment for each track': [
    ...[...input, ...bFrames, '-c:a', 'aac'],
    ...movflags('frag_keyframe+delay_moov+default_base_moof+separate_moof'),
  ],
  'MP4, sound that begins later': [
    ...input.slice(0, 4),
    ...[...lateSound, ...bFrames, '-c:a', 'aac'],
    ...movflags('frag_keyframe+delay_moov+default_base_moof'),
  ],
  'MP4, segments with an index': [
    ...[...input, ...fast, '-c:a', 'aac'],
    ...movflags('frag_keyframe+delay_moov+dash+skip_trailer'),
  ],
  'MP4, producer times and events': [
    ...[...input, ...fast, '-c:a', 'aac', '-write_prft', 'wallclock'],
    ...movflags('frag_keyframe+delay_moov+cmaf'),
  ],
  'MP4, AV1': [
    ...[...input, '-c:v', 'libsvtav1', '-preset', '12', '-g', '30', '-c:a', 'libopus'],
    ...movflags('frag_every_frame+delay_moov+default_base_moof'),
  ],
  'MP4, a title and two tracks of sound': [
    ...[...input, ...lateSound, '-map', '0', '-map', '1', '-map', '2', '-metadata', 'title=Yard'],
    ...[...fast, '-c:a', 'aac', ...movflags('frag_keyframe+empty_moov+default_base_moof')],
  ],
  'WebM, clusters of unknown size': [
    ...[...input, '-c:v', 'libvpx', '-deadline', 'realtime', '-cpu-used', '8', '-g', '30'],
    ...['-c:a', 'libopus', '-live', '1', '-f', 'webm'],
  ],
  'WebM, short clusters': [
    ...[...input, '-c:v', 'libvpx-vp9', '-deadline', 'realtime', '-cpu-used', '8', '-g', '30'],
    ...['-c:a', 'libopus', '-cluster_time_limit', '1', '-f', 'webm'],
  ],
  'Matroska, B-frames': [...input, ...bFrames, '-c:a', 'aac', '-f', 'matroska'],
  FLV: [...input, ...fast, '-c:a', 'aac', '-f', 'flv'],
  'FLV, B-frames': [...input, ...bFrames, '-c:a', 'aac', '-f', 'flv'],
  'FLV, picture only': [...input.slice(0, 4), ...bFrames, '-f', 'flv'],
  'FLV, sound only': [...input.slice(4), '-c:a', 'aac', '-f', 'flv'],
  'FLV, sound that begins later': [...input.slice(0, 4), ...lateSound, ...fast, '-c:a', 'aac', '-f', 'flv'],
  'MPEG-TS': [...input, ...fast, '-c:a', 'aac', '-f', 'mpegts'],
  'MPEG-TS, B-frames': [...input, ...bFrames, '-c:a', 'aac', '-f', 'mpegts'],
  'MPEG-TS, Opus': [...input, ...bFrames, '-c:a', 'libopus', '-f', 'mpegts'],
  'MPEG-TS, picture only': [...input.slice(0, 4), ...bFrames, '-f', 'mpegts'],
  'MPEG-TS, sound only': [...input.slice(4), '-c:a', 'aac', '-f', 'mpegts'],
  'MPEG-TS, a PES length on everything': [
    ...[...input, ...fast, '-c:a', 'aac'],
    ...['-omit_video_pes_length', '0', '-pes_payload_size', '0', '-f', 'mpegts'],
  ],
  'MPEG-TS, times that go round': [
    ...[...input, ...fast, '-c:a', 'aac', '-output_ts_offset', '95442.5', '-f', 'mpegts'],
  ],
  'Matroska, sound that begins later, and attachments of text': [
    ...input.slice(0, 4),
    ...[...lateSound, ...fast, '-c:a', 'libopus', '-metadata', 'title=Yard', '-f', 'matroska'],
  ],
}

describe('larger containers that ffmpeg writes', () => {
  let folder = ''
  before(() => {
    folder = mkdtempSync(join(tmpdir(), 'framelog-containers-'))
  })
  after(() => rmSync(folder, { recursive: true }))

  for (const [name, args] of Object.entries(larger)) {
    it(name, () => {
      const bytes = ffmpeg(...args)
      const path = join(folder, 'container')
      writeFileSync(path, bytes)
      compare(bytes, path)
    })
  }
})

function compare(bytes: Uint8Array, path: string): void {
  const probed = ffprobe(path)
  const whole = demuxWhole(bytes)
  const pieces = demux(cut(bytes, everySoOften(bytes.byteLength)))
  assert.deepEqual(pieces.frames, whole.frames)
  assert.deepEqual(pieces.announcements, whole.announcements)
  const [announced] = whole.announcements
  assert.ok(announced)
  assert.equal(whole.announcements.length, 1)
  assert.equal(announced.tracks.length, probed.streams.length)
  const isTransport = bytes[0] === 0x47
  // Matroska and FLV count in milliseconds, and ffprobe rounds a delay to them; in MP4 it rounds an empty edit to a tick.
  const tolerance = bytes[0] === 0x1a || bytes[0] === 0x46 ? 1001 : 25
  for (const [i, stream] of probed.streams.entries()) {
    const track: VideoTrack | AudioTrack | undefined = announced.tracks[i]
    assert.ok(track)
    sameTrack(track, stream)
    const frames: readonly Frame[] = whole.frames.filter(frame => frame.track === track.name)
    const packets = probed.packets.filter(({ stream_index }) => stream_index === stream.index)
    assert.equal(frames.length, packets.length)
    const shift = shiftOf(frames)
    // ffprobe gives AAC as a transport stream has it, behind heads of seven bytes.
    const head = isTransport && stream.codec_name === 'aac' ? 7 : 0
    for (const [n, { pts_time, dts_time, size, flags, data_hash }] of packets.entries()) {
      const frame = frames[n]
      assert.ok(frame)
      const at: string = `${track.name} ${n}`
      near(frame.timestamp + shift, pts_time, tolerance, `${at}: time`)
      if (frame.decodeTimestamp !== undefined && dts_time !== undefined)
        near(frame.decodeTimestamp, dts_time, tolerance, `${at}: decode time`)
      assert.equal(frame.data.byteLength, Number(size) - head, `${at}: size`)
      assert.equal(frame.keyframe, flags.includes('K'), `${at}: keyframe`)
      if (head > 0) continue
      assert.equal(
        `SHA256:${createHash('sha256').update(frame.data).digest('hex')}`,
        data_hash,
        `${at}: bytes`,
      )
    }
  }
}

/**
 * Where frames are presented before they are decoded, which only negative composition offsets say, ffprobe moves all of
 * a track's presentation until none is (and so away from its sound); mediabunny does not.
 */
const shiftOf = (frames: readonly Frame[]): number =>
  Math.max(0, ...frames.map(({ timestamp, decodeTimestamp = timestamp }) => decodeTimestamp - timestamp))

/** Cuts that fall on no boundary in particular. */
const everySoOften = (length: number): number[] =>
  Array.from({ length: Math.ceil(length / 997) }, (_, i) => i * 997 + (i % 13))

const near = (micros: number, seconds: string, tolerance: number, message: string): void =>
  assert.ok(Math.abs(micros - Number(seconds) * 1_000_000) <= tolerance, `${message}: ${micros}, ${seconds}`)

function sameTrack(track: VideoTrack | AudioTrack, stream: ProbedStream): void {
  assert.equal(track.kind, stream.codec_type)
  assert.equal(kindOfCodec(track.codec), stream.codec_type)
  const codec = parseCodec(track.codec)
  assert.equal(codec.family, stream.codec_name)
  if (track.kind === 'audio') {
    assert.deepEqual([track.sampleRate, track.channels], [Number(stream.sample_rate), stream.channels])
    return
  }
  assert.deepEqual([track.width, track.height], [stream.width, stream.height])
  if (codec.family === 'h264') assert.equal(codec.level, stream.level)
}
