import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import fc from 'fast-check'
import { floorOf, ReaderRule, rememberedSessions } from '../../src/log/reader-rule.ts'
import type { Entry, FrameEntry } from '../../src/log/record.ts'
import { micros, type Offset, trackName } from '../../src/units.ts'

const at = (n: number): Offset => n as Offset

const frame = (epoch: number, session: string, sequence: number, start?: number): FrameEntry => ({
  kind: 'frame',
  epoch: at(epoch),
  session,
  sequence,
  frame: { track: trackName('video'), timestamp: micros(sequence), keyframe: true, data: new Uint8Array(1) },
  ...(start === undefined ? {} : { start: at(start) }),
})

const claim = (session: string): Entry => ({
  kind: 'session',
  session,
  resumeHash: '',
  nonce: '',
  gateway: '',
})

const verdicts = (rule: ReaderRule, entries: readonly Entry[], first = 0): string[] =>
  entries.map((entry, i) => rule.judge(at(first + i), entry))

describe("the readers' rule", () => {
  it('takes the frames of the latest claim only', () => {
    const entries = [
      claim('aaaaaaaa'),
      frame(0, 'aaaaaaaa', 0),
      claim('bbbbbbbb'),
      frame(0, 'aaaaaaaa', 1),
      frame(2, 'bbbbbbbb', 0),
    ]
    assert.deepEqual(verdicts(new ReaderRule(), entries), [
      'accepted',
      'accepted',
      'accepted',
      'stale',
      'accepted',
    ])
  })

  it('always takes timed data, which changes nothing', () => {
    const data: Entry = {
      kind: 'data',
      record: {
        track: trackName('meta-score'),
        moment: { session: 'cccccccc', timestamp: micros(9) },
        data: new Uint8Array(1),
      },
    }
    const rule = new ReaderRule()
    assert.deepEqual(verdicts(rule, [data, data]), ['accepted', 'accepted'])
    assert.equal(rule.epoch, undefined)
    assert.equal(rule.session, undefined)
    const entries = [claim('aaaaaaaa'), data, frame(2, 'aaaaaaaa', 0), data, frame(2, 'aaaaaaaa', 0), data]
    const expected = ['accepted', 'accepted', 'accepted', 'accepted', 'repeated', 'accepted']
    assert.deepEqual(verdicts(rule, entries, 2), expected)
    assert.equal(rule.lastSequence('aaaaaaaa'), 0)
    assert.equal(rule.lastSequence('cccccccc'), -1)
  })

  it('counts each number of a session once, through all its claims', () => {
    const entries = [
      claim('aaaaaaaa'),
      frame(0, 'aaaaaaaa', 0),
      frame(0, 'aaaaaaaa', 1),
      frame(0, 'aaaaaaaa', 1),
      claim('aaaaaaaa'),
      frame(4, 'aaaaaaaa', 1),
      frame(4, 'aaaaaaaa', 2),
    ]
    const expected = ['accepted', 'accepted', 'accepted', 'repeated', 'accepted', 'repeated', 'accepted']
    assert.deepEqual(verdicts(new ReaderRule(), entries), expected)
  })

  it('counts a gap for all the numbers it names', () => {
    const gap: Entry = { kind: 'gap', epoch: at(0), session: 'aaaaaaaa', from: 1, to: 5, reason: '' }
    const entries = [
      claim('aaaaaaaa'),
      frame(0, 'aaaaaaaa', 0),
      gap,
      frame(0, 'aaaaaaaa', 4),
      frame(0, 'aaaaaaaa', 6),
    ]
    assert.deepEqual(verdicts(new ReaderRule(), entries), [
      'accepted',
      'accepted',
      'accepted',
      'repeated',
      'accepted',
    ])
  })

  it('knows every epoch below the floor as stale, where the claim lies before its first record', () => {
    const rule = new ReaderRule(at(50))
    assert.deepEqual(verdicts(rule, [frame(10, 'aaaaaaaa', 9), frame(50, 'bbbbbbbb', 0)], 60), [
      'stale',
      'accepted',
    ])
  })

  it('takes the epoch of a claim that it did not see, and refuses one that lies in the future', () => {
    const rule = new ReaderRule()
    assert.equal(rule.judge(at(60), frame(50, 'bbbbbbbb', 7)), 'accepted')
    assert.equal(rule.epoch, 50)
    assert.equal(rule.judge(at(61), frame(61, 'bbbbbbbb', 8)), 'stale')
    assert.equal(rule.judge(at(62), frame(90, 'bbbbbbbb', 8)), 'stale')
  })

  it('passes over what it does not know and what is damaged', () => {
    const rule = new ReaderRule()
    assert.equal(rule.judge(at(0), { kind: 'unknown', reason: '' }), 'skipped')
    assert.equal(rule.judge(at(1), { kind: 'corrupt', reason: '' }), 'skipped')
  })

  it('remembers the last numbers of a bounded count of sessions', () => {
    const rule = new ReaderRule()
    const names = Array.from(
      { length: rememberedSessions + 1 },
      (_, i) => `session${String.fromCharCode(97 + i)}`,
    )
    for (const [i, name] of names.entries()) {
      rule.judge(at(2 * i), claim(name))
      rule.judge(at(2 * i + 1), frame(2 * i, name, 41))
    }
    assert.equal(rule.lastSequence(names[0] ?? ''), -1)
    assert.equal(rule.lastSequence(names[1] ?? ''), 41)
    assert.equal(rule.lastSequence(names.at(-1) ?? ''), 41)
  })
})

/**
 * Two gateways that fight for one broadcast, as a model: each knows the log only up to where it has read, goes
 * on appending under a lost claim until it reads of the loss, and repeats appends whose answer it missed.
 */
class Model {
  readonly log: Entry[] = []
  readonly gateways: readonly ModelGateway[]

  /** @param shared one publisher that moves between the gateways, instead of one at each */
  constructor(shared: boolean) {
    this.gateways = [
      new ModelGateway(this, 'session0'),
      new ModelGateway(this, shared ? 'session0' : 'session1'),
    ]
  }
}

class ModelGateway {
  readonly model: Model
  readonly session: string
  read = 0
  rule = new ReaderRule()
  epoch: number | undefined
  next = 0
  gop: { start: number; epoch: number } | undefined
  /** Where the newest GOP that was read began. */
  knownGop: { start: number; epoch: number } | undefined

  constructor(model: Model, session: string) {
    this.model = model
    this.session = session
  }

  readTo(end: number): void {
    for (; this.read < end; this.read++) {
      const entry = this.model.log[this.read] as Entry
      const accepted = this.rule.judge(at(this.read), entry) === 'accepted'
      if (accepted && entry.kind === 'frame' && entry.start !== undefined) {
        this.knownGop = { start: entry.start, epoch: floorOf(entry) }
      }
    }
    if (this.epoch !== undefined && this.rule.epoch !== undefined && this.rule.epoch > this.epoch)
      this.epoch = undefined
  }

  claim(): void {
    this.model.log.push(claim(this.session))
    this.epoch = undefined
    this.readTo(this.model.log.length)
    this.epoch = this.model.log.length - 1
    this.next = this.rule.lastSequence(this.session) + 1
    // A session that goes on goes on in its GOP, which began under an earlier claim.
    this.gop = this.next > 0 ? this.knownGop : undefined
  }

  append(times: number, opensGop: boolean): void {
    if (this.epoch === undefined) return
    if (opensGop || this.gop === undefined) this.gop = { start: this.read, epoch: this.epoch }
    const { start, epoch } = this.gop
    const startEpoch = epoch === this.epoch ? {} : { startEpoch: at(epoch) }
    const entry = { ...frame(this.epoch, this.session, this.next++, start), ...startEpoch }
    for (let i = 0; i < times; i++) this.model.log.push(entry)
  }
}

type Step = { who: 0 | 1; what: 'claim' | 'append' | 'retry' | 'gop' | 'read' }

const steps = fc.array(
  fc.record<Step>({
    who: fc.constantFrom(0, 1),
    what: fc.constantFrom('claim', 'append', 'append', 'append', 'retry', 'gop', 'read', 'read'),
  }),
  { maxLength: 200, size: 'max' },
)

function play(script: readonly Step[], shared: boolean): Entry[] {
  const model = new Model(shared)
  for (const { who, what } of script) {
    const gateway = model.gateways[who] as ModelGateway
    if (what === 'claim') gateway.claim()
    else if (what === 'read') gateway.readTo(model.log.length)
    else gateway.append(what === 'retry' ? 2 : 1, what === 'gop')
  }
  return model.log
}

function acceptedOffsets(log: readonly Entry[], from = 0, floor?: Offset): number[] {
  const rule = new ReaderRule(floor)
  const offsets: number[] = []
  for (let i = from; i < log.length; i++) {
    const entry = log[i] as Entry
    if (rule.judge(at(i), entry) === 'accepted' && entry.kind === 'frame') offsets.push(i)
  }
  return offsets
}

describe("the readers' rule under two gateways that fight", () => {
  it('gives each session in ascending numbers without a repeat, and nothing written under a lost claim', () => {
    fc.assert(
      fc.property(steps, fc.boolean(), (script, shared) => {
        const log = play(script, shared)
        const last = new Map<string, number>()
        for (const i of acceptedOffsets(log)) {
          const { session, sequence, epoch } = log[i] as FrameEntry
          assert.ok(sequence > (last.get(session) ?? -1))
          last.set(session, sequence)
          const latest = log.findLastIndex((entry, offset) => offset < i && entry.kind === 'session')
          assert.equal(epoch, latest)
        }
      }),
      { numRuns: 500 },
    )
  })

  it('gives a reader that begins at the start of any frame exactly what a reader of everything gets from there', () => {
    fc.assert(
      fc.property(steps, fc.boolean(), (script, shared) => {
        const log = play(script, shared)
        const all = acceptedOffsets(log)
        for (const [i, entry] of log.entries()) {
          if (entry.kind !== 'frame' || entry.start === undefined) continue
          const from = entry.start
          const expected = all.filter(offset => offset >= Math.max(from, i))
          const got = acceptedOffsets(log, from, floorOf(entry)).filter(offset => offset >= i)
          assert.deepEqual(got, expected)
        }
      }),
      { numRuns: 300 },
    )
  })

  it('loses no number between what a gateway was told at its claim and what it appended', () => {
    fc.assert(
      fc.property(steps, fc.boolean(), (script, shared) => {
        const log = play(script, shared)
        const expected = new Map<string, number>()
        for (const i of acceptedOffsets(log)) {
          const { session, sequence } = log[i] as FrameEntry
          assert.equal(sequence, expected.get(session) ?? 0)
          expected.set(session, sequence + 1)
        }
      }),
      { numRuns: 300 },
    )
  })
})
