import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { ids } from '../../src/container/webm/ebml.ts'
import { errorOf } from '../support/codes.ts'
import { concat, cut, demux, demuxWhole } from '../support/containers.ts'
import {
  audioTrack,
  blockGroup,
  blockHead,
  ebml,
  element,
  float,
  header,
  info,
  lacings,
  master,
  type SizeForm,
  simpleBlock,
  timestamp,
  tracks,
  unsigned,
  videoTrack,
} from '../support/ebml-writer.ts'
import { opusPacket, vp8Frame } from '../support/frames.ts'

const key = vp8Frame(true)
const delta = vp8Frame(false, 30)
const both = tracks(videoTrack(1, 'V_VP8'), audioTrack(2, 'A_OPUS'))
const segment = (children: readonly Uint8Array[], form?: SizeForm): Uint8Array =>
  master(ids.segment, children, form)
const cluster = (ticks: number, blocks: readonly Uint8Array[], form?: SizeForm): Uint8Array =>
  master(ids.cluster, [timestamp(ticks), ...blocks], form)

const unknown: SizeForm = { unknown: true }

/** Track, milliseconds and keyframe of each frame. */
const shape = (bytes: Uint8Array): string[] => {
  const single = demux(Array.from(bytes, byte => Uint8Array.of(byte)))
  const whole = demuxWhole(bytes)
  assert.deepEqual(single.frames, whole.frames)
  return whole.frames.map(
    ({ track, timestamp, keyframe }) => `${track} ${timestamp / 1000}${keyframe ? ' key' : ''}`,
  )
}

const twoClusters = (form: SizeForm | undefined, ...between: readonly Uint8Array[]): Uint8Array[] => [
  cluster(0, [simpleBlock(1, 0, key), simpleBlock(1, 33, delta, 0)], form),
  ...between,
  cluster(1000, [simpleBlock(1, 0, key), simpleBlock(1, 33, delta, 0)], form),
]
const fourFrames = ['video 0 key', 'video 33', 'video 1000 key', 'video 1033']

describe('sizes of WebM', () => {
  for (let width = 1; width <= 8; width++) {
    it(`may be unknown in ${width} bytes`, () => {
      const form = { width, unknown: true }
      assert.deepEqual(
        shape(concat(ebml(), segment([info(), tracks(videoTrack(1, 'V_VP8')), ...twoClusters(form)], form))),
        fourFrames,
      )
    })

    it(`may take ${width} bytes at least`, () => {
      const form = { width: width < 3 ? 0 : width }
      assert.deepEqual(
        shape(concat(ebml(), segment([info(), tracks(videoTrack(1, 'V_VP8')), ...twoClusters(form)], form))),
        fourFrames,
      )
    })
  }

  it('may be mixed', () => {
    const start = [info(), tracks(videoTrack(1, 'V_VP8'))]
    const open = twoClusters(unknown)
    const closed = twoClusters(undefined)
    assert.deepEqual(shape(concat(ebml(), segment([...start, ...open]))), fourFrames)
    assert.deepEqual(shape(concat(ebml(), segment([...start, ...closed], unknown))), fourFrames)
    const mixed = [...start, open[0] ?? key, closed[1] ?? key]
    assert.deepEqual(shape(concat(ebml(), segment(mixed, unknown))), fourFrames)
    assert.deepEqual(shape(concat(ebml(), segment(mixed))), fourFrames)
  })

  for (const [name, id] of Object.entries({
    Cues: ids.cues,
    Tags: ids.tags,
    SeekHead: ids.seekHead,
    Info: ids.info,
  }))
    it(`a Cluster of unknown size is ended by ${name}`, () => {
      const between = id === ids.info ? info() : element(id, new Uint8Array(9))
      const start = [info(), tracks(videoTrack(1, 'V_VP8'))]
      assert.deepEqual(
        shape(concat(ebml(), segment([...start, ...twoClusters(unknown, between)], unknown))),
        fourFrames,
      )
    })

  it('an unknown one is refused where nothing can tell its end', () => {
    const stream = concat(ebml(), segment([info(), element(ids.tracks, new Uint8Array(), unknown)], unknown))
    assert.equal(errorOf(() => demuxWhole(stream)).code, 'BAD_CONTAINER')
  })

  it('a child that is longer than what holds it is refused', () => {
    const inside = concat(
      ebml(),
      segment([info(), both, cluster(0, [header(ids.simpleBlock, 500)])], unknown),
    )
    assert.equal(errorOf(() => demuxWhole(inside)).code, 'BAD_CONTAINER')
    const ofSegment = concat(ebml(), segment([info(), header(ids.cluster, 500)]))
    assert.equal(errorOf(() => demuxWhole(ofSegment)).code, 'BAD_CONTAINER')
  })
})

describe('streams behind each other', () => {
  const first = [info(), tracks(videoTrack(1, 'V_VP8')), ...twoClusters(unknown)]
  const second = [
    info(500_000),
    tracks(audioTrack(1, 'A_OPUS')),
    cluster(100, [simpleBlock(1, 0, opusPacket())]),
  ]
  for (const form of [undefined, unknown])
    it(`begin anew when the first has ${form === undefined ? 'a known' : 'an unknown'} size`, () => {
      const stream = concat(ebml(), segment(first, form), ebml('matroska'), segment(second, form))
      assert.deepEqual(shape(stream), [...fourFrames, 'audio 50 key'])
      const { announcements } = demuxWhole(stream)
      assert.deepEqual(
        announcements.map(({ before, tracks }) => [before, tracks.map(({ codec }) => codec)]),
        [
          [0, ['vp8']],
          [4, ['opus']],
        ],
      )
    })
})

describe('blocks of WebM', () => {
  const stream = (entries: Uint8Array, ...blocks: readonly Uint8Array[]): Uint8Array =>
    concat(ebml(), segment([info(), entries, cluster(0, blocks, unknown)], unknown))

  for (const [name, { flags, lace }] of Object.entries(lacings)) {
    it(`are unlaced: ${name}`, () => {
      const sizes = name === 'fixed' ? [40, 40, 40] : [300, 20, 255, 510, 70]
      const packets = sizes.map((size, i) => opusPacket(size, i))
      const bytes = stream(tracks(audioTrack(2, 'A_OPUS')), simpleBlock(2, 5, lace(packets), flags))
      const { frames } = demuxWhole(bytes)
      assert.deepEqual(
        frames.map(({ data }) => data),
        packets,
      )
      assert.deepEqual(
        frames.map(({ timestamp }) => timestamp),
        packets.map((_, i) => 5000 + i * 20_000),
      )
    })

    it(`whose lacing says more than there is are refused: ${name}`, () => {
      const whole = lace([opusPacket(300), opusPacket(300), opusPacket(300)])
      for (const length of [0, 1, 2, 3, 100]) {
        const bytes = stream(
          tracks(audioTrack(2, 'A_OPUS')),
          simpleBlock(2, 5, whole.subarray(0, length), flags),
        )
        if (name === 'fixed' && length > 0 && (length - 1) % 3 === 0) demuxWhole(bytes)
        else assert.equal(errorOf(() => demuxWhole(bytes)).code, 'BAD_CONTAINER')
      }
    })
  }

  it('in a group say by a reference that they need another, and by a duration how long they last', () => {
    const bytes = stream(
      both,
      blockGroup(1, 0, key, unsigned(ids.blockDuration, 33)),
      blockGroup(1, 33, delta, unsigned(ids.referenceBlock, 33), unsigned(ids.blockDuration, 40)),
      blockGroup(2, 40, opusPacket()),
    )
    assert.deepEqual(shape(bytes), ['video 0 key', 'video 33', 'audio 40 key'])
    assert.deepEqual(
      demuxWhole(bytes).frames.map(({ duration }) => duration),
      [33_000, 40_000, 20_000],
    )
  })

  it('cannot last for ever', () => {
    const long = blockGroup(
      1,
      0,
      key,
      element(ids.blockDuration, Uint8Array.of(0x1f, ...Array(6).fill(0xff))),
    )
    assert.equal(errorOf(() => demuxWhole(stream(both, long))).code, 'BAD_CONTAINER')
  })

  it('share a stated duration among their frames', () => {
    const { lace } = lacings.xiph
    const head = concat(blockHead(2, 0, lacings.xiph.flags & 6), lace([opusPacket(), opusPacket(30)]))
    const group = master(ids.blockGroup, [element(ids.block, head), unsigned(ids.blockDuration, 50)])
    assert.deepEqual(
      demuxWhole(stream(tracks(audioTrack(2, 'A_OPUS')), group)).frames.map(({ timestamp, duration }) => [
        timestamp,
        duration,
      ]),
      [
        [0, 25_000],
        [25_000, 25_000],
      ],
    )
  })

  it('may lie before their Cluster', () => {
    const bytes = concat(
      ebml(),
      segment([info(), both, cluster(1000, [simpleBlock(1, 0, key), simpleBlock(2, -40, opusPacket())])]),
    )
    assert.deepEqual(shape(bytes), ['video 1000 key', 'audio 960 key'])
  })

  it('of tracks that are neither picture nor sound are passed over', () => {
    const subtitles = master(ids.trackEntry, [unsigned(ids.trackNumber, 3), unsigned(ids.trackType, 17)])
    const entries = tracks(subtitles, videoTrack(1, 'V_VP8'))
    assert.deepEqual(shape(stream(entries, simpleBlock(3, 0, key), simpleBlock(1, 10, key))), [
      'video 10 key',
    ])
  })

  it('are told from the Void and CRC-32 between them', () => {
    const empty = element(ids.void, new Uint8Array(300))
    const sum = element(ids.crc32, new Uint8Array(4))
    const children = [sum, empty, info(), empty, master(ids.tracks, [sum, videoTrack(1, 'V_VP8'), empty])]
    const blocks = [
      sum,
      empty,
      timestamp(7),
      empty,
      simpleBlock(1, 0, key),
      empty,
      simpleBlock(1, 1, delta, 0),
    ]
    const group = master(ids.blockGroup, [sum, element(ids.block, concat(blockHead(1, 2, 0), key)), empty])
    const bytes = concat(
      master(ids.ebml, [empty, ebml().subarray(5)]),
      empty,
      segment([...children, master(ids.cluster, [...blocks, group, empty], unknown)], unknown),
    )
    assert.deepEqual(shape(bytes), ['video 7 key', 'video 8', 'video 9 key'])
  })

  it('get back what every frame of their track had cut off', () => {
    const stripping = (compression: readonly Uint8Array[], ...more: readonly Uint8Array[]): Uint8Array =>
      master(ids.contentEncodings, [
        master(ids.contentEncoding, [master(ids.contentCompression, compression), ...more]),
      ])
    const algorithm = (number: number): Uint8Array => unsigned(ids.contentCompAlgo, number)
    const common = element(ids.contentCompSettings, key.subarray(0, 4))
    const entry = (encodings: Uint8Array): Uint8Array => tracks(videoTrack(1, 'V_VP8', encodings))
    const bytes = stream(entry(stripping([algorithm(3), common])), simpleBlock(1, 0, key.subarray(4)))
    assert.deepEqual(demuxWhole(bytes).frames[0]?.data, key)
    const zlib = stream(entry(stripping([algorithm(0)])), simpleBlock(1, 0, key))
    assert.equal(errorOf(() => demuxWhole(zlib)).code, 'UNSUPPORTED_CODEC')
    const secret = stream(
      entry(stripping([algorithm(3), common], unsigned(ids.contentEncodingType, 1))),
      simpleBlock(1, 0, key),
    )
    assert.equal(errorOf(() => demuxWhole(secret)).code, 'UNSUPPORTED_CODEC')
  })

  it('are moved by the delay of their codec', () => {
    const entries = tracks(audioTrack(2, 'A_OPUS', unsigned(ids.codecDelay, 6_500_000)))
    assert.deepEqual(
      shape(stream(entries, simpleBlock(2, 0, opusPacket()), simpleBlock(2, 20, opusPacket()))),
      ['audio -6.5 key', 'audio 13.5 key'],
    )
  })

  it('count in the ticks of their Segment, before or behind the tracks', () => {
    const tenth = 100_000
    const blocks = cluster(30, [simpleBlock(1, 4, key)])
    for (const children of [
      [info(tenth), both, blocks],
      [both, info(tenth), blocks],
    ])
      assert.deepEqual(shape(concat(ebml(), segment(children))), ['video 3.4 key'])
  })

  it('last as long as their track says', () => {
    const entries = tracks(videoTrack(1, 'V_VP8', unsigned(ids.defaultDuration, 33_366_667)))
    const { frames } = demuxWhole(stream(entries, simpleBlock(1, 0, key)))
    assert.equal(frames[0]?.duration, 33_367)
  })
})

describe('what WebM cannot be', () => {
  const refused = (bytes: Uint8Array): string => errorOf(() => demuxWhole(bytes)).code

  it('without a header, of another kind, without tracks, or with none that is picture or sound', () => {
    const blocks = cluster(0, [simpleBlock(1, 0, key)])
    assert.equal(refused(segment([info(), both, blocks])), 'BAD_CONTAINER')
    assert.equal(refused(concat(ebml('divx'), segment([info(), both, blocks]))), 'BAD_CONTAINER')
    assert.equal(refused(concat(ebml(), segment([info(), blocks]))), 'BAD_CONTAINER')
    assert.equal(refused(concat(ebml(), segment([info(), tracks(), blocks]))), 'BAD_CONTAINER')
  })

  it('a track of a codec that cannot be carried', () => {
    for (const codec of ['V_MPEGH/ISO/HEVC', 'V_THEORA', 'A_VORBIS', ''])
      assert.equal(refused(concat(ebml(), segment([tracks(videoTrack(1, codec))]))), 'UNSUPPORTED_CODEC')
    assert.equal(refused(concat(ebml(), segment([tracks(videoTrack(1, 'A_OPUS'))]))), 'BAD_CONTAINER')
  })

  it('a keyframe that is none', () => {
    const blocks = cluster(0, [simpleBlock(1, 0, delta)])
    assert.equal(refused(concat(ebml(), segment([both, blocks]))), 'BAD_CONTAINER')
  })

  it('a time or a scale past what can be counted', () => {
    const late = master(ids.cluster, [
      element(ids.timestamp, new Uint8Array(8).fill(255)),
      simpleBlock(1, 0, key),
    ])
    assert.equal(refused(concat(ebml(), segment([both, late]))), 'BAD_CONTAINER')
    const far = cluster(2 ** 52, [simpleBlock(1, 0, key)])
    assert.equal(refused(concat(ebml(), segment([info(2 ** 40), both, far]))), 'BAD_CONTAINER')
    assert.equal(refused(concat(ebml(), segment([info(0), both]))), 'BAD_CONTAINER')
  })
})

describe('what WebM says of its tracks', () => {
  it('is sound by its channels, whatever its rate: Opus has one', () => {
    const entry = master(ids.trackEntry, [
      unsigned(ids.trackNumber, 1),
      unsigned(ids.trackType, 2),
      element(
        ids.codecId,
        Uint8Array.from('A_OPUS\0\0', character => character.charCodeAt(0)),
      ),
      master(ids.audio, [float(ids.samplingFrequency, 44_100)]),
    ])
    const bytes = concat(ebml(), segment([tracks(entry), cluster(0, [simpleBlock(1, 0, opusPacket())])]))
    const [announced] = demuxWhole(bytes).announcements
    assert.deepEqual(announced?.tracks, [
      { name: 'audio', kind: 'audio', codec: 'opus', sampleRate: 48_000, channels: 1 },
    ])
  })

  it('is told again when a keyframe is of another size', () => {
    const blocks = [
      simpleBlock(1, 0, key),
      simpleBlock(1, 33, delta, 0),
      simpleBlock(1, 66, vp8Frame(true, 50, 640, 360)),
    ]
    const bytes = concat(ebml(), segment([both, cluster(0, blocks)]))
    const { announcements } = demux(cut(bytes, [80, 150, 200]))
    assert.deepEqual(
      announcements.map(({ before, tracks }) => [
        before,
        tracks.map(track => track.kind === 'video' && track.width),
      ]),
      [
        [0, [320, false]],
        [2, [640, false]],
      ],
    )
  })
})
