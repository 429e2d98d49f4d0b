import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { packetBytes } from '../../src/container/mpegts/demuxer.ts'
import { FramelogError } from '../../src/errors.ts'
import type { Frame } from '../../src/media/frame.ts'
import { isAnnexBKeyframe, parameterSetsOf } from '../../src/media/h264.ts'
import { concat, demuxWhole, fixture } from '../support/containers.ts'

const whole = fixture('ffmpeg-h264-opus-b-frames.mpegts')
const packets = Array.from({ length: whole.byteLength / packetBytes }, (_, i) =>
  whole.subarray(i * packetBytes, (i + 1) * packetBytes),
)
const all = demuxWhole(whole).frames
const pidOf = (packet: Uint8Array): number => (((packet[1] ?? 0) & 0x1f) << 8) | (packet[2] ?? 0)
const videoPid = 0x100

const key = ({ track, timestamp }: Frame): string => `${track} ${timestamp}`

/** Numbers of the frames of pictures that came out, of those of the whole. */
const pictures = (bytes: Uint8Array): number[] => {
  const known = all.filter(({ track }) => track === 'video').map(key)
  return demuxWhole(bytes)
    .frames.filter(({ track }) => track === 'video')
    .map(frame => known.indexOf(key(frame)))
}

const refusal = (bytes: Uint8Array): string => {
  try {
    demuxWhole(bytes)
  } catch (error) {
    if (error instanceof FramelogError) return `${error.code}: ${error.message}`
    throw error
  }
  return 'nothing'
}

describe('a transport stream', () => {
  const keyframes = all
    .filter(({ track }) => track === 'video')
    .flatMap(({ keyframe }, i) => (keyframe ? [i] : []))
  const count = all.filter(({ track }) => track === 'video').length

  it('has more than one GOP here', () => {
    assert.deepEqual(keyframes, [0, 20, 40])
    assert.equal(count, 50)
  })

  it('that has lost packets goes on at the next keyframe, and its sound at once', () => {
    const begins = packets.flatMap((packet, i) =>
      pidOf(packet) === videoPid && ((packet[1] ?? 0) & 0x40) !== 0 ? [i] : [],
    )
    const inFifth = (begins[5] ?? 0) + 1
    assert.equal(pidOf(packets[inFifth] ?? new Uint8Array()), videoPid)
    const lost = concat(...packets.filter((_, i) => i !== inFifth))
    const expected = Array.from({ length: count }, (_, i) => i).filter(i => i < 5 || i >= 20)
    assert.deepEqual(pictures(lost), expected)
    const sound = (bytes: Uint8Array): number =>
      demuxWhole(bytes).frames.filter(({ track }) => track === 'audio').length
    assert.equal(sound(lost), sound(whole))
  })

  it('finds back into itself behind bytes that are none of it', () => {
    const at = packets.findIndex((packet, i) => i > packets.length / 2 && pidOf(packet) === videoPid)
    const garbage = new Uint8Array(1000).fill(0x47, 200, 300)
    const damaged = concat(...packets.slice(0, at), garbage, ...packets.slice(at))
    assert.deepEqual(pictures(damaged), pictures(whole))
    const cut = concat(...packets.slice(0, at), whole.subarray(at * packetBytes + 77))
    assert.ok(pictures(cut).length < count && pictures(cut).length >= count - 20)
  })

  it('may have its packets twice', () => {
    assert.deepEqual(demuxWhole(concat(...packets.flatMap(packet => [packet, packet]))).frames, all)
  })

  it('may begin in the middle: with what its tables come before', () => {
    const at = packets.findIndex((packet, i) => i > 40 && pidOf(packet) === 0)
    assert.ok(at > 0)
    const late = pictures(concat(...packets.slice(at)))
    assert.deepEqual(
      late,
      Array.from({ length: late.length }, (_, i) => (late[0] ?? 0) + i),
    )
    assert.ok(keyframes.includes(late[0] ?? -1))
  })

  it('of which a packet says that it is damaged has lost that', () => {
    const at = packets.findIndex((packet, i) => i > 60 && pidOf(packet) === videoPid)
    const flagged = packets.map((packet, i) => {
      const copy = packet.slice()
      if (i === at) copy[1] = (copy[1] ?? 0) | 0x80
      return copy
    })
    assert.ok(pictures(concat(...flagged)).length < count)
  })

  it('is refused where it is scrambled, is none, or names nothing that is carried', () => {
    const scrambled = packets.map(packet => {
      const copy = packet.slice()
      if (pidOf(packet) === videoPid) copy[3] = (copy[3] ?? 0) | 0x80
      return copy
    })
    assert.match(refusal(concat(...scrambled)), /^UNSUPPORTED_CODEC: .* scrambled/)
    assert.match(
      refusal(concat(packets[0] ?? new Uint8Array(), new Uint8Array(70_000))),
      /^BAD_CONTAINER: Over 65536/,
    )
    const other = whole.slice()
    // A table whose checksum is wrong counts for nothing.
    const table = packets.findIndex(
      packet => pidOf(packet) !== 0 && pidOf(packet) !== 0x11 && pidOf(packet) > 0xfff,
    )
    assert.ok(table >= 0)
    for (let i = 0; i < packets.length; i++)
      if (pidOf(packets[i] ?? other) === pidOf(packets[table] ?? other)) other[i * packetBytes + 30] = 0x55
    assert.equal(demuxWhole(other).frames.length, 0)
  })
})

describe('keyframes of Annex B', () => {
  const unit = (type: number, ...bytes: readonly number[]): Uint8Array =>
    Uint8Array.of(0, 0, 0, 1, type, ...bytes)
  const sps = unit(0x67, 0x42, 0xc0, 0x1e, 0xd9)
  const pps = unit(0x68, 0xce, 0x3c, 0x80)
  const slice = unit(0x41, 0x9a)

  it('are where decoding may begin: behind any message that says so', () => {
    assert.ok(isAnnexBKeyframe(unit(0x65, 0x88)))
    assert.ok(!isAnnexBKeyframe(concat(sps, pps, slice)))
    assert.ok(isAnnexBKeyframe(concat(sps, pps, unit(6, 6, 1, 0x84, 0x80), slice)))
    assert.ok(isAnnexBKeyframe(concat(sps, pps, unit(6, 0, 2, 9, 9, 6, 1, 0x84, 0x80), slice)))
    assert.ok(!isAnnexBKeyframe(concat(sps, pps, unit(6, 5, 3, 6, 6, 6, 0x80), slice)))
    assert.ok(!isAnnexBKeyframe(concat(unit(6, 6, 1, 0x84, 0x80), slice)))
  })

  it('give the sets that others come without', () => {
    assert.deepEqual(parameterSetsOf(concat(sps, pps, slice)), concat(sps, pps))
    assert.equal(parameterSetsOf(concat(sps, slice)), undefined)
  })
})
