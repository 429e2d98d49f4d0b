import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { demuxLimits } from '../../src/container/demuxer.ts'
import { AnyDemuxer } from '../../src/container/recognise.ts'
import { ids } from '../../src/container/webm/ebml.ts'
import type { Frame } from '../../src/media/frame.ts'
import {
  box,
  boxHeader,
  fragment,
  ftyp,
  fullBox,
  moov,
  trex,
  u32,
  visualEntry,
} from '../support/box-writer.ts'
import { errorOf } from '../support/codes.ts'
import { concat, demux, demuxWhole } from '../support/containers.ts'
import {
  audioTrack,
  ebml,
  element,
  header,
  info,
  master,
  simpleBlock,
  timestamp,
  tracks,
  unsigned,
  videoTrack,
} from '../support/ebml-writer.ts'
import { opusPacket, vp8Frame } from '../support/frames.ts'
import { heldBytes } from '../support/memory.ts'

const open = { unknown: true } as const
const key = vp8Frame(true)
const webm = (entries: Uint8Array, ...blocks: readonly Uint8Array[]): Uint8Array =>
  concat(
    ebml(),
    master(ids.segment, [info(), entries, master(ids.cluster, [timestamp(0), ...blocks], open)], open),
  )
const picture = tracks(videoTrack(1, 'V_VP8'))
const refusal = (...parts: readonly Uint8Array[]): string => {
  const { code, message } = errorOf(() => demuxWhole(concat(...parts)))
  return `${code}: ${message}`
}

describe('a frame has a limit', () => {
  const most = vp8Frame(true, demuxLimits.frame - 4)

  it('in WebM', () => {
    assert.equal(
      demuxWhole(webm(picture, simpleBlock(1, 0, most))).frames[0]?.data.byteLength,
      most.byteLength,
    )
    assert.match(refusal(webm(picture, header(ids.simpleBlock, demuxLimits.frame + 1))), /^FRAME_TOO_LARGE/)
    assert.match(refusal(webm(picture, header(ids.blockGroup, demuxLimits.frame + 1))), /^FRAME_TOO_LARGE/)
  })

  it('in MP4', () => {
    const start = concat(ftyp(), moov([{ id: 1 }]))
    const largest = vp8Frame(true, demuxLimits.frame)
    assert.equal(demuxWhole(concat(start, fragment(1, 0, [{ data: largest }]))).frames.length, 1)
    const larger = fragment(1, 0, [{ data: vp8Frame(true, demuxLimits.frame + 1) }])
    assert.match(refusal(start, larger.subarray(0, 200)), /^FRAME_TOO_LARGE/)
  })
})

describe('a header has a limit', () => {
  it('in WebM', () => {
    for (const id of [ids.info, ids.tracks])
      assert.match(
        refusal(ebml(), master(ids.segment, [header(id, demuxLimits.header + 1)], open)),
        /^BAD_CONTAINER: .* 1048576 is the limit/,
      )
    assert.match(refusal(header(ids.ebml, 5000)), /^BAD_CONTAINER: .* 4096 is the limit/)
  })

  it('in MP4', () => {
    for (const type of ['moov', 'moof'])
      assert.match(
        refusal(ftyp(), boxHeader(type, demuxLimits.header + 9)),
        /^BAD_CONTAINER: .* 1048576 is the limit/,
      )
  })
})

describe('what is passed over has a limit', () => {
  const limit = demuxLimits.skipped

  it('in WebM', () => {
    assert.match(
      refusal(webm(picture, header(ids.void, limit + 1))),
      /^BAD_CONTAINER: .* 67108864 is the limit/,
    )
    assert.equal(demuxWhole(webm(picture, header(ids.void, limit))).frames.length, 0)
  })

  it('in MP4', () => {
    const start = concat(ftyp(), moov([{ id: 1 }]))
    assert.match(refusal(start, boxHeader('free', limit + 9)), /^BAD_CONTAINER: .* 67108864 is the limit/)
    assert.match(refusal(start, boxHeader('free', 2 ** 40)), /^BAD_CONTAINER/)
    assert.match(refusal(start, boxHeader('mdat', limit + 9)), /^BAD_CONTAINER: .* of no sample/)
  })

  it('in MP4 also where it goes on to the end', () => {
    const mebibyte = new Uint8Array(1024 * 1024)
    for (const type of ['free', 'mdat']) {
      const start = concat(ftyp(), moov([{ id: 1 }]), boxHeader(type, 0))
      const pieces = [start, ...new Array<Uint8Array>(limit / mebibyte.byteLength).fill(mebibyte)]
      assert.equal(demux(pieces).frames.length, 0)
      assert.equal(errorOf(() => demux([...pieces, Uint8Array.of(0)])).code, 'BAD_CONTAINER')
    }
  })
})

describe('a description has a limit', () => {
  const most = new Uint8Array(demuxLimits.description).fill(1)
  const more = new Uint8Array(demuxLimits.description + 1).fill(1)

  it('in WebM', () => {
    const entry = (data: Uint8Array): Uint8Array =>
      webm(tracks(videoTrack(1, 'V_AV1', element(ids.codecPrivate, data))))
    assert.equal(demuxWhole(entry(most)).frames.length, 0)
    assert.match(refusal(entry(more)), /^BAD_CONTAINER: .* too large a configuration/)
  })

  it('in MP4', () => {
    const entry = (data: Uint8Array): Uint8Array =>
      concat(ftyp(), moov([{ id: 1, entry: visualEntry('av01', box('av1C', data)) }]))
    assert.equal(demuxWhole(entry(most)).frames.length, 0)
    assert.match(refusal(entry(more)), /^BAD_CONTAINER: .* too large a configuration/)
  })
})

it('what a container cuts off its frames has a limit', () => {
  const stripping = (size: number): Uint8Array =>
    master(ids.contentEncodings, [
      master(ids.contentEncoding, [
        master(ids.contentCompression, [
          unsigned(ids.contentCompAlgo, 3),
          element(ids.contentCompSettings, vp8Frame(true, size)),
        ]),
      ]),
    ])
  const stream = (size: number): Uint8Array =>
    webm(tracks(videoTrack(1, 'V_VP8', stripping(size))), simpleBlock(1, 0, Uint8Array.of(1)))
  assert.equal(demuxWhole(stream(demuxLimits.stripped)).frames[0]?.data.byteLength, demuxLimits.stripped + 1)
  assert.match(refusal(stream(demuxLimits.stripped + 1)), /^BAD_CONTAINER: .* in common/)
})

describe('the number of tracks has a limit', () => {
  const numbers = Array.from({ length: demuxLimits.tracks + 1 }, (_, i) => i + 1)

  it('in WebM', () => {
    const entries = numbers.map(number => audioTrack(number, 'A_OPUS'))
    assert.match(refusal(webm(tracks(...entries))), /^BAD_CONTAINER: .* 16 is the limit/)
    const blocks = numbers.slice(1).map(number => simpleBlock(number, 0, opusPacket()))
    const { announcements, frames } = demuxWhole(webm(tracks(...entries.slice(1)), ...blocks))
    assert.equal(announcements[0]?.tracks.at(-1)?.name, 'audio-16')
    assert.equal(frames.at(-1)?.track, 'audio-16')
  })

  it('in MP4', () => {
    assert.match(refusal(ftyp(), moov(numbers.map(id => ({ id })))), /^BAD_CONTAINER: .* 16 is the limit/)
  })
})

describe('what waits for the first keyframe of each track has a limit', () => {
  const both = tracks(videoTrack(1, 'V_VP8'), audioTrack(2, 'A_OPUS'))

  const run = (count: number, size: number): { announced: string[][]; frames: Frame[] } => {
    const announced: string[][] = []
    const frames: Frame[] = []
    const demuxer = new AnyDemuxer({
      onTracks: tracks => announced.push(tracks.map(({ name }) => name)),
      onFrame: frame => frames.push(frame),
    })
    demuxer.push(webm(both))
    for (let i = 0; i < count; i++) demuxer.push(simpleBlock(2, i, opusPacket(size)))
    return { announced, frames }
  }

  it('in frames', () => {
    const { items } = demuxLimits.held
    assert.deepEqual(run(items, 20), { announced: [], frames: [] })
    const { announced, frames } = run(items + 1, 20)
    assert.deepEqual(announced, [['audio']])
    assert.equal(frames.length, items + 1)
  })

  it('in bytes', () => {
    const count = demuxLimits.held.bytes / 2 ** 20
    assert.equal(run(count, 2 ** 20).frames.length, 0)
    assert.equal(run(count + 1, 2 ** 20).frames.length, count + 1)
  })

  it('and a track whose keyframe comes later is told then', () => {
    const sound = Array.from({ length: demuxLimits.held.items + 1 }, (_, i) =>
      simpleBlock(2, i, opusPacket()),
    )
    const { announcements } = demuxWhole(webm(both, ...sound, simpleBlock(1, 600, key)))
    assert.deepEqual(
      announcements.map(({ before, tracks }) => [before, tracks.length]),
      [
        [0, 1],
        [sound.length, 2],
      ],
    )
  })
})

describe('memory', () => {
  const mebibyte = 1024 * 1024

  it('is not taken for a length before its bytes are there', () => {
    const starts = [
      webm(picture, header(ids.simpleBlock, demuxLimits.frame)),
      concat(ebml(), master(ids.segment, [header(ids.tracks, demuxLimits.header)], open)),
      concat(ftyp(), boxHeader('moov', demuxLimits.header)),
      concat(
        ftyp(),
        moov([{ id: 1 }], [trex(1, { size: demuxLimits.frame })]),
        box(
          'moof',
          box('traf', fullBox('tfhd', 0, 0, u32(1)), fullBox('trun', 0, 0x1, u32(0xffff_ffff, 100))),
        ),
        boxHeader('mdat', 2 ** 50),
      ),
    ]
    for (const start of starts) {
      const before = heldBytes()
      const demuxers = Array.from({ length: 16 }, () => {
        const demuxer = new AnyDemuxer({ onTracks() {}, onFrame() {} })
        demuxer.push(start.slice())
        return demuxer
      })
      assert.ok(heldBytes() - before < mebibyte)
      for (const demuxer of demuxers) demuxer.end()
    }
  })

  it('is not many times that of the bytes that wait, however small the pieces in which they came', () => {
    const block = simpleBlock(1, 0, vp8Frame(true, 2 * mebibyte))
    let frames = 0
    const demuxer = new AnyDemuxer({
      onTracks() {},
      onFrame: () => {
        frames += 1
      },
    })
    demuxer.push(webm(picture))
    const before = heldBytes()
    for (let i = 0; i < block.byteLength - 1; i++) demuxer.push(block.slice(i, i + 1))
    assert.ok(heldBytes() - before < 3 * mebibyte)
    demuxer.push(block.slice(-1))
    assert.equal(frames, 1)
  })

  it('is not taken for samples without bytes, of which a moof may name any number', () => {
    const runs = Array.from({ length: 2000 }, () => fullBox('trun', 0, 0, u32(0xffff_ffff)))
    const empty = box('moof', box('traf', fullBox('tfhd', 0, 0, u32(1)), ...runs))
    const stream = concat(ftyp(), moov([{ id: 1 }]), empty, empty, fragment(1, 0, [{ data: key }]))
    assert.equal(demuxWhole(stream).frames.length, 1)
  })
})

it('bytes that begin no container are refused once there are 8 of them', () => {
  const bytes = new TextEncoder().encode('OggS\x00\x02\x00\x00')
  assert.equal(demux([bytes.subarray(0, 7)]).frames.length, 0)
  assert.match(refusal(bytes), /^BAD_CONTAINER: .* neither WebM nor MP4 nor FLV nor MPEG-TS/)
})
