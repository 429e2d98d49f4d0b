import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import fc from 'fast-check'
import { FramelogError } from '../../src/errors.ts'
import {
  catalogLimits,
  checkCatalog,
  encodeCatalog,
  mainTrack,
  parseCatalog,
} from '../../src/media/catalog.ts'
import { codecOfAvcC, formatCodec, kindOfCodec, parseCodec } from '../../src/media/codec.ts'
import { testCatalog } from '../support/clients.ts'

const refusal = (value: unknown): string => {
  try {
    checkCatalog(value)
  } catch (error) {
    assert.ok(error instanceof FramelogError)
    assert.equal(error.code, 'BAD_CATALOG')
    return error.message
  }
  return 'accepted'
}

const video = { name: 'video', kind: 'video', codec: 'vp8', width: 640, height: 360 }

describe('codec strings', () => {
  const strings = [
    ['vp8', 'vp8'],
    ['opus', 'opus'],
    ['vp09.00.10.08', 'vp9'],
    ['vp09.02.51.10.01.09.16.09.01', 'vp9'],
    ['av01.0.04M.08', 'av1'],
    ['av01.0.08H.10.0.110.09.16.09.0', 'av1'],
    ['avc1.42e01f', 'h264'],
    ['avc3.64001f', 'h264'],
    ['mp4a.40.2', 'aac'],
    ['hev1.1.6.L93.B0', 'unknown'],
  ] as const

  for (const [text, family] of strings) {
    it(`reads and writes ${text}`, () => {
      const codec = parseCodec(text)
      assert.equal(codec.family, family)
      assert.equal(formatCodec(codec), text)
    })
  }

  it('tells the fields of H.264, VP9 and AV1', () => {
    assert.deepEqual(parseCodec('avc1.42E01F'), {
      family: 'h264',
      sample: 'avc1',
      profile: 0x42,
      constraints: 0xe0,
      level: 31,
    })
    assert.deepEqual(parseCodec('vp09.01.31.08'), { family: 'vp9', profile: 1, level: 31, bitDepth: 8 })
    assert.deepEqual(parseCodec('av01.0.04M.08'), {
      family: 'av1',
      profile: 0,
      level: 4,
      tier: 'M',
      bitDepth: 8,
    })
  })

  it('names the codec of an H.264 description', () => {
    assert.equal(codecOfAvcC(Uint8Array.of(1, 0x42, 0xc0, 0x1f, 0xff)), 'avc1.42c01f')
    assert.equal(codecOfAvcC(Uint8Array.of(0, 0, 0, 1)), undefined)
    assert.equal(codecOfAvcC(new Uint8Array()), undefined)
  })

  it('never throws, and keeps what it does not know', () => {
    fc.assert(fc.property(fc.string(), text => assert.equal(typeof formatCodec(parseCodec(text)), 'string')))
    assert.equal(kindOfCodec('vp8'), 'video')
    assert.equal(kindOfCodec('opus'), 'audio')
    assert.equal(kindOfCodec('theora'), 'unknown')
  })
})

describe('the catalog', () => {
  it('comes back as it was written', () => {
    assert.deepEqual(parseCatalog(encodeCatalog(testCatalog)), testCatalog)
  })

  it('keeps fields and kinds of tracks that it does not know', () => {
    const later = {
      version: 1,
      title: 'Yard',
      tracks: [
        { ...video, rotation: 90 },
        { name: 'depth', kind: 'depth', unit: 'mm' },
      ],
    }
    assert.deepEqual(checkCatalog(later), later)
  })

  it('names as main track the first of video, else the first of sound', () => {
    assert.equal(mainTrack(testCatalog)?.name, 'video')
    assert.equal(
      mainTrack({ version: 1, tracks: testCatalog.tracks.filter(({ kind }) => kind === 'audio') })?.name,
      'audio',
    )
    assert.equal(
      mainTrack(checkCatalog({ version: 1, tracks: [{ name: 'boxes', kind: 'data' }] })),
      undefined,
    )
  })

  it('says what is wrong', () => {
    assert.match(refusal({ version: 2, tracks: [video] }), /version/)
    assert.match(refusal({ version: 1, tracks: [] }), /tracks/)
    assert.match(refusal({ version: 1, tracks: [video, video] }), /two tracks share a name/)
    assert.match(refusal({ version: 1, tracks: [{ ...video, width: 0 }] }), /width/)
    assert.match(refusal({ version: 1, tracks: [{ ...video, name: 'Video' }] }), /name/)
    assert.match(refusal({ version: 1, tracks: [{ name: 'video', kind: 'video' }] }), /codec|tracks/)
    assert.match(refusal('text'), /Object/)
  })

  it('is refused past its limits', () => {
    const tracks = Array.from({ length: catalogLimits.tracks + 1 }, (_, i) => ({
      ...video,
      name: `video-${i}`,
    }))
    assert.match(refusal({ version: 1, tracks }), /tracks/)
    assert.throws(() => parseCatalog(new Uint8Array(catalogLimits.bytes + 1)), { code: 'BAD_CATALOG' })
    assert.throws(() => parseCatalog(Uint8Array.of(123)), { code: 'BAD_CATALOG' })
  })

  it('never fails without a code', () => {
    fc.assert(
      fc.property(fc.jsonValue(), value => assert.ok(refusal(value))),
      { numRuns: 500 },
    )
  })
})
