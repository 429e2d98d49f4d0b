import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { type ErrorCode, FramelogError } from '../../src/errors.ts'
import type { NewRecord } from '../../src/log/log.ts'
import { decodeRecord, type Entry } from '../../src/log/record.ts'
import type { NumberedFrame } from '../../src/media/frame.ts'
import { type Dropped, HeldBudget, heldLimits } from '../../src/relay/held-frames.ts'
import { Publication, publicationLimits } from '../../src/relay/publication.ts'
import { type Offset, trackName } from '../../src/units.ts'
import { testCatalog, testFrame } from '../support/clients.ts'
import { FakeClock } from '../support/fake-clock.ts'

/** A publication on a log that takes everything, and reads back what the test tells it to. */
function setup(budget = new HeldBudget(), held = heldLimits) {
  const clock = new FakeClock()
  /** Offset of the first record after the claim. */
  const first = 7
  const records: NewRecord[] = []
  const acknowledged: number[] = []
  const stalls: boolean[] = []
  const dropped: Dropped[] = []
  const tooLarge: boolean[] = []
  let error: FramelogError | undefined
  let failure: FramelogError | undefined
  const host = {
    append: async (more: readonly NewRecord[]) => {
      const at = first + records.length
      if (failure) throw failure
      records.push(...more)
      return at as Offset
    },
    end: first as Offset,
    timestamp: () => clock.now(),
    measured: () => {},
  }
  const sink = {
    acknowledge: (sequence: number) => void acknowledged.push(sequence),
    stalled: (isStalled: boolean) => void stalls.push(isStalled),
    dropped: (numbers: Dropped, _: string, isTooLarge: boolean) => {
      dropped.push(numbers)
      tooLarge.push(isTooLarge)
    },
    close: (reason: FramelogError) => {
      error = reason
    },
  }
  const options = { host, sink, clock, resumeHash: 'hash', nonce: 'nonce', budget, held }
  const publication = new Publication(options)
  publication.begin({ epoch: 5 as Offset, session: 'abcd1234', next: 0, gop: undefined })
  publication.catalog(testCatalog)
  const entries = (): Entry[] =>
    records.map((record, i) => decodeRecord({ ...record, offset: (first + i) as Offset }))
  const numbers = (): number[] => entries().flatMap(entry => (entry.kind === 'frame' ? [entry.sequence] : []))
  const gaps = () =>
    entries().flatMap(entry => (entry.kind === 'gap' ? [[entry.from, entry.to, entry.reason]] : []))
  /** All that was appended is read back. */
  const readBack = (): void => {
    host.end = (first + records.length) as Offset
    for (const entry of entries()) {
      if (entry.kind === 'frame') publication.confirm(entry.sequence)
      if (entry.kind === 'gap') publication.confirm(entry.to)
      if (entry.kind === 'end') publication.confirmEnd()
    }
    publication.flush()
  }
  const stall = (): void => clock.advance(publicationLimits.staleAfter + 1)
  const fail = (reason: FramelogError | undefined): void => {
    failure = reason
  }
  return {
    clock,
    publication,
    entries,
    numbers,
    gaps,
    acknowledged,
    stalls,
    dropped,
    tooLarge,
    readBack,
    stall,
    fail,
    host,
    error: () => error,
  }
}

const refused = (run: () => void): ErrorCode | undefined => {
  try {
    run()
  } catch (error) {
    return error instanceof FramelogError ? error.code : undefined
  }
  return undefined
}

const range = (from: number, to: number): number[] => Array.from({ length: to - from }, (_, i) => from + i)

const sound = (sequence: number): NumberedFrame => ({
  ...testFrame(sequence, { keyframe: true }),
  track: trackName('audio'),
})

describe('a publication', () => {
  it('writes a catalog before every GOP, and where reading must start in every record', () => {
    const { publication, entries } = setup()
    for (let n = 0; n < 121; n++) publication.frame(testFrame(n))
    const kinds = entries().map(({ kind }) => kind)
    assert.deepEqual(
      kinds.flatMap((kind, i) => (kind === 'catalog' ? [i] : [])),
      [0, 61, 122],
    )
    assert.ok(entries().every(entry => 'start' in entry && entry.start === 7))
  })

  it('acknowledges what was read back, once for each batch', () => {
    const { publication, acknowledged } = setup()
    for (let n = 0; n < 10; n++) publication.frame(testFrame(n))
    for (let n = 0; n < 5; n++) publication.confirm(n)
    publication.flush()
    publication.flush()
    assert.deepEqual(acknowledged, [4])
  })

  it('records a gap where numbers are left out, and passes over numbers that it has had', () => {
    const { publication, entries } = setup()
    publication.frame(testFrame(0))
    publication.frame(testFrame(5))
    publication.frame(testFrame(3))
    const gap = entries().find(({ kind }) => kind === 'gap')
    assert.deepEqual(gap?.kind === 'gap' && [gap.from, gap.to], [1, 4])
    assert.equal(entries().filter(({ kind }) => kind === 'frame').length, 2)
  })

  it('stops appending while its read-back is old, and goes on when it has caught up', () => {
    const { publication, numbers, stall, readBack, stalls } = setup()
    publication.frame(testFrame(0))
    stall()
    for (const n of range(1, 10)) publication.frame(testFrame(n))
    assert.deepEqual(numbers(), [0])
    assert.equal(publication.state, 'holding')
    assert.deepEqual(stalls, [true])
    // Something was read, and none of it was of this publication.
    publication.flush()
    assert.deepEqual(numbers(), [0])
    readBack()
    assert.deepEqual(numbers(), range(0, 10))
    assert.equal(publication.state, 'open')
    assert.deepEqual(stalls, [true, false])
  })

  it('has a bounded number of frames on their way, and holds the others without calling it a stall', () => {
    const { publication, numbers, readBack, stalls, dropped } = setup()
    const { items } = publicationLimits.unconfirmed
    for (const n of range(0, items + 10)) publication.frame(testFrame(n))
    assert.equal(numbers().length, items)
    readBack()
    assert.deepEqual(numbers(), range(0, items + 10))
    assert.deepEqual([stalls, dropped], [[], []])
  })

  it('has a bounded number of bytes on their way', () => {
    const { publication, numbers, readBack } = setup()
    const bytes = 1024 * 1024
    const count = publicationLimits.unconfirmed.bytes / bytes
    for (const n of range(0, count + 5)) publication.frame(testFrame(n, { bytes }))
    assert.equal(numbers().length, count)
    readBack()
    assert.equal(numbers().length, count + 5)
  })

  it('writes held frames under the catalog that was told before them', () => {
    const { publication, entries, stall, readBack } = setup()
    publication.frame(testFrame(0))
    stall()
    publication.frame(testFrame(1))
    const [picture] = testCatalog.tracks
    assert.ok(picture)
    publication.catalog({ version: 1, tracks: [picture] })
    publication.frame(testFrame(2))
    readBack()
    assert.deepEqual(
      entries().map(({ kind }) => kind),
      ['catalog', 'frame', 'frame', 'catalog', 'frame'],
    )
  })

  it('drops the oldest GOPs of a log that stalls for over 30 s, and tells the publisher and the log', () => {
    const { clock, publication, numbers, gaps, stall, readBack, dropped, acknowledged } = setup()
    publication.frame(testFrame(0))
    stall()
    // 100 frames a second for 41 s: more than any ordinary rate, and time is what is short.
    for (const n of range(1, 4101)) {
      publication.frame(n % 3 === 0 ? testFrame(n, { keyframe: n % 60 === 0 }) : sound(n))
      clock.advance(10)
    }
    assert.deepEqual(numbers(), [0])
    const last = dropped.at(-1)?.to ?? 0
    assert.equal((last + 1) % 60, 0, 'what is left begins at a keyframe')
    assert.ok(last > 1050 && last < 1150, 'what is kept is 30 s, but for one GOP')
    assert.deepEqual(
      dropped.flatMap(({ from, to }) => range(from, to + 1)),
      range(1, last + 1),
    )
    readBack()
    assert.deepEqual(gaps(), [[1, last, 'the log stalled']])
    assert.deepEqual(numbers(), [0, ...range(last + 1, 4101)])
    assert.deepEqual(acknowledged, [0])
    readBack()
    assert.deepEqual(acknowledged, [0, 4100])
  })

  it('drops by bytes, too', () => {
    const { publication, stall, dropped } = setup()
    publication.frame(testFrame(0))
    stall()
    const bytes = 1024 * 1024
    for (const n of range(1, 100)) publication.frame(testFrame(n, { bytes, keyframe: n % 10 === 0 }))
    assert.deepEqual(dropped, [
      { from: 1, to: 9 },
      { from: 10, to: 19 },
      { from: 20, to: 29 },
      { from: 30, to: 39 },
    ])
  })

  it('drops by number, too', () => {
    const { publication, stall, dropped } = setup(new HeldBudget(), { ...heldLimits, items: 100 })
    publication.frame(testFrame(0))
    stall()
    for (const n of range(1, 102)) publication.frame(testFrame(n))
    assert.deepEqual(dropped, [{ from: 1, to: 59 }])
  })

  it('drops what all publishers together have no room for', () => {
    const budget = new HeldBudget(1000)
    const [one, other] = [setup(budget), setup(budget)]
    for (const { publication, stall } of [one, other]) {
      publication.frame(testFrame(0))
      stall()
    }
    for (const n of range(1, 10)) one.publication.frame(testFrame(n, { bytes: 100 }))
    assert.equal(budget.used, 900)
    other.publication.frame(testFrame(60, { bytes: 200 }))
    assert.deepEqual([one.dropped, other.dropped], [[], [{ from: 60, to: 60 }]])
    one.readBack()
    assert.equal(budget.used, 0)
    other.publication.frame(testFrame(120, { bytes: 200 }))
    assert.equal(budget.used, 200)
    other.publication.close(new FramelogError('SHUTTING_DOWN', 'x'))
    assert.equal(budget.used, 0)
  })

  it('drops a GOP that is too much alone, and all that follows up to the next keyframe', () => {
    const limits = { ...heldLimits, bytes: 1000 }
    const { publication, numbers, gaps, stall, readBack, dropped } = setup(new HeldBudget(), limits)
    publication.frame(testFrame(0))
    stall()
    for (const n of range(1, 80)) publication.frame(testFrame(n, { bytes: 100 }))
    assert.deepEqual(
      dropped.flatMap(({ from, to }) => range(from, to + 1)),
      range(1, 80),
    )
    readBack()
    assert.equal(publication.state, 'open')
    for (const n of range(80, 130)) publication.frame(testFrame(n, { bytes: 100 }))
    assert.deepEqual(numbers(), [0, ...range(120, 130)])
    assert.deepEqual(gaps(), [[1, 119, 'the log stalled']])
    assert.equal(dropped.at(-1)?.to, 119)
  })

  it('drops a second of sound at a time where there is nothing else', () => {
    const { clock, publication, stall, dropped } = setup()
    const [, track] = testCatalog.tracks
    assert.ok(track)
    publication.catalog({ version: 1, tracks: [track] })
    publication.frame(sound(0))
    stall()
    for (const n of range(1, 1702)) {
      publication.frame(sound(n))
      clock.advance(20)
    }
    assert.ok(dropped.length >= 4 && dropped.length <= 6)
    assert.ok(dropped.every(({ from, to }) => to - from === 49))
  })

  // Rights that were taken away may be given back: pages come back by themselves.
  for (const code of ['LOG_UNREACHABLE', 'LOG_OVERLOADED', 'LOG_FULL', 'LOG_AUTHORIZATION'] as const) {
    it(`ends its connection where an append fails with ${code}, in a way that lets the publisher come back`, async () => {
      const { publication, fail, numbers, readBack, acknowledged, error } = setup()
      for (const n of range(0, 2)) publication.frame(testFrame(n))
      fail(new FramelogError(code, 'took no append'))
      // All in one turn: the log refuses what is behind the first refusal until that is told.
      for (const n of range(2, 5)) publication.frame(testFrame(n))
      await new Promise(setImmediate)
      assert.deepEqual([error()?.code, error()?.retryable, publication.state], [code, true, 'closed'])
      fail(undefined)
      publication.frame(testFrame(5))
      readBack()
      assert.deepEqual([numbers(), acknowledged], [[0, 1], []])
    })
  }

  it('gives up a frame that the log finds too large, with what it was handed behind it and its GOP, and goes on', async () => {
    const { publication, numbers, gaps, fail, dropped, tooLarge, readBack, acknowledged, error, clock } =
      setup()
    publication.frame(testFrame(0))
    publication.frame(testFrame(1))
    await new Promise(setImmediate)
    fail(new FramelogError('FRAME_TOO_LARGE', 'too large'))
    // As the log promises: what was handed over before the first refusal was told is refused, too.
    for (const n of range(2, 5)) publication.frame(testFrame(n, { keyframe: n === 2 }))
    await new Promise(setImmediate)
    fail(undefined)
    clock.advance(1)
    assert.deepEqual([error(), publication.state], [undefined, 'open'])
    publication.frame(testFrame(5))
    publication.frame(sound(6))
    publication.frame(testFrame(7, { keyframe: true }))
    publication.frame(testFrame(8))
    assert.deepEqual(dropped, [
      { from: 2, to: 4 },
      { from: 5, to: 5 },
      { from: 6, to: 6 },
    ])
    assert.deepEqual(tooLarge, [true, true, true])
    readBack()
    assert.deepEqual(numbers(), [0, 1, 7, 8])
    assert.deepEqual(gaps(), [[2, 6, 'a frame is larger than the log takes']])
    assert.deepEqual(acknowledged, [8])
  })

  it('writes its end, though a frame before it was too large', async () => {
    const { publication, fail, clock, entries, gaps, readBack } = setup()
    publication.frame(testFrame(0))
    await new Promise(setImmediate)
    fail(new FramelogError('FRAME_TOO_LARGE', 'too large'))
    publication.frame(testFrame(1))
    const ended = publication.end('stopped')
    await new Promise(setImmediate)
    fail(undefined)
    clock.advance(1)
    readBack()
    await ended
    assert.equal(entries().at(-1)?.kind, 'end')
    assert.deepEqual(gaps(), [[1, 1, 'a frame is larger than the log takes']])
  })

  it('gives up what it holds of the GOP of a frame that is too large', async () => {
    const { publication, fail, dropped, clock, numbers } = setup()
    fail(new FramelogError('FRAME_TOO_LARGE', 'too large'))
    publication.frame(testFrame(0))
    clock.advance(publicationLimits.staleAfter + 1)
    for (const n of range(1, 6)) publication.frame(testFrame(n, { keyframe: n === 4 }))
    // The log refuses until the promises of the turn have told of it.
    await new Promise(setImmediate)
    fail(undefined)
    clock.advance(1)
    assert.deepEqual(dropped, [{ from: 0, to: 3 }])
    assert.deepEqual(numbers(), [4, 5])
    assert.equal(publication.state, 'open')
  })

  it('writes what it holds before its end, once its claim is known to hold, and acknowledges it', async () => {
    const { publication, entries, acknowledged, stall, readBack } = setup()
    publication.frame(testFrame(0))
    stall()
    for (const n of range(1, 10)) publication.frame(testFrame(n))
    const ended = publication.end('stopped')
    assert.equal(entries().length, 2)
    readBack()
    readBack()
    await ended
    assert.deepEqual(
      entries().map(({ kind }) => kind),
      ['catalog', ...new Array(10).fill('frame'), 'end'],
    )
    assert.deepEqual(acknowledged, [0, 9])
    assert.equal(publication.state, 'closed')
  })

  it('records what was dropped before its end, where nothing else follows', async () => {
    const limits = { ...heldLimits, bytes: 100 }
    const { publication, entries, gaps, stall, readBack } = setup(new HeldBudget(), limits)
    publication.frame(testFrame(0))
    stall()
    for (const n of range(1, 4)) publication.frame(testFrame(n))
    const ended = publication.end('stopped')
    readBack()
    readBack()
    await ended
    assert.deepEqual(gaps(), [[1, 3, 'the log stalled']])
    assert.equal(entries().at(-1)?.kind, 'end')
  })

  it('gives its end up when the log takes too long', async () => {
    const { clock, publication, stall, entries } = setup()
    publication.frame(testFrame(0))
    stall()
    const ended = publication.end('stopped')
    clock.advance(publicationLimits.endTimeout)
    await assert.rejects(ended, { code: 'LOG_UNREACHABLE' })
    assert.equal(publication.state, 'closed')
    assert.equal(entries().length, 2)
  })

  it('tells of what it lost where a later number counts, and goes on', () => {
    const { publication, acknowledged, dropped, error } = setup()
    for (let n = 0; n < 5; n++) publication.frame(testFrame(n))
    publication.confirm(0)
    publication.lost({ from: 1, to: 2 })
    publication.confirm(3)
    publication.flush()
    assert.deepEqual([dropped, acknowledged, error()], [[{ from: 1, to: 2 }], [3], undefined])
  })

  it('lets its publisher claim again where the log took a frame and cannot give it back', async () => {
    const { publication, host, acknowledged, error } = setup()
    for (let n = 0; n < 3; n++) publication.frame(testFrame(n))
    publication.confirm(0)
    publication.confirm(1)
    // Read up to the last frame, which is not read.
    host.end = (host.end + 3) as Offset
    publication.flush()
    await new Promise(setImmediate)
    assert.deepEqual([acknowledged, error()], [[1], undefined])
    host.end = (host.end + 1) as Offset
    publication.flush()
    assert.deepEqual([error()?.code, error()?.retryable], ['LOG_FAILED', true])
  })

  it('does so, too, where it is read before the log says where it is', async () => {
    const { publication, host, error } = setup()
    publication.frame(testFrame(0))
    host.end = (host.end + 2) as Offset
    publication.flush()
    assert.equal(error(), undefined)
    await new Promise(setImmediate)
    assert.equal(error()?.code, 'LOG_FAILED')
  })

  it('says at its end what cannot be read of what is before it', async () => {
    const { publication, dropped } = setup()
    for (let n = 0; n < 3; n++) publication.frame(testFrame(n))
    publication.confirm(0)
    const ended = publication.end('stopped')
    publication.confirmEnd()
    await ended
    assert.deepEqual(dropped, [{ from: 1, to: 2 }])
  })

  it('refuses a frame past the largest', () => {
    const { publication } = setup()
    const frame = testFrame(0, { bytes: publicationLimits.frameBytes + 1 })
    assert.equal(
      refused(() => publication.frame(frame)),
      'FRAME_TOO_LARGE',
    )
  })

  it('appends nothing once its claim is lost', () => {
    const { publication, entries, error } = setup()
    publication.close(new FramelogError('BROADCAST_TAKEN_OVER', 'x'))
    publication.frame(testFrame(0))
    assert.equal(entries().length, 0)
    assert.equal(error()?.code, 'BROADCAST_TAKEN_OVER')
  })
})
