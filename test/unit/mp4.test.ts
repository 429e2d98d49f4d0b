import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { decodeBase64 } from '../../src/core/base64.ts'
import {
  box,
  descriptor,
  dOps,
  elst,
  endlessBox,
  fragment,
  ftyp,
  fullBox,
  largeBox,
  latin1,
  moov,
  soundEntry,
  syncFlags,
  type TrackOptions,
  trex,
  u16,
  u32,
  u64,
  visualEntry,
} from '../support/box-writer.ts'
import { errorOf } from '../support/codes.ts'
import { concat, type Demuxed, demux, demuxWhole, fixture } from '../support/containers.ts'
import { opusPacket, vp8Frame } from '../support/frames.ts'

const key = vp8Frame(true)
const delta = vp8Frame(false, 30)
const picture: TrackOptions = { id: 1 }
const sound: TrackOptions = { id: 2, handler: 'soun', timescale: 48_000 }
const pictures = concat(ftyp(), moov([picture]))
const one = fragment(1, 0, [{ data: key }])

/** Byte by byte and as a whole alike. */
function frames(...parts: readonly Uint8Array[]): Demuxed['frames'] {
  const bytes = concat(...parts)
  const single = demux(Array.from(bytes, byte => Uint8Array.of(byte)))
  const whole = demuxWhole(bytes)
  assert.deepEqual(single.frames, whole.frames)
  assert.deepEqual(single.announcements, whole.announcements)
  return whole.frames
}

const times = (...parts: readonly Uint8Array[]): (number | undefined)[][] =>
  frames(...parts).map(({ timestamp, decodeTimestamp }) =>
    decodeTimestamp === undefined ? [timestamp] : [timestamp, decodeTimestamp],
  )

const refused = (...parts: readonly Uint8Array[]): string => errorOf(() => demuxWhole(concat(...parts))).code

const trackOf = (options: TrackOptions, data: Uint8Array): unknown =>
  demuxWhole(concat(ftyp(), moov([options]), fragment(options.id, 0, [{ data }]))).announcements[0]?.tracks[0]

describe('boxes of MP4', () => {
  const head = (offset: number, size = key.byteLength): Uint8Array =>
    box(
      'moof',
      box('traf', fullBox('tfhd', 0, 0x2_0000, u32(1)), fullBox('trun', 0, 0x201, u32(1, offset, size))),
    )
  const length = head(0).byteLength

  it('may have their size in 32 bits, in 64, or none', () => {
    assert.equal(frames(pictures, head(length + 8), box('mdat', key)).length, 1)
    assert.equal(frames(pictures, head(length + 16), largeBox('mdat', key)).length, 1)
    assert.equal(frames(pictures, head(length + 8), endlessBox('mdat', key)).length, 1)
    const large = concat(
      largeBox('ftyp', latin1('isom'), u32(0)),
      largeBox('moov', moov([picture]).subarray(8)),
    )
    const moof = largeBox('moof', head(length + 16).subarray(8))
    assert.equal(frames(large, moof, box('mdat', key)).length, 1)
  })

  it('that nobody asked for may stand anywhere', () => {
    const others = ['styp', 'sidx', 'free', 'prft', 'emsg', 'uuid', 'abcd'].map(type =>
      box(type, new Uint8Array(40)),
    )
    const parts = [pictures, one, fragment(1, 3000, [{ data: delta, keyframe: false }])]
    assert.equal(frames(...others, ...parts.flatMap(part => [part, ...others])).length, 2)
  })

  it('without a size end the stream, also in bytes that look like boxes', () => {
    assert.equal(frames(pictures, one, endlessBox('free', one, one)).length, 1)
    assert.equal(frames(pictures, head(length + 8), endlessBox('mdat', key, one)).length, 1)
    assert.equal(refused(pictures, endlessBox('moof', one.subarray(8))), 'BAD_CONTAINER')
    assert.equal(refused(ftyp(), endlessBox('moov', moov([picture]).subarray(8))), 'BAD_CONTAINER')
  })

  it('cannot be shorter than their header', () => {
    for (const size of [2, 7])
      assert.equal(refused(pictures, concat(u32(size), latin1('free'))), 'BAD_CONTAINER')
    for (const size of [0, 15, 2 ** 60])
      assert.equal(refused(pictures, concat(u32(1), latin1('mdat'), u64(size))), 'BAD_CONTAINER')
  })

  it('are cut off where the stream ends', () => {
    const bytes = concat(pictures, one, fragment(1, 3000, [{ data: delta, keyframe: false }]))
    assert.equal(frames(bytes.subarray(0, -1)).length, 1)
  })
})

describe('where a fragment finds its samples', () => {
  const packets = [opusPacket(20, 1), opusPacket(25, 2), opusPacket(30, 3)]
  const both = concat(ftyp(), moov([picture, sound]))
  const trun = (offset: number | undefined, ...sizes: readonly number[]): Uint8Array =>
    fullBox(
      'trun',
      0,
      offset === undefined ? 0x200 : 0x201,
      u32(sizes.length, ...(offset === undefined ? [] : [offset]), ...sizes),
    )
  const traf = (header: Uint8Array, ...runs: readonly Uint8Array[]): Uint8Array =>
    box('traf', header, fullBox('tfdt', 0, 0, u32(0)), ...runs)

  it('behind each other: runs without offsets, and a track behind the one before', () => {
    const sizes = packets.map(({ byteLength }) => byteLength)
    const build = (length: number): Uint8Array =>
      box(
        'moof',
        traf(
          fullBox('tfhd', 0, 0, u32(1)),
          trun(length + 8, key.byteLength),
          trun(undefined, delta.byteLength),
        ),
        traf(
          fullBox('tfhd', 0, 0, u32(2)),
          trun(undefined, ...sizes.slice(0, 1)),
          trun(undefined, ...sizes.slice(1)),
        ),
      )
    const moof = build(build(0).byteLength)
    const result = frames(both, moof, box('mdat', key, vp8Frame(true, 30), ...packets))
    assert.deepEqual(
      result.map(({ track, data }) => [track, data.byteLength]),
      [
        ['video', 40],
        ['video', 30],
        ['audio', 20],
        ['audio', 25],
        ['audio', 30],
      ],
    )
  })

  it('interleaved: they come in the order of their bytes', () => {
    const build = (length: number): Uint8Array =>
      box(
        'moof',
        traf(fullBox('tfhd', 0, 0x2_0000, u32(1)), trun(length + 8, 40), trun(length + 8 + 60 + 7, 30)),
        traf(fullBox('tfhd', 0, 0x2_0000, u32(2)), trun(length + 8 + 40, 20), trun(length + 8 + 97, 25, 30)),
      )
    const moof = build(build(0).byteLength)
    const mdat = box(
      'mdat',
      key,
      packets[0] ?? key,
      new Uint8Array(7),
      vp8Frame(true, 30),
      ...packets.slice(1),
    )
    const result = frames(both, moof, mdat)
    assert.deepEqual(
      result.map(({ track, data }) => `${track} ${data.byteLength}`),
      ['video 40', 'audio 20', 'video 30', 'audio 25', 'audio 30'],
    )
  })

  it('from the beginning of their own file, of two behind each other', () => {
    const build = (offset: number): Uint8Array =>
      box('moof', traf(fullBox('tfhd', 0, 1, u32(1), u64(offset)), trun(undefined, key.byteLength)))
    const file = concat(pictures, build(pictures.byteLength + build(0).byteLength + 8), box('mdat', key))
    assert.equal(frames(file, file).length, 2)
    assert.equal(demuxWhole(concat(file, file)).announcements.length, 2)
  })

  it('in the second mdat behind it', () => {
    const build = (length: number): Uint8Array =>
      box(
        'moof',
        traf(fullBox('tfhd', 0, 0x2_0000, u32(1)), trun(length + 8, 40), trun(length + 8 + 50 + 16, 40)),
      )
    const moof = build(build(0).byteLength)
    const result = frames(pictures, moof, box('mdat', key, new Uint8Array(10)), box('free'), box('mdat', key))
    assert.equal(result.length, 2)
  })

  it('or not: before, behind, across the end, or over each other', () => {
    const at = (...offsets: readonly number[]): Uint8Array => {
      const build = (length: number): Uint8Array =>
        box(
          'moof',
          traf(fullBox('tfhd', 0, 0x2_0000, u32(1)), ...offsets.map(offset => trun(length + 8 + offset, 40))),
        )
      return concat(build(build(0).byteLength), box('mdat', key, key))
    }
    assert.equal(frames(pictures, at(0, 40)).length, 2)
    assert.equal(refused(pictures, at(-1)), 'BAD_CONTAINER')
    assert.equal(refused(pictures, at(41)), 'BAD_CONTAINER')
    assert.equal(refused(pictures, at(0, 39)), 'BAD_CONTAINER')
    assert.equal(refused(pictures, at(81), one), 'BAD_CONTAINER')
    assert.equal(refused(pictures, at(0, -5000)), 'BAD_CONTAINER')
  })

  it('of tracks that are neither picture nor sound it passes over', () => {
    const text: TrackOptions = { id: 5, handler: 'text' }
    const stream = concat(
      ftyp(),
      moov([text, picture]),
      fragment(5, 0, [{ data: key }, { data: delta }]),
      one,
    )
    assert.deepEqual(
      frames(stream).map(({ track }) => track),
      ['video'],
    )
  })

  it('of a track that the moov does not have is refused', () => {
    assert.equal(refused(pictures, fragment(9, 0, [{ data: key }])), 'BAD_CONTAINER')
  })
})

describe('what samples take from further away', () => {
  const moof = (header: Uint8Array, ...boxes: readonly Uint8Array[]): Uint8Array =>
    box('moof', box('traf', header, ...boxes))
  const stream = (
    defaults: Uint8Array,
    build: (offset: number) => Uint8Array,
    data: Uint8Array,
  ): Uint8Array =>
    concat(ftyp(), moov([picture], [defaults]), build(build(0).byteLength + 8), box('mdat', data))

  it('durations, sizes and flags of the movie, of the fragment, and of the first sample', () => {
    const defaults = trex(1, { duration: 9000, size: 40, flags: syncFlags(false) })
    const data = concat(key, delta, new Uint8Array(10), delta, new Uint8Array(10))
    const byMovie = stream(
      defaults,
      offset => moof(fullBox('tfhd', 0, 0, u32(1)), fullBox('trun', 0, 0x5, u32(3, offset, syncFlags(true)))),
      data,
    )
    assert.deepEqual(
      frames(byMovie).map(({ timestamp, duration, keyframe }) => [timestamp, duration, keyframe]),
      [
        [0, 100_000, true],
        [100_000, 100_000, false],
        [200_000, 100_000, false],
      ],
    )
    const byFragment = stream(
      defaults,
      offset =>
        moof(
          fullBox('tfhd', 0, 0x3a, u32(1, 1, 4500, 40, syncFlags(true))),
          fullBox('trun', 0, 0x1, u32(1, offset)),
        ),
      key,
    )
    assert.deepEqual(
      frames(byFragment).map(({ duration, keyframe }) => [duration, keyframe]),
      [[50_000, true]],
    )
  })

  it('the time behind the sample before, where a fragment states none', () => {
    const bare = (offset: number): Uint8Array =>
      moof(fullBox('tfhd', 0, 0x2_0000, u32(1)), fullBox('trun', 0, 0x301, u32(1, offset, 4500, 40)))
    const whole = concat(bare(bare(0).byteLength + 8), box('mdat', key))
    assert.deepEqual(times(pictures, whole, whole, fragment(1, 90_000, [{ data: key }]), whole), [
      [0],
      [50_000],
      [1_000_000],
      [1_033_333],
    ])
  })

  it('a sample entry that is the first; another is refused', () => {
    const another = stream(
      trex(1, { size: 40 }),
      offset => moof(fullBox('tfhd', 0, 2, u32(1, 2)), fullBox('trun', 0, 0x1, u32(1, offset))),
      key,
    )
    assert.equal(refused(another), 'BAD_CONTAINER')
    assert.equal(refused(ftyp(), moov([picture], [trex(1, { entry: 2 })])), 'BAD_CONTAINER')
  })
})

describe('times of MP4', () => {
  const at = (options: TrackOptions, time: number, offset = 0): (number | undefined)[] | undefined =>
    times(ftyp(), moov([options]), fragment(options.id, time, [{ data: key, offset }]))[0]

  it('are exact to the microsecond, far from 0 too', () => {
    assert.deepEqual(at(picture, 1), [11])
    assert.deepEqual(at(picture, 90_000 * 1_764_000_000 + 1), [1_764_000_000_000_011])
    assert.deepEqual(at({ id: 1, timescale: 10_000_000 }, 8_000_000_000_000_006), [800_000_000_000_001])
    assert.deepEqual(at({ id: 1, timescale: 1 }, 7), [7_000_000])
  })

  it('may be of 32 or 64 bits', () => {
    assert.deepEqual(at({ id: 1, version: 1 }, 2 ** 40), [Math.round((2 ** 40 / 90_000) * 1_000_000)])
    const build = (offset: number): Uint8Array =>
      box(
        'moof',
        box(
          'traf',
          fullBox('tfhd', 0, 0x2_0000, u32(1)),
          fullBox('tfdt', 0, 0, u32(4_000_000_000)),
          fullBox('trun', 0, 0x201, u32(1, offset, 40)),
        ),
      )
    assert.deepEqual(times(pictures, build(build(0).byteLength + 8), box('mdat', key)), [[44_444_444_444]])
  })

  it('may be presented later than decoded, or earlier', () => {
    assert.deepEqual(at(picture, 9000, 9000), [200_000, 100_000])
    assert.deepEqual(at(picture, 9000, -4500), [50_000, 100_000])
  })

  it('are moved by edits, so that sound and picture keep their distance', () => {
    assert.deepEqual(at({ ...picture, edits: elst(0, [0, 9000]) }, 0, 9000), [0, -100_000])
    assert.deepEqual(at({ ...picture, edits: elst(1, [0, 9000]) }, 9000), [0])
    assert.deepEqual(at({ ...picture, edits: elst(0, [250, -1], [0, 0]) }, 0), [250_000])
    assert.deepEqual(at({ ...picture, edits: elst(1, [250, -1], [750, -1], [0, 4500]) }, 9000), [1_050_000])
    assert.deepEqual(at({ ...picture, edits: elst(0) }, 9000), [100_000])
  })

  it('past what can be counted are refused', () => {
    assert.equal(refused(pictures, fragment(1, 2 ** 53, [{ data: key }])), 'BAD_CONTAINER')
    assert.equal(
      refused(ftyp(), moov([{ id: 1, timescale: 1 }]), fragment(1, 2 ** 52, [{ data: key }])),
      'BAD_CONTAINER',
    )
    assert.equal(refused(ftyp(), moov([{ id: 1, timescale: 0 }])), 'BAD_CONTAINER')
  })
})

describe('another moov', () => {
  it('begins anew, with other tracks and from 0', () => {
    const first = concat(pictures, fragment(1, 9000, [{ data: key }]))
    const second = concat(ftyp(), moov([sound]), fragment(2, 4800, [{ data: opusPacket() }]))
    const result = demuxWhole(concat(first, second, first))
    assert.deepEqual(
      result.announcements.map(({ before, tracks }) => [before, ...tracks.map(({ name }) => name)]),
      [
        [0, 'video'],
        [1, 'audio'],
        [2, 'video'],
      ],
    )
    assert.deepEqual(
      result.frames.map(({ track, timestamp }) => [track, timestamp]),
      [
        ['video', 100_000],
        ['audio', 100_000],
        ['video', 100_000],
      ],
    )
  })
})

describe('what MP4 cannot be', () => {
  const says = (...parts: readonly Uint8Array[]): string => {
    const error = errorOf(() => demuxWhole(concat(...parts)))
    assert.equal(error.code, 'BAD_CONTAINER')
    return error.message
  }

  it('whole: it says how a fragmented one is made', () => {
    const whole = box('moov', ...[moov([picture]).subarray(8, 8 + 108)])
    assert.match(says(ftyp(), whole), /not fragmented.*-movflags frag_every_frame/)
    assert.match(says(ftyp(), box('free'), box('mdat', key)), /media before its moov.*-movflags/)
    assert.match(says(ftyp(), moov([{ ...picture, listed: 3 }])), /lists samples.*-movflags/)
  })

  it('begun in its middle', () => {
    assert.match(says(one), /moov is missing/)
  })

  it('without what it must have', () => {
    const full = moov([picture])
    for (const type of ['mvhd', 'tkhd', 'mdia', 'mdhd', 'hdlr', 'minf', 'stbl', 'stsd', 'mvex']) {
      const damaged = full.slice()
      damaged.set(latin1('free'), Buffer.from(damaged).indexOf(type))
      assert.ok(says(ftyp(), damaged).length > 10, type)
    }
    const headless = one.slice()
    headless.set(latin1('free'), Buffer.from(headless).indexOf('tfhd'))
    assert.match(says(pictures, headless), /tfhd/)
  })

  it('cut short inside of a box', () => {
    const full = moov([picture]).subarray(8)
    for (let length = 0; length < full.byteLength; length += 3)
      assert.ok(says(ftyp(), box('moov', full.subarray(0, length))).length > 10)
  })

  it('neither picture nor sound', () => {
    assert.match(says(ftyp(), moov([{ id: 1, handler: 'text' }])), /neither/)
  })

  it('encrypted, or of a codec that cannot be carried', () => {
    for (const type of ['encv', 'hvc1', 'mp4v'])
      assert.equal(refused(ftyp(), moov([{ ...picture, entry: visualEntry(type) }])), 'UNSUPPORTED_CODEC')
    for (const type of ['enca', 'ac-3', '.mp3', 'vp08'])
      assert.equal(refused(ftyp(), moov([{ ...sound, entry: soundEntry(type) }])), 'UNSUPPORTED_CODEC')
  })
})

describe('sample entries', () => {
  it('of Opus give a decoder its header where it has more than two channels', () => {
    const entry = soundEntry('Opus', dOps(6, 1, 4, 2, 0, 4, 1, 2, 3, 5))
    const track = trackOf({ ...sound, entry }, opusPacket()) as { description: string }
    const [read] = demuxWhole(fixture('ffmpeg-opus-surround.webm')).announcements[0]?.tracks ?? []
    assert.deepEqual(track, read)
    assert.equal(Buffer.from(decodeBase64(track.description)).toString('latin1', 0, 8), 'OpusHead')
  })

  const esds = (width: number, flags: number, ...more: readonly Uint8Array[]): Uint8Array =>
    fullBox(
      'esds',
      0,
      0,
      descriptor(
        3,
        width,
        u16(1),
        Uint8Array.of(flags),
        ...more,
        descriptor(
          4,
          width,
          Uint8Array.of(0x40, 0x15),
          new Uint8Array(11),
          descriptor(5, width, Uint8Array.of(0x11, 0x90)),
        ),
        descriptor(6, width, Uint8Array.of(2)),
      ),
    )

  it('of AAC have its configuration behind descriptors with sizes of one to four bytes, and optional fields', () => {
    const expected = {
      name: 'audio',
      kind: 'audio',
      codec: 'mp4a.40.2',
      sampleRate: 48_000,
      channels: 2,
      description: 'EZA=',
    }
    for (const width of [1, 2, 3, 4])
      assert.deepEqual(
        trackOf({ ...sound, entry: soundEntry('mp4a', esds(width, 0)) }, opusPacket()),
        expected,
      )
    const optional = esds(1, 0xe0, u16(7), Uint8Array.of(2, 65, 66), u16(9))
    assert.deepEqual(trackOf({ ...sound, entry: soundEntry('mp4a', optional) }, opusPacket()), expected)
  })

  it('of mp4a that is no AAC are refused, and such as do not say', () => {
    const mp3 = esds(1, 0)
    mp3[mp3.indexOf(0x40)] = 0x6b
    assert.equal(refused(ftyp(), moov([{ ...sound, entry: soundEntry('mp4a', mp3) }])), 'UNSUPPORTED_CODEC')
    assert.equal(refused(ftyp(), moov([{ ...sound, entry: soundEntry('mp4a') }])), 'BAD_CONTAINER')
    assert.equal(refused(ftyp(), moov([{ ...picture, entry: visualEntry('avc1') }])), 'BAD_CONTAINER')
  })
})
