import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import fc from 'fast-check'
import { decodeBase64 } from '../../src/core/base64.ts'
import { configOfAac, durationOfAac, formatOfAac, withoutAdts } from '../../src/media/aac.ts'
import { sequenceOfAv1, sequenceOfAv1C } from '../../src/media/av1.ts'
import { parseCodec } from '../../src/media/codec.ts'
import type { Frame } from '../../src/media/frame.ts'
import { formatOfAnnexB, formatOfAvcC, formatOfLengths, nalUnits, toLengths } from '../../src/media/h264.ts'
import { channelsOfOpusHead, durationOfOpus, opusHead } from '../../src/media/opus.ts'
import { formatOfVp8 } from '../../src/media/vp8.ts'
import { formatOfVp9 } from '../../src/media/vp9.ts'
import { fragment, ftyp, moov, visualEntry } from '../support/box-writer.ts'
import { concat, demuxWhole, fixture, fixtureNames } from '../support/containers.ts'
import { damaged } from '../support/damage.ts'

const parsers = {
  vp8: formatOfVp8,
  vp9: formatOfVp9,
  av1: sequenceOfAv1,
  annexb: formatOfAnnexB,
  lengths: formatOfLengths,
} as const

const framesOf = (name: string, track: string): readonly Frame[] =>
  demuxWhole(fixture(name)).frames.filter(frame => frame.track === track)

const descriptionOf = (name: string, kind: string): Uint8Array => {
  const track = demuxWhole(fixture(name)).announcements[0]?.tracks.find(track => track.kind === kind)
  return decodeBase64(track?.description ?? '')
}

describe('a keyframe tells its codec and its size, and a frame that needs others tells nothing', () => {
  const cases = [
    ['ffmpeg-vp8-opus-live.webm', 'vp8', 'vp8', 160, 90],
    ['chromium-vp8-opus.webm', 'vp8', 'vp8', 320, 180],
    ['firefox-vp8-opus.webm', 'vp8', 'vp8', 320, 180],
    ['ffmpeg-vp9-opus.webm', 'vp9', 'vp09.00.10.08', 160, 90],
    ['ffmpeg-vp9-opus.mp4', 'vp9', 'vp09.00.10.08', 160, 90],
    ['chromium-vp9-opus.mp4', 'vp9', 'vp09.00.11.08', 320, 180],
    ['ffmpeg-av1-opus.mkv', 'av1', 'av01.0.00M.08', 160, 90],
    ['chromium-av1-opus.webm', 'av1', 'av01.0.00M.08', 320, 180],
    ['chromium-h264-opus.mkv', 'annexb', 'avc1.42c015', 320, 180],
    ['chromium-avc3-opus.mp4', 'lengths', 'avc1.42c015', 320, 180],
  ] as const
  for (const [name, parser, codec, width, height] of cases)
    it(name, () => {
      const frames = framesOf(name, 'video')
      assert.ok(frames.length > 30)
      for (const { data, keyframe } of frames) {
        const format = parsers[parser](data)
        if (keyframe) assert.deepEqual([format?.codec, format?.width, format?.height], [codec, width, height])
        else assert.equal(format, undefined)
      }
    })

  it('H.264 also by its description', () => {
    const format = formatOfAvcC(descriptionOf('ffmpeg-h264-aac-b-frames.mkv', 'video'))
    assert.deepEqual([format?.codec, format?.width, format?.height], ['avc1.64000b', 160, 90])
  })
})

describe('H.264', () => {
  const avcC = descriptionOf('chromium-avc1-opus.mp4', 'video')
  const [annexB] = framesOf('chromium-h264-opus.mkv', 'video')
  const [lengths] = framesOf('chromium-avc3-opus.mp4', 'video')
  assert.ok(annexB && lengths)

  it('has one description, whichever form its parameter sets came in', () => {
    assert.deepEqual(formatOfAnnexB(annexB.data)?.avcC, avcC)
    assert.deepEqual(formatOfLengths(lengths.data)?.avcC, avcC)
    assert.deepEqual(formatOfAvcC(avcC)?.avcC, avcC)
    const high = descriptionOf('ffmpeg-h264-aac-b-frames.mkv', 'video')
    assert.deepEqual(formatOfAvcC(high)?.avcC, high)
  })

  it('in lengths has what its start codes had, but for what the description has', () => {
    const kept = nalUnits(annexB.data).filter(unit => ![7, 8, 9].includes((unit[0] ?? 0) & 31))
    assert.ok(kept.length > 0)
    assert.equal(
      toLengths(annexB.data).byteLength,
      kept.reduce((sum, unit) => sum + 4 + unit.byteLength, 0),
    )
  })

  it('that goes on with other parameter sets than its container began with is told anew', () => {
    const entry = visualEntry('avc3', ...[boxOf('avcC', avcC)])
    const other = fixtureKeyframe('ffmpeg-h264-aac-b-frames-edits.mp4')
    const stream = concat(
      ftyp(),
      moov([{ id: 1, entry }]),
      fragment(1, 0, [{ data: lengths.data }, { data: other }, { data: lengths.data }]),
    )
    const { announcements } = demuxWhole(stream)
    assert.deepEqual(
      announcements.map(({ before, tracks: [track] }) => [before, track?.kind === 'video' && track.width]),
      [
        [0, 320],
        [1, 160],
        [2, 320],
      ],
    )
    const [first, second, third] = announcements.map(({ tracks: [track] }) => track?.description ?? '')
    assert.deepEqual(decodeBase64(first ?? ''), avcC)
    assert.deepEqual(decodeBase64(second ?? ''), descriptionOf('ffmpeg-h264-aac-b-frames-edits.mp4', 'video'))
    assert.equal(third, first)
  })
})

describe('sound', () => {
  it('of Opus says how long it plays', () => {
    for (const name of ['chromium-vp8-opus.webm', 'firefox-vp8-opus.webm', 'ffmpeg-vp9-opus.mp4']) {
      const expected = name.startsWith('chromium') ? 60_000 : 20_000
      for (const { data } of framesOf(name, 'audio')) assert.equal(durationOfOpus(data), expected)
    }
    // RFC 6716, table 2: one frame of each configuration; then two, and a number of frames.
    const row = (config: number): (number | undefined)[] =>
      [0, 1, 2, 3].map(i => durationOfOpus(Uint8Array.of((config + i) << 3)))
    for (const config of [0, 4, 8]) assert.deepEqual(row(config), [10_000, 20_000, 40_000, 60_000])
    assert.deepEqual(row(12), [10_000, 20_000, 10_000, 20_000])
    for (const config of [16, 20, 24, 28]) assert.deepEqual(row(config), [2500, 5000, 10_000, 20_000])
    assert.equal(durationOfOpus(Uint8Array.of((16 << 3) | 1)), 5000)
    assert.equal(durationOfOpus(Uint8Array.of((31 << 3) | 3, 6)), 120_000)
    assert.equal(durationOfOpus(Uint8Array.of((31 << 3) | 3, 7)), undefined)
    assert.equal(durationOfOpus(Uint8Array.of((31 << 3) | 3, 0)), undefined)
    assert.equal(durationOfOpus(new Uint8Array()), undefined)
  })

  it('of Opus names its channels in a header', () => {
    assert.equal(channelsOfOpusHead(descriptionOf('ffmpeg-opus-surround.webm', 'audio')), 6)
    assert.equal(channelsOfOpusHead(opusHead(2)), 2)
    assert.equal(channelsOfOpusHead(opusHead(2).subarray(0, 18)), undefined)
    assert.equal(channelsOfOpusHead(opusHead(0)), undefined)
  })

  it('of AAC has its format in its configuration', () => {
    assert.deepEqual(formatOfAac(descriptionOf('ffmpeg-h264-aac-every-frame.mp4', 'audio')), {
      codec: 'mp4a.40.2',
      sampleRate: 44_100,
      channels: 1,
    })
    assert.deepEqual(formatOfAac(Uint8Array.of(0x11, 0x90))?.sampleRate, 48_000)
    // A rate of its own in 24 bits: 5 bits of type 2, 4 of index 15, the rate, 4 of channels.
    const own = BigInt(['0b00010', '1111', (37_800).toString(2).padStart(24, '0'), '0110', '000'].join(''))
    const bytes = Uint8Array.from({ length: 5 }, (_, i) => Number((own >> BigInt(32 - 8 * i)) & 255n))
    assert.deepEqual(formatOfAac(bytes), { codec: 'mp4a.40.2', sampleRate: 37_800, channels: 6 })
    assert.equal(formatOfAac(Uint8Array.of(0x11)), undefined)
    assert.equal(formatOfAac(Uint8Array.of(0x11, 0x80)), undefined)
    assert.equal(durationOfAac(48_000), 21_333)
  })
})

describe('damaged bytes tell nothing, or something that could be', () => {
  const real = fixtureNames.flatMap(name =>
    demuxWhole(fixture(name))
      .frames.filter(({ keyframe, track }) => keyframe && track === 'video')
      .slice(0, 2)
      .map(({ data }) => data.subarray(0, 300)),
  )
  const descriptions = ['chromium-avc1-opus.mp4', 'ffmpeg-av1-aac.mp4', 'chromium-av1-opus.webm'].map(name =>
    descriptionOf(name, 'video'),
  )
  const all = [...Object.values(parsers), formatOfAvcC, sequenceOfAv1C]

  it('of pictures', () => {
    const input = fc.oneof(
      damaged(fc.constantFrom(...real, ...descriptions)),
      fc.uint8Array({ maxLength: 80 }),
    )
    fc.assert(
      fc.property(input, bytes => {
        for (const parse of all) {
          const format = parse(bytes)
          if (format === undefined) continue
          assert.ok(
            format.width >= 1 && format.width <= 65_536 && format.height >= 1 && format.height <= 65_536,
          )
          assert.notEqual(parseCodec(format.codec).family, 'unknown')
        }
      }),
      { numRuns: 2000 },
    )
  })

  it('of sound', () => {
    const configuration = descriptionOf('ffmpeg-h264-aac-every-frame.mp4', 'audio')
    fc.assert(
      fc.property(fc.oneof(damaged(fc.constant(configuration)), fc.uint8Array({ maxLength: 40 })), bytes => {
        const format = formatOfAac(bytes)
        assert.ok(format === undefined || (format.channels >= 1 && format.sampleRate >= 8000))
        const duration = durationOfOpus(bytes)
        assert.ok(duration === undefined || (duration >= 2500 && duration <= 120_000))
        channelsOfOpusHead(bytes)
      }),
      { numRuns: 1000 },
    )
  })
})

function boxOf(type: string, data: Uint8Array): Uint8Array {
  const size = Uint8Array.of(0, 0, (data.byteLength + 8) >> 8, (data.byteLength + 8) & 255)
  return concat(size, new TextEncoder().encode(type), data)
}

/** A keyframe of a container with its parameter sets in front, as `avc3` has them. */
function fixtureKeyframe(name: string): Uint8Array {
  const avcC = descriptionOf(name, 'video')
  const spsLength = ((avcC[6] ?? 0) << 8) | (avcC[7] ?? 0)
  const sps = avcC.subarray(8, 8 + spsLength)
  const at = 8 + spsLength + 1
  const ppsLength = ((avcC[at] ?? 0) << 8) | (avcC[at + 1] ?? 0)
  const pps = avcC.subarray(at + 2, at + 2 + ppsLength)
  const withLength = (unit: Uint8Array): Uint8Array =>
    concat(Uint8Array.of(0, 0, unit.byteLength >> 8, unit.byteLength & 255), unit)
  const [first] = framesOf(name, 'video')
  return concat(withLength(sps), withLength(pps), first?.data ?? new Uint8Array())
}

describe('H.264 in Annex B', () => {
  it('has no configuration without parameter sets, and no units without start codes', () => {
    assert.equal(formatOfAnnexB(Uint8Array.of(0, 0, 1, 0x65, 1, 2, 3)), undefined)
    assert.equal(formatOfAnnexB(Uint8Array.of(0, 0, 1, 0x67, 0, 0, 1, 0x68)), undefined)
    assert.deepEqual(nalUnits(Uint8Array.of(1, 2, 3, 0, 0)), [])
    assert.deepEqual(nalUnits(new Uint8Array()), [])
    assert.equal(toLengths(Uint8Array.of(0, 0, 0, 1)).byteLength, 0)
  })

  it('takes start codes of three and four bytes, and zeros behind a unit', () => {
    const units = nalUnits(
      Uint8Array.of(0, 0, 0, 1, 0x67, 9, 0, 0, 0, 0, 1, 0x68, 8, 0, 0, 1, 0x65, 0, 0, 7, 0, 0),
    )
    assert.deepEqual(
      units.map(unit => [...unit]),
      [
        [0x67, 9],
        [0x68, 8],
        [0x65, 0, 0, 7],
      ],
    )
  })
})

describe('AAC without its container', () => {
  it('loses its ADTS headers, and gets the configuration that they told', () => {
    // AAC-LC, 44.1 kHz, two channels.
    assert.deepEqual([...(configOfAac(44_100, 2) ?? [])], [0x12, 0x10])
    assert.deepEqual([...(configOfAac(48_000, 1) ?? [])], [0x11, 0x88])
    assert.equal(configOfAac(44_000, 2), undefined)
    assert.deepEqual(
      [...withoutAdts(Uint8Array.of(0xff, 0xf1, 0x50, 0x80, 1, 0x7f, 0xfc, 0x21, 7))],
      [0x21, 7],
    )
    assert.deepEqual([...withoutAdts(Uint8Array.of(0x21, 7))], [0x21, 7])
  })
})
