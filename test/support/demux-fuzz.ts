/** Damaged containers in random pieces: what may come out, and what may not. */
import assert from 'node:assert/strict'
import fc from 'fast-check'
import { type DemuxHandler, demuxLimits } from '../../src/container/demuxer.ts'
import { allFormats } from '../../src/container/formats.ts'
import { types } from '../../src/container/mp4/boxes.ts'
import { AnyDemuxer } from '../../src/container/recognise.ts'
import { ids } from '../../src/container/webm/ebml.ts'
import { FramelogError } from '../../src/errors.ts'
import { checkCatalog } from '../../src/media/catalog.ts'
import type { Frame } from '../../src/media/frame.ts'
import { box, ftyp, fullBox, moov, trex, u32 } from './box-writer.ts'
import { concat, cut, fixture, fixtureNames, streamNames } from './containers.ts'
import { damagedAtMarks, part } from './damage.ts'
import {
  audioTrack,
  blockGroup,
  ebml,
  element,
  idOf,
  info,
  lacings,
  master,
  simpleBlock,
  timestamp,
  tracks,
  unsigned,
  videoTrack,
} from './ebml-writer.ts'
import { opusPacket, vp8Frame } from './frames.ts'

const allowed: ReadonlySet<string> = new Set(['BAD_CONTAINER', 'UNSUPPORTED_CODEC', 'FRAME_TOO_LARGE'])

const boxMarks = Object.values(types).map(type => u32(type))
/** Ids of one byte stand everywhere. */
const elementMarks = Object.values(ids)
  .filter(id => id > 255)
  .map(idOf)

/** Tags of pictures and sound, with the first byte of their sizes; packets that begin a table or a PES packet. */
const tagMarks = [Uint8Array.of(9, 0), Uint8Array.of(8, 0), Uint8Array.of(0x17, 1)]
const packetMarks = [Uint8Array.of(0x47, 0x40), Uint8Array.of(0x47, 0x41), Uint8Array.of(0, 0, 1)]

/** What no recorded container has: lacing, groups, a common front, defaults of the movie. */
function laced(): Uint8Array {
  const stripping = [unsigned(ids.contentCompAlgo, 3), element(ids.contentCompSettings, Uint8Array.of(0xfc))]
  const encodings = master(ids.contentEncodings, [
    master(ids.contentEncoding, [master(ids.contentCompression, stripping)]),
  ])
  const packets = [300, 20, 255, 510].map(size => opusPacket(size))
  const blocks = Object.values(lacings).map(({ flags, lace }, i) =>
    simpleBlock(2, i * 80, lace(flags === 0x84 ? packets.map(() => opusPacket()) : packets), flags),
  )
  const entries = tracks(videoTrack(1, 'V_VP8'), audioTrack(2, 'A_OPUS', encodings))
  const group = blockGroup(1, 0, vp8Frame(true), unsigned(ids.blockDuration, 33))
  const delta = blockGroup(1, 33, vp8Frame(false), unsigned(ids.referenceBlock, 33))
  return concat(
    ebml(),
    master(ids.segment, [info(), entries, master(ids.cluster, [timestamp(0), group, ...blocks, delta])]),
  )
}

function defaulted(): Uint8Array {
  const start = moov(
    [{ id: 1 }, { id: 2, handler: 'soun' }],
    [trex(1), trex(2, { duration: 1800, size: 20 })],
  )
  const build = (offset: number): Uint8Array =>
    box(
      'moof',
      box(
        'traf',
        fullBox('tfhd', 0, 0, u32(1)),
        fullBox('trun', 1, 0xf05, u32(2, offset, 0, 3000, 40, 0x1_0000, 3000, 3000, 40, 0x1_0000, -3000)),
      ),
      box('traf', fullBox('tfhd', 0, 0, u32(2)), fullBox('trun', 0, 0, u32(30))),
    )
  const media = [vp8Frame(true), vp8Frame(false), ...Array.from({ length: 30 }, (_, i) => opusPacket(20, i))]
  return concat(ftyp(), start, build(build(0).byteLength + 8), box('mdat', ...media))
}

const inputs = [
  ...fixtureNames.map(name => damagedAtMarks(fixture(name), name.endsWith('.mp4') ? boxMarks : elementMarks)),
  ...streamNames.map(name => damagedAtMarks(fixture(name), name.endsWith('.flv') ? tagMarks : packetMarks)),
  damagedAtMarks(laced(), elementMarks),
  damagedAtMarks(defaulted(), boxMarks),
]

interface Outcome {
  readonly frames: Frame[]
  readonly announcements: number
  readonly error: string | undefined
}

/** @param runs how many damaged containers */
export function fuzz(runs: number): void {
  const input = fc.oneof(...inputs, fc.uint8Array({ maxLength: 200 }))
  const cuts = fc.array(part, { maxLength: 40 })
  fc.assert(
    fc.property(input, cuts, (bytes, cuts) => {
      const whole = outcomeOf([bytes])
      const places = cuts.map(cut => Math.floor(cut * bytes.byteLength))
      assert.deepEqual(outcomeOf(cut(bytes, places)), whole)
      const carried = whole.frames.reduce((sum, { data }) => sum + data.byteLength, 0)
      assert.ok(carried <= bytes.byteLength + whole.frames.length * demuxLimits.stripped)
    }),
    { numRuns: runs },
  )
}

function outcomeOf(pieces: readonly Uint8Array[]): Outcome {
  const frames: Frame[] = []
  let announcements = 0
  let names: ReadonlySet<string> = new Set()
  const handler: DemuxHandler = {
    onTracks: tracks => {
      checkCatalog({ version: 1, tracks })
      names = new Set(tracks.map(({ name }) => name))
      announcements += 1
    },
    onFrame: frame => {
      assert.ok(names.has(frame.track))
      assert.ok(frame.data.byteLength > 0 && frame.data.byteLength <= demuxLimits.frame)
      assert.ok(Number.isSafeInteger(frame.timestamp))
      assert.ok(Number.isSafeInteger(frame.decodeTimestamp ?? 0))
      assert.ok(frame.duration === undefined || (Number.isSafeInteger(frame.duration) && frame.duration > 0))
      frames.push(frame)
    },
  }
  const demuxer = new AnyDemuxer(handler, allFormats)
  let error: string | undefined
  try {
    for (const piece of pieces) demuxer.push(piece.slice())
    demuxer.end()
  } catch (thrown) {
    if (!(thrown instanceof FramelogError) || !allowed.has(thrown.code)) throw thrown
    error = thrown.message
  }
  return { frames, announcements, error }
}
