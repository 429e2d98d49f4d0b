import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import fc from 'fast-check'
import {
  cut,
  type Demuxed,
  demux,
  demuxWhole,
  fixture,
  fixtureNames,
  streamNames,
} from '../support/containers.ts'

/** One byte a push. */
const byByte = (bytes: Uint8Array): Demuxed =>
  demux(Array.from({ length: bytes.byteLength }, (_, i) => bytes.subarray(i, i + 1)))

for (const name of [...fixtureNames, ...streamNames]) {
  const bytes = fixture(name)
  describe(name, () => {
    const single = byByte(bytes)

    it('gives byte by byte what it gives as a whole', () => {
      const whole = demuxWhole(bytes)
      assert.ok(whole.frames.length > 40)
      assert.deepEqual(single.frames, whole.frames)
      assert.deepEqual(single.announcements, whole.announcements)
    })

    // In a transport stream the bytes of a frame do not lie beside each other: test/container looks at that.
    const isScattered = name.endsWith('.mpegts')
    const last = isScattered ? undefined : it
    last?.('gives each frame with its last byte, once the first keyframe has come', () => {
      const first = single.pushes[0] ?? -1
      let late = 0
      for (const [n, { data }] of single.frames.entries()) {
        const end = (single.pushes[n] ?? -1) + 1
        if (end <= first + 1) continue
        // A block group ends with what says how long its frame lasts, and whether it decodes alone.
        const behind = Buffer.from(bytes.subarray(0, end)).subarray(-data.byteLength - 24)
        const at = behind.lastIndexOf(data)
        assert.ok(at >= 0)
        if (at + data.byteLength < behind.byteLength) late += 1
      }
      assert.ok(late <= 2, `${late} frames are late`)
    })

    it('gives the same for any cuts, and each frame with the push that has its last byte', () => {
      fc.assert(
        fc.property(cutsOf(bytes.byteLength), cuts => {
          const pieces = cut(bytes, cuts)
          const result = demux(pieces)
          assert.deepEqual(result.announcements, single.announcements)
          assert.deepEqual(result.frames, single.frames)
          let end = 0
          const ends = pieces.map(({ byteLength }) => (end += byteLength))
          const expected = single.pushes.map(at => (at < 0 ? -1 : ends.findIndex(end => end > at)))
          assert.deepEqual(result.pushes, expected)
        }),
        { numRuns: 40 },
      )
    })
  })
}

/** Pieces of all sizes, now and then a row of single bytes. */
const cutsOf = (length: number): fc.Arbitrary<number[]> =>
  fc
    .array(
      fc.record({
        at: fc.nat(length - 1),
        row: fc.oneof({ weight: 4, arbitrary: fc.constant(0) }, { weight: 1, arbitrary: fc.nat(40) }),
      }),
      { maxLength: 60 },
    )
    .map(places =>
      places.flatMap(({ at, row }) => Array.from({ length: row + 1 }, (_, i) => Math.min(at + i, length))),
    )
