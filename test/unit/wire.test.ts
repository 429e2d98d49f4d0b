import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import fc from 'fast-check'
import { FramelogError } from '../../src/errors.ts'
import { hopNames } from '../../src/media/hops.ts'
import { timedDataLimits } from '../../src/media/timed-data.ts'
import { micros, millis, type Offset, trackName } from '../../src/units.ts'
import {
  type DataMessage,
  decodeMessage,
  encodeBundles,
  encodeMessage,
  type FrameMessage,
  type KnownMessage,
  messageLimits,
} from '../../src/wire/message.ts'
import { testCatalog } from '../support/clients.ts'
import { anyHops } from '../support/hops.ts'

const code = (run: () => unknown): string => {
  try {
    run()
  } catch (error) {
    if (error instanceof FramelogError) return error.code
    throw error
  }
  return 'none'
}

const withJson = (type: number, json: unknown): Uint8Array =>
  Buffer.concat([Buffer.from([type]), Buffer.from(typeof json === 'string' ? json : JSON.stringify(json))])

const integer = fc.maxSafeInteger()
const frames: fc.Arbitrary<FrameMessage> = fc.record(
  {
    type: fc.constant('frame' as const),
    frame: fc.record(
      {
        track: fc.constantFrom('video', 'audio', 'a', `b${'c'.repeat(31)}`).map(trackName),
        sequence: fc.nat(Number.MAX_SAFE_INTEGER),
        timestamp: integer.map(micros),
        duration: fc.nat(Number.MAX_SAFE_INTEGER).map(micros),
        decodeTimestamp: integer.map(micros),
        capturedAt: integer.map(millis),
        hops: anyHops(...hopNames),
        keyframe: fc.boolean(),
        data: fc.uint8Array({ minLength: 1, maxLength: 200 }),
      },
      { requiredKeys: ['track', 'sequence', 'timestamp', 'keyframe', 'data'], noNullPrototype: true },
    ),
    relayed: fc.record(
      { offset: fc.nat(Number.MAX_SAFE_INTEGER).map(n => n as Offset), time: fc.nat().map(millis) },
      { noNullPrototype: true },
    ),
  },
  { requiredKeys: ['type', 'frame'], noNullPrototype: true },
)

const data: fc.Arbitrary<DataMessage> = fc.record(
  {
    type: fc.constant('data' as const),
    record: fc.record(
      {
        track: fc.constantFrom('meta-score', 'meta-a', `meta-${'c'.repeat(27)}`).map(trackName),
        moment: fc.record(
          { session: fc.constantFrom('abcd1234', '00000000'), timestamp: integer.map(micros) },
          { noNullPrototype: true },
        ),
        duration: fc.nat(Number.MAX_SAFE_INTEGER).map(micros),
        data: fc.uint8Array({ minLength: 1, maxLength: 200 }),
      },
      { requiredKeys: ['track', 'data'], noNullPrototype: true },
    ),
    relayed: fc.record(
      { offset: fc.nat(Number.MAX_SAFE_INTEGER).map(n => n as Offset), time: fc.nat().map(millis) },
      { noNullPrototype: true },
    ),
  },
  { requiredKeys: ['type', 'record'], noNullPrototype: true },
)

const dataOf = (bytes: number): DataMessage => ({
  type: 'data',
  record: {
    track: trackName('meta-score'),
    moment: { session: 'abcd1234', timestamp: micros(2) },
    duration: micros(3),
    data: new Uint8Array(bytes),
  },
})

describe('wire messages', () => {
  it('come back as they were sent', () => {
    const messages: KnownMessage[] = [
      { type: 'hello', role: 'publish', version: 1, resume: 'x'.repeat(32), session: 'abcd1234' },
      { type: 'hello', role: 'watch', version: 1, from: '-30s', token: 't' },
      {
        type: 'welcome',
        role: 'publish',
        version: 1,
        time: 5,
        gateway: 'g',
        session: 'abcd1234',
        next: 7,
        maxFrameBytes: 9,
      },
      { type: 'welcome', role: 'watch', version: 1, time: 5, gateway: 'g', state: 'live' },
      { type: 'hello', role: 'data', version: 1, token: 't' },
      { type: 'welcome', role: 'data', version: 1, time: 5, gateway: 'g', maxDataBytes: 65_536 },
      { type: 'catalog', session: 'abcd1234', catalog: testCatalog },
      { type: 'catalog', catalog: testCatalog },
      { type: 'ack', sequence: 12 },
      { type: 'state', state: 'interrupted', reason: 'why' },
      { type: 'gap', frames: 3, reason: 'slow' },
      { type: 'gap', frames: 3, reason: 'the log stalled', from: 4, to: 6 },
      { type: 'stall', stalled: true },
      { type: 'position', session: 'abcd1234', timestamp: -5 },
      { type: 'ping', sent: 1.5 },
      { type: 'pong', sent: 1.5, time: 6 },
      { type: 'end', reason: 'stopped' },
      { type: 'error', code: 'BAD_MESSAGE', message: 'm', advice: 'a', retryable: false },
    ]
    for (const message of messages) assert.deepEqual(decodeMessage(encodeMessage(message)), message)
  })

  it('number seeks from 1: 0 is what hello asked for', () => {
    assert.equal(
      code(() => decodeMessage(withJson(17, { seek: 1, from: 'live' }))),
      'none',
    )
    for (const seek of [0, -1, 1.5, '1', undefined])
      assert.equal(
        code(() => decodeMessage(withJson(17, { seek, from: 'live' }))),
        'BAD_MESSAGE',
      )
  })

  it('read the hops that they know, and pass over those that a later version adds', () => {
    const frame = {
      track: trackName('v'),
      sequence: 0,
      timestamp: micros(0),
      keyframe: true,
      data: Uint8Array.of(7),
      hops: { encoded: micros(5), relayed: micros(-2) },
    }
    const bytes = encodeMessage({ type: 'frame', frame })
    // Behind the type, the flags, the name, the number and the time stand which hops there are, and then they.
    const at = 4 + 16
    assert.equal(bytes[at], 0b100001)
    const more = [0, 0, 0, 1, 0, 0, 0, 2]
    const later = [...bytes.subarray(0, at), 0b11100001, ...bytes.subarray(at + 1, at + 9), ...more, 7]
    const message = decodeMessage(Uint8Array.from(later))
    assert.deepEqual(message, { type: 'frame', frame })
    assert.equal(
      code(() => decodeMessage(bytes.subarray(0, at + 4))),
      'BAD_MESSAGE',
    )
  })

  it('carry any frame byte for byte', () => {
    fc.assert(
      fc.property(frames, message => assert.deepEqual(decodeMessage(encodeMessage(message)), message)),
    )
  })

  it('carry any timed data byte for byte', () => {
    fc.assert(fc.property(data, message => assert.deepEqual(decodeMessage(encodeMessage(message)), message)))
  })

  it('are refused where timed data is not as described', () => {
    const refusal = (change: (bytes: Buffer) => Uint8Array): string =>
      code(() => decodeMessage(change(Buffer.from(encodeMessage(dataOf(9))))))
    assert.equal(
      refusal(bytes => bytes),
      'none',
    )
    const changed = (at: number, value: number) => (bytes: Buffer) => bytes.fill(value, at, at + 1)
    assert.equal(refusal(changed(3, 0x6e)), 'BAD_TRACK_NAME', 'a track of frames')
    assert.equal(refusal(changed(2, 5)), 'BAD_TRACK_NAME', 'no name behind meta-')
    assert.equal(refusal(changed(13, 0x41)), 'BAD_MESSAGE', 'a session with a capital')
    assert.equal(refusal(changed(29, 0xff)), 'BAD_MESSAGE', 'a duration that is no safe integer')
    assert.equal(
      refusal(bytes => bytes.fill(0xff, 29, 37)),
      'BAD_MESSAGE',
      'a negative duration',
    )
    for (let length = 1; length <= 37; length++)
      assert.equal(
        refusal(bytes => bytes.subarray(0, length)),
        'BAD_MESSAGE',
        `${length} bytes`,
      )
    const { bytes } = timedDataLimits
    assert.equal(
      code(() => decodeMessage(encodeMessage(dataOf(bytes)))),
      'none',
    )
    assert.equal(
      code(() => decodeMessage(encodeMessage(dataOf(bytes + 1)))),
      'MESSAGE_TOO_LARGE',
    )
  })

  it('come back in order from bundles, none past its limit', () => {
    const bytes = fc.array(frames.map(encodeMessage), { maxLength: 30 })
    fc.assert(
      fc.property(bytes, messages => {
        const parts = encodeBundles(messages).flatMap(bundle => {
          const message = decodeMessage(bundle)
          return message.type === 'bundle' ? message.parts : [bundle]
        })
        assert.deepEqual(
          parts.map(part => Uint8Array.from(part)),
          messages,
        )
      }),
    )
    const large = Array.from({ length: 5 }, () => new Uint8Array(400_000).fill(9))
    assert.deepEqual(
      encodeBundles(large).map(({ byteLength }) => byteLength),
      [800_009, 800_009, 400_000],
    )
    assert.equal(
      code(() => decodeMessage(new Uint8Array([13, 0, 0, 0, 2, 5]))),
      'BAD_MESSAGE',
    )
    assert.equal(
      code(() => decodeMessage(new Uint8Array([13, 0, 0, 0, 1, 13]))),
      'BAD_MESSAGE',
    )
  })

  it('keep what a newer version adds: unknown types and unknown fields', () => {
    const unknown = decodeMessage(new Uint8Array([200, 1, 2]))
    assert.deepEqual(unknown, { type: 'unknown', code: 200, bytes: new Uint8Array([1, 2]) })
    const ack = decodeMessage(withJson(5, { sequence: 1, later: true }))
    assert.equal(ack.type === 'ack' && ack.sequence, 1)
  })

  it('are refused with a code where they are not as described', () => {
    assert.equal(
      code(() => decodeMessage(new Uint8Array())),
      'BAD_MESSAGE',
    )
    assert.equal(
      code(() => decodeMessage(withJson(1, '{'))),
      'BAD_MESSAGE',
    )
    assert.equal(
      code(() => decodeMessage(new Uint8Array([1, 0xff, 0xfe]))),
      'BAD_MESSAGE',
    )
    assert.equal(
      code(() => decodeMessage(withJson(1, { role: 'publish', version: 1 }))),
      'BAD_MESSAGE',
    )
    assert.equal(
      code(() => decodeMessage(withJson(5, { sequence: -1 }))),
      'BAD_MESSAGE',
    )
    assert.equal(
      code(() => decodeMessage(withJson(3, { catalog: { version: 1, tracks: [] } }))),
      'BAD_CATALOG',
    )
    assert.equal(
      code(() => decodeMessage(new Uint8Array([4, 0, 5, 118]))),
      'BAD_MESSAGE',
    )
    assert.equal(
      code(() => decodeMessage(new Uint8Array([4, 0, 1, 33, ...new Array(17).fill(0)]))),
      'BAD_TRACK_NAME',
    )
  })

  it('are refused past their limits', () => {
    assert.equal(
      code(() => decodeMessage(withJson(1, ' '.repeat(messageLimits.control)))),
      'MESSAGE_TOO_LARGE',
    )
    const large = new Uint8Array(messageLimits.frame + 1)
    large[0] = 4
    assert.equal(
      code(() => decodeMessage(large)),
      'FRAME_TOO_LARGE',
    )
  })

  it('never fail without a code, whatever the bytes', () => {
    const frame = encodeMessage({
      type: 'frame',
      frame: {
        track: trackName('video'),
        sequence: 1,
        timestamp: micros(2),
        keyframe: true,
        data: new Uint8Array(9),
      },
    })
    const near = fc
      .tuple(fc.constantFrom(frame, encodeMessage(dataOf(9))), fc.nat(60), fc.nat(255), fc.nat(60))
      .map(([message, at, value, length]) => {
        const copy = Uint8Array.from(message)
        copy[at % copy.length] = value
        return copy.subarray(0, length)
      })
    const bytes = fc.oneof(
      near,
      fc.uint8Array({ maxLength: 64 }),
      fc.tuple(fc.nat(20), fc.json()).map(([type, json]) => withJson(type, json)),
    )
    fc.assert(
      fc.property(bytes, any => assert.ok(code(() => decodeMessage(any)) !== undefined)),
      { numRuns: 3000 },
    )
  })
})
