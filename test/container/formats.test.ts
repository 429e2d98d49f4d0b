import assert from 'node:assert/strict'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, describe, it } from 'node:test'
import { decodeBase64 } from '../../src/core/base64.ts'
import { sequenceOfAv1, sequenceOfAv1C } from '../../src/media/av1.ts'
import { parseCodec } from '../../src/media/codec.ts'
import { formatOfAnnexB, formatOfAvcC } from '../../src/media/h264.ts'
import { durationOfOpus } from '../../src/media/opus.ts'
import { demuxWhole } from '../support/containers.ts'
import { ffmpeg, ffprobe, type ProbedStream } from '../support/ffmpeg.ts'

let folder = ''
before(() => {
  folder = mkdtempSync(join(tmpdir(), 'framelog-formats-'))
})
after(() => rmSync(folder, { recursive: true }))

function probe(bytes: Uint8Array): ProbedStream {
  const path = join(folder, 'container')
  writeFileSync(path, bytes)
  const [stream] = ffprobe(path).streams
  assert.ok(stream)
  return stream
}

const picture = (size: string, ...more: readonly string[]): string[] => [
  ...['-f', 'lavfi', '-i', `testsrc2=s=${size}:r=30:d=0.2`],
  ...more,
]
const matroska = ['-f', 'matroska']
const x264 = (...more: readonly string[]): string[] => ['-c:v', 'libx264', '-preset', 'ultrafast', ...more]
const profiles = new Map([
  ['Constrained Baseline', [66, 0x40]],
  ['Main', [77, 0]],
  ['High', [100, 0]],
  ['High 10', [110, 0]],
  ['High 4:2:2', [122, 0]],
  ['High 4:4:4 Predictive', [244, 0]],
])

describe('H.264 is read as ffprobe reads it', () => {
  const cases: Readonly<Record<string, readonly string[]>> = {
    baseline: picture('320x240', ...x264('-profile:v', 'baseline')),
    'main, odd rows that are cropped': picture('426x238', ...x264('-profile:v', 'main', '-level', '3.1')),
    'high, a size of no whole macroblock': picture('1918x1078', ...x264('-preset', 'veryfast')),
    'high, level 5.1': picture('128x96', ...x264('-preset', 'veryfast', '-level', '5.1')),
    interlaced: picture('720x576', ...x264('-preset', 'veryfast', '-flags', '+ildct+ilme')),
    '10 bits': picture('320x180', ...x264('-pix_fmt', 'yuv420p10le')),
    '4:2:2': picture('322x180', ...x264('-pix_fmt', 'yuv422p')),
    '4:4:4': picture('321x181', ...x264('-pix_fmt', 'yuv444p')),
    grey: picture('322x182', ...x264('-preset', 'veryfast', '-pix_fmt', 'gray')),
    'custom scaling lists': picture('320x180', ...x264('-preset', 'veryfast', '-x264-params', 'cqm=jvt')),
    'wide pixels and colours told': picture(
      '320x180',
      ...x264('-vf', 'setsar=4/3', '-color_primaries', 'bt709', '-colorspace', 'bt709', '-aud', '1'),
    ),
  }
  for (const [name, args] of Object.entries(cases))
    it(name, () => {
      const bytes = ffmpeg(...args, ...matroska)
      const stream = probe(bytes)
      const { announcements, frames } = demuxWhole(bytes)
      const [track] = announcements[0]?.tracks ?? []
      assert.ok(track?.kind === 'video')
      assert.deepEqual([track.width, track.height], [stream.width, stream.height])
      const codec = parseCodec(track.codec)
      assert.ok(codec.family === 'h264')
      assert.equal(codec.level, stream.level)
      const [profile, constraint = 0] = profiles.get(stream.profile ?? '') ?? []
      assert.equal(codec.profile, profile)
      assert.equal(codec.constraints & constraint, constraint)
      // The same stream as Annex B has the same description.
      const avcC = decodeBase64(track.description ?? '')
      const [first] = annexB(bytes)
      assert.ok(first)
      assert.deepEqual(formatOfAnnexB(first)?.avcC, avcC)
      assert.deepEqual(formatOfAvcC(avcC)?.avcC, avcC)
      assert.ok(frames.length >= 5)
    })

  /** The first unit of access, with start codes. */
  function annexB(bytes: Uint8Array): Uint8Array[] {
    const path = join(folder, 'annexb')
    writeFileSync(path, bytes)
    return [ffmpeg('-i', path, '-c', 'copy', '-bsf:v', 'h264_mp4toannexb', '-frames:v', '1', '-f', 'h264')]
  }
})

describe('VP8, VP9 and AV1 are read as ffprobe reads them', () => {
  const vp9 = ['-c:v', 'libvpx-vp9', '-deadline', 'realtime', '-cpu-used', '8']
  const av1 = ['-c:v', 'libaom-av1', '-usage', 'realtime', '-cpu-used', '8']
  const cases: Readonly<Record<string, readonly [args: readonly string[], codec: string]>> = {
    'VP8, odd': [picture('321x179', '-c:v', 'libvpx', '-deadline', 'realtime'), 'vp8'],
    'VP9, odd': [picture('321x179', ...vp9), 'vp09.00.11.08'],
    'VP9, 1080p': [picture('1920x1080', ...vp9), 'vp09.00.40.08'],
    'VP9, 4:4:4': [picture('320x180', ...vp9, '-pix_fmt', 'yuv444p'), 'vp09.01.11.08'],
    'VP9, RGB': [picture('320x180', ...vp9, '-pix_fmt', 'gbrp'), 'vp09.01.11.08'],
    'VP9, 10 bits': [picture('320x180', ...vp9, '-pix_fmt', 'yuv420p10le'), 'vp09.02.11.10'],
    'VP9, 12 bits of 4:2:2': [picture('320x180', ...vp9, '-pix_fmt', 'yuv422p12le'), 'vp09.03.11.12'],
    'AV1, odd': [picture('321x179', ...av1), 'av01.0.00M.08'],
    'AV1, 720p': [picture('1280x720', ...av1), 'av01.0.05M.08'],
    'AV1, 10 bits': [picture('320x180', ...av1, '-pix_fmt', 'yuv420p10le'), 'av01.0.00M.10'],
    'AV1, 4:4:4': [picture('320x180', ...av1, '-pix_fmt', 'yuv444p'), 'av01.1.00M.08'],
    'AV1, RGB': [picture('320x180', ...av1, '-pix_fmt', 'gbrp'), 'av01.1.00M.08'],
    'AV1, 12 bits': [picture('320x180', ...av1, '-pix_fmt', 'yuv420p12le'), 'av01.2.00M.12'],
    'AV1, grey': [picture('320x180', ...av1, '-pix_fmt', 'gray'), 'av01.0.00M.08'],
    'AV1 of another encoder': [picture('640x360', '-c:v', 'libsvtav1', '-preset', '12'), 'av01.0.01M.08'],
  }
  for (const [name, [args, codec]] of Object.entries(cases))
    it(name, () => {
      // Into a pipe ffmpeg writes no AV1 as Matroska: it learns of the sequence header too late.
      const format = name.startsWith('AV1')
        ? ['-movflags', 'frag_keyframe+delay_moov', '-f', 'mp4']
        : matroska
      const bytes = ffmpeg(...args, ...format)
      const stream = probe(bytes)
      const { announcements, frames } = demuxWhole(bytes)
      const [track] = announcements[0]?.tracks ?? []
      assert.ok(track?.kind === 'video')
      assert.deepEqual([track.width, track.height], [stream.width, stream.height])
      assert.equal(track.codec, codec)
      if (!name.startsWith('AV1')) return
      const [first] = frames
      const written = decodeBase64(track.description ?? '')
      const ours = sequenceOfAv1(first?.data ?? new Uint8Array())
      assert.equal(stream.level, Number(codec.slice(7, 9)))
      // The four bytes that stand before the sequence header: profile, level, tier, and how colours are stored.
      assert.deepEqual([...(ours?.av1C.subarray(0, 3) ?? [])], [...written.subarray(0, 3)])
      const ahead = sequenceOfAv1C(written)
      assert.deepEqual([ahead?.codec, ahead?.width, ahead?.height], [ours?.codec, ours?.width, ours?.height])
      // SVT-AV1 says other tools ahead of the stream than in it.
      if (name !== 'AV1 of another encoder') assert.deepEqual(ahead?.av1C, ours?.av1C)
    })
})

describe('sound is read as ffprobe reads it', () => {
  const tone = (rate: number, channels: number): string[] => [
    ...['-f', 'lavfi', '-i', `sine=440:d=0.5:r=${rate}`, '-ac', String(channels)],
  ]
  for (const format of [matroska, ['-movflags', 'frag_keyframe+empty_moov', '-f', 'mp4']])
    for (const [rate, channels] of [
      [8000, 1],
      [22_050, 2],
      [44_100, 5],
      [48_000, 6],
      [96_000, 2],
    ] as const)
      it(`AAC, ${rate} Hz, ${channels} channels, ${format.at(-1)}`, () => {
        const bytes = ffmpeg(...tone(rate, channels), '-c:a', 'aac', ...format)
        const stream = probe(bytes)
        const [track] = demuxWhole(bytes).announcements[0]?.tracks ?? []
        assert.ok(track?.kind === 'audio')
        assert.deepEqual([track.sampleRate, track.channels], [Number(stream.sample_rate), stream.channels])
        assert.equal(track.codec, 'mp4a.40.2')
      })

  for (const duration of [2.5, 5, 10, 20, 40, 60, 80, 100, 120])
    for (const channels of [1, 2])
      it(`Opus, packets of ${duration} ms, ${channels} channels`, () => {
        const options = ['-c:a', 'libopus', '-frame_duration', String(duration)]
        const { frames } = demuxWhole(ffmpeg(...tone(48_000, channels), ...options, ...matroska))
        assert.ok(frames.length > 3)
        for (const { data } of frames) assert.equal(durationOfOpus(data), duration * 1000)
      })

  for (const application of ['voip', 'lowdelay'])
    for (const bitrate of ['8k', '24k', '96k'])
      it(`Opus for ${application} at ${bitrate}`, () => {
        const options = ['-c:a', 'libopus', '-application', application, '-b:a', bitrate]
        for (const { data } of demuxWhole(ffmpeg(...tone(48_000, 1), ...options, ...matroska)).frames)
          assert.equal(durationOfOpus(data), 20_000)
      })
})
