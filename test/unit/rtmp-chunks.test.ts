import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import fc from 'fast-check'
import { FramelogError } from '../../src/errors.ts'
import {
  ChunkReader,
  chunkLimits,
  encodeMessage,
  messageTypes,
  type RtmpMessage,
} from '../../src/gateway/rtmp/chunk-stream.ts'

const { audio, video } = messageTypes

const bytes = (length: number, value: number): Uint8Array => new Uint8Array(length).fill(value)

/** Heads of type 0 to 3. */
const full = (id: number, time: number, length: number, type: number): number[] => [
  ...[id, time >> 16, time >> 8, time, length >> 16, length >> 8, length, type, 1, 0, 0, 0].map(b => b & 255),
]
const sameStream = (id: number, delta: number, length: number, type: number): number[] => [
  ...[0x40 | id, delta >> 16, delta >> 8, delta, length >> 16, length >> 8, length, type].map(b => b & 255),
]
const sameLength = (id: number, delta: number): number[] => [0x80 | id, 0, 0, delta]
const goesOn = (id: number): number[] => [0xc0 | id]

const read = (...pieces: readonly Uint8Array[]): RtmpMessage[] => {
  const reader = new ChunkReader()
  reader.allowFrames()
  return pieces.flatMap(piece => reader.push(piece.slice()))
}

const told = (messages: readonly RtmpMessage[]): [number, number, number][] =>
  messages.map(({ type, time, data }) => [type, time, data.byteLength])

const refusal = (...pieces: readonly Uint8Array[]): string => {
  try {
    read(...pieces)
  } catch (error) {
    if (error instanceof FramelogError) return error.code
    throw error
  }
  return 'nothing'
}

describe('chunks of RTMP', () => {
  it('say no more than has changed', () => {
    const stream = Uint8Array.from([
      ...[...full(4, 1000, 3, video), 1, 2, 3],
      ...[...sameStream(4, 33, 2, video), 4, 5],
      ...[...sameLength(4, 34), 6, 7],
      ...[...goesOn(4), 8, 9],
    ])
    const messages = read(stream)
    assert.deepEqual(told(messages), [
      [video, 1000, 3],
      [video, 1033, 2],
      [video, 1067, 2],
      [video, 1101, 2],
    ])
    assert.deepEqual(
      messages.map(({ data }) => [...data]),
      [
        [1, 2, 3],
        [4, 5],
        [6, 7],
        [8, 9],
      ],
    )
  })

  it('of two messages may come in turn, and are 128 bytes until told otherwise', () => {
    const stream = Uint8Array.from([
      ...[...full(4, 0, 200, video), ...bytes(128, 1)],
      ...[...full(5, 0, 150, audio), ...bytes(128, 2)],
      ...[...goesOn(4), ...bytes(72, 1)],
      ...[...goesOn(5), ...bytes(22, 2)],
      ...encodeMessage(2, messageTypes.setChunkSize, 0, Uint8Array.of(0, 0, 1, 0)),
      ...[...full(4, 40, 256, video), ...bytes(256, 3)],
    ])
    assert.deepEqual(told(read(stream)), [
      [video, 0, 200],
      [audio, 0, 150],
      [video, 40, 256],
    ])
  })

  it('have times past 24 bits behind their heads, in every chunk', () => {
    const time = [0x01, 0x00, 0x00, 0x00]
    const stream = Uint8Array.from([
      ...[...full(4, 0xff_ffff, 130, video), ...time, ...bytes(128, 1)],
      ...[...goesOn(4), ...time, ...bytes(2, 1)],
    ])
    assert.deepEqual(told(read(stream)), [[video, 0x100_0000, 130]])
  })

  it('have ids of up to three bytes', () => {
    const head = full(0, 7, 1, audio).slice(1)
    assert.deepEqual(told(read(Uint8Array.from([0, 10, ...head, 1, 1, 10, 2, ...head, 1]))), [
      [audio, 7, 1],
      [audio, 7, 1],
    ])
  })

  it('are dropped where their message is given up', () => {
    const abort = encodeMessage(2, messageTypes.abort, 0, Uint8Array.of(0, 0, 0, 4))
    const begun = Uint8Array.from([...full(4, 0, 200, video), ...bytes(128, 1)])
    const next = Uint8Array.from([...full(4, 5, 2, video), 8, 9])
    assert.deepEqual(told(read(begun, abort, next)), [[video, 5, 2]])
    assert.deepEqual(told(read(begun, next)), [[video, 5, 2]])
  })

  it('are refused where they lie, and past their limits', () => {
    assert.equal(refusal(Uint8Array.from(goesOn(4))), 'BAD_CONTAINER')
    assert.equal(refusal(Uint8Array.from(full(4, 0, 0xff_ffff, video))), 'FRAME_TOO_LARGE')
    const command = Uint8Array.from(full(3, 0, chunkLimits.command + 1, messageTypes.command))
    assert.equal(refusal(command), 'nothing')
    assert.throws(() => new ChunkReader().push(command.slice()), { code: 'FRAME_TOO_LARGE' })
    const tiny = encodeMessage(
      2,
      messageTypes.setChunkSize,
      0,
      Uint8Array.of(0, 0, 0, chunkLimits.chunk.least - 1),
    )
    assert.equal(refusal(tiny), 'BAD_CONTAINER')
    const noSize = encodeMessage(2, messageTypes.setChunkSize, 0, Uint8Array.of(0, 0, 0, 0))
    assert.equal(refusal(noSize), 'BAD_CONTAINER')
    const many = Array.from({ length: chunkLimits.streams + 1 }, (_, i) => [
      0,
      i,
      ...full(0, 0, 1, audio).slice(1),
      1,
    ])
    assert.equal(refusal(Uint8Array.from(many.slice(0, -1).flat())), 'nothing')
    assert.equal(refusal(Uint8Array.from(many.flat())), 'BAD_CONTAINER')
    const chunk = 8 * 1024 * 1024 - 1
    const size = encodeMessage(2, messageTypes.setChunkSize, 0, Uint8Array.of(0, 0x7f, 0xff, 0xff))
    const unfinished = (id: number): Uint8Array =>
      Buffer.concat([Uint8Array.from(full(id, 0, chunk + 1, video)), bytes(chunk, id)])
    assert.equal(refusal(size, unfinished(4), unfinished(5)), 'nothing')
    assert.equal(refusal(size, unfinished(4), unfinished(5), unfinished(6)), 'BAD_CONTAINER')
  })

  it('are the same however they are cut', () => {
    const stream = Uint8Array.from([
      ...[...full(4, 1000, 300, video), ...bytes(128, 1), ...goesOn(4), ...bytes(128, 1)],
      ...[...full(5, 0xff_ffff, 3, audio), 2, 0, 0, 0, 7, 7, 7],
      ...[...goesOn(4), ...bytes(44, 1), ...sameLength(4, 40), ...bytes(128, 2)],
      ...[...goesOn(4), ...bytes(128, 2), ...goesOn(4), ...bytes(44, 2)],
    ])
    const whole = read(stream)
    assert.equal(whole.length, 3)
    fc.assert(
      fc.property(fc.array(fc.nat(stream.length), { maxLength: 30 }), cuts => {
        const places = [0, ...cuts.sort((a, b) => a - b), stream.length]
        assert.deepEqual(read(...places.slice(1).map((end, i) => stream.subarray(places[i], end))), whole)
      }),
      { numRuns: 200 },
    )
  })

  it('never do more than refuse, whatever comes', () => {
    fc.assert(
      fc.property(fc.array(fc.uint8Array({ maxLength: 300 }), { maxLength: 8 }), pieces => {
        assert.match(refusal(...pieces), /^(nothing|BAD_CONTAINER|FRAME_TOO_LARGE)$/)
      }),
      { numRuns: 500 },
    )
  })
})
