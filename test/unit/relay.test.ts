import assert from 'node:assert/strict'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { describe, it } from 'node:test'
import type { Clock } from '../../src/core/clock.ts'
import { FramelogError } from '../../src/errors.ts'
import { openEmbeddedLog } from '../../src/log/embedded/embedded-log.ts'
import type { Log, LogRecord } from '../../src/log/log.ts'
import { encodeEntry, type WrittenEntry } from '../../src/log/record.ts'
import { encodeCatalog } from '../../src/media/catalog.ts'
import { Approach } from '../../src/relay/approach.ts'
import { CurrentGop, gopLimits } from '../../src/relay/gop.ts'
import { Packet, type ViewerSink } from '../../src/relay/packet.ts'
import { Relay, type RelayEvent } from '../../src/relay/relay.ts'
import { type Accepted, RecordStream } from '../../src/relay/stream.ts'
import { Viewer, viewerLimits } from '../../src/relay/viewer.ts'
import { broadcastId, type Millis, micros, millis, type Offset } from '../../src/units.ts'
import { testCatalog, testData, testFrame } from '../support/clients.ts'

class ManualClock implements Clock {
  time = 1_000_000
  now(): Millis {
    return this.time as Millis
  }
  monotonic(): number {
    return this.time
  }
  after(): () => void {
    return () => {}
  }
}

/** A connection whose network takes nothing until it is told to. */
class StuckSink implements ViewerSink {
  buffered = 0
  waited = 0
  readonly sent: Packet[] = []
  error: FramelogError | undefined
  begin(): void {}
  place(): void {}
  send(packet: Packet): void {
    this.sent.push(packet)
    this.buffered += packet.size
  }
  sendAll(packets: readonly Packet[]): void {
    for (const packet of packets) this.send(packet)
  }
  async drained(): Promise<void> {}
  close(error: FramelogError): void {
    this.error = error
  }
  get sequences(): number[] {
    return this.sent.flatMap(({ event }) => (event.type === 'frame' ? [event.frame.sequence] : []))
  }
}

/** A broadcast's records, as a gateway writes them. */
class Writer {
  readonly #stream = new RecordStream()
  #offset = 0

  constructor() {
    this.write({ kind: 'session', session: 'abcd1234', resumeHash: '', nonce: '', gateway: '' })
  }

  write(entry: WrittenEntry): Accepted | undefined {
    const record: LogRecord = { ...encodeEntry(entry, millis(0)), offset: this.#offset++ as Offset }
    return this.#stream.take(record)
  }

  get catalog(): Packet | undefined {
    return this.#stream.catalog
  }

  /** Delivers the frame with a number, and its catalog where it opens a GOP. */
  deliver(viewer: Viewer, sequence: number, bytes: number): void {
    const claim = { epoch: 0 as Offset, session: 'abcd1234' }
    const frame = testFrame(sequence, { bytes })
    if (frame.keyframe) this.write({ kind: 'catalog', ...claim, catalog: encodeCatalog(testCatalog) })
    const accepted = this.write({ kind: 'frame', ...claim, sequence, frame })
    assert.ok(accepted?.packet)
    viewer.deliver({ accepted, packet: accepted.packet, catalog: this.catalog })
  }
}

describe('a viewer of a log that cannot be read', () => {
  it('is told why, and its connection is ended', async () => {
    const dir = mkdtempSync(join(tmpdir(), 'framelog-relay-'))
    await using log = await openEmbeddedLog({ dir })
    const failure = new FramelogError('LOG_UNREACHABLE', 'No broker answers')
    const failing: Log = new Proxy(log, {
      get: (target, name) => {
        if (name === 'read') return () => Promise.reject(failure)
        const value: unknown = Reflect.get(target, name)
        return typeof value === 'function' ? value.bind(target) : value
      },
    })
    const topic = await log.create('test-broken', {})
    await log.append(topic, [
      encodeEntry(
        { kind: 'session', session: 'abcd1234', resumeHash: '', nonce: '', gateway: '' },
        millis(0),
      ),
    ])
    const events: RelayEvent[] = []
    const relay = new Relay({
      log: failing,
      clock: new ManualClock(),
      gateway: 'test',
      topicPrefix: 'test-',
      topicOptions: {},
      publisherGrace: 1000,
      random: length => 'a'.repeat(length),
      onEvent: event => events.push(event),
    })
    const told = Promise.withResolvers<FramelogError>()
    const sink = new StuckSink()
    sink.close = error => told.resolve(error)
    relay.watch(broadcastId('broken'), { from: 'start' }, sink)
    assert.equal((await told.promise).code, 'LOG_UNREACHABLE')
    assert.deepEqual(
      events.map(({ kind }) => kind),
      ['error'],
    )
    await relay.close()
    rmSync(dir, { recursive: true, force: true })
  })
})

describe('the way to a position', () => {
  const steps = (bytes: number, count: number) => {
    const writer = new Writer()
    return Array.from({ length: count }, (_, sequence) => {
      const frame = testFrame(sequence, { bytes })
      const claim = { epoch: 0 as Offset, session: 'abcd1234' }
      if (frame.keyframe) writer.write({ kind: 'catalog', ...claim, catalog: encodeCatalog(testCatalog) })
      const accepted = writer.write({ kind: 'frame', ...claim, sequence, frame })
      assert.ok(accepted?.packet)
      return { accepted, packet: accepted.packet, catalog: writer.catalog }
    })
  }
  const numbers = (list: readonly { packet: Packet }[]): number[] =>
    list.flatMap(({ packet: { event } }) => (event.type === 'frame' ? [event.frame.sequence] : []))

  it('leaves out all but the GOP that the position is in', () => {
    const approach = new Approach()
    for (const step of steps(100, 150)) assert.deepEqual(approach.take(step), [])
    assert.deepEqual(
      numbers(approach.rest()),
      Array.from({ length: 30 }, (_, i) => 120 + i),
    )
    assert.deepEqual(approach.rest(), [])
  })

  it('holds no more of a GOP than the memory may, and loses none of it', () => {
    const approach = new Approach()
    const given = steps(gopLimits.bytes / 40, 50).flatMap(step => approach.take(step))
    assert.ok(given.length > 30 && given.length < 50)
    assert.deepEqual(numbers([...given, ...approach.rest()]), [...Array(50).keys()])
  })
})

describe('a viewer whose connection takes nothing', () => {
  const bytes = 256 * 1024
  const fill = viewerLimits.buffered / bytes

  it('is skipped to a keyframe once its connection takes again, and told how much it lost', () => {
    const [sink, writer] = [new StuckSink(), new Writer()]
    const viewer = new Viewer(sink)
    viewer.join([], 0 as Offset, undefined)
    for (let n = 0; n < 60; n++) writer.deliver(viewer, n, bytes)
    assert.equal(viewer.state, 'skipping')
    const got = sink.sequences.length
    assert.ok(got >= fill && got <= fill + 2, 'no more than the limit waits')
    sink.buffered = 0
    for (let n = 60; n < 70; n++) writer.deliver(viewer, n, 10)
    assert.equal(viewer.state, 'live')
    assert.deepEqual(sink.sequences.slice(got), [60, 61, 62, 63, 64, 65, 66, 67, 68, 69])
    const gap = sink.sent.find(({ event }) => event.type === 'gap')?.event
    assert.equal(gap?.type === 'gap' && gap.frames, 60 - got)
  })

  it('is skipped as well where little waits, but for long, until that has gone', () => {
    const [sink, writer] = [new StuckSink(), new Writer()]
    const viewer = new Viewer(sink)
    viewer.join([], 0 as Offset, undefined)
    writer.deliver(viewer, 0, 10)
    sink.waited = viewerLimits.waited
    writer.deliver(viewer, 1, 10)
    sink.waited += 1
    for (let n = 2; n < 40; n++) writer.deliver(viewer, n, 10)
    assert.equal(viewer.state, 'skipping')
    assert.deepEqual(sink.sequences, [0, 1])
    sink.waited = viewerLimits.waited / 2
    for (let n = 40; n < 61; n++) writer.deliver(viewer, n, 10)
    assert.deepEqual(sink.sequences, [0, 1, 60])
  })

  it('is told how much it lost before it is told of the end', () => {
    const [sink, writer] = [new StuckSink(), new Writer()]
    const viewer = new Viewer(sink)
    viewer.join([], 0 as Offset, undefined)
    for (let n = 0; n < 50; n++) writer.deliver(viewer, n, bytes)
    const got = sink.sequences.length
    const end = writer.write({ kind: 'end', epoch: 0 as Offset, session: 'abcd1234', reason: 'that was all' })
    assert.ok(end?.packet)
    viewer.deliver({ accepted: end, packet: end.packet, catalog: writer.catalog })
    const [gap, last] = sink.sent.slice(-2).map(({ event }) => event)
    assert.deepEqual(gap, { type: 'gap', frames: 50 - got, reason: 'the connection is too slow' })
    assert.equal(last?.type, 'end')
  })

  it('is told of the end that comes when its connection has just become full', () => {
    const [sink, writer] = [new StuckSink(), new Writer()]
    const viewer = new Viewer(sink)
    viewer.join([], 0 as Offset, undefined)
    for (let n = 0; sink.buffered <= viewerLimits.buffered; n++) writer.deliver(viewer, n, bytes)
    assert.equal(viewer.state, 'live')
    const end = writer.write({ kind: 'end', epoch: 0 as Offset, session: 'abcd1234', reason: 'that was all' })
    assert.ok(end?.packet)
    viewer.deliver({ accepted: end, packet: end.packet, catalog: writer.catalog })
    assert.equal(sink.sent.at(-1)?.event.type, 'end')
  })

  it('is sent no data meanwhile, of which none counts as lost, and which alone skips no frame', () => {
    const [sink, writer] = [new StuckSink(), new Writer()]
    const viewer = new Viewer(sink)
    const texts = (): string[] =>
      sink.sent.flatMap(({ event }) => (event.type === 'data' ? [Buffer.from(event.data).toString()] : []))
    const deliver = (text: string): void => {
      const record = testData(text, { session: 'abcd1234', timestamp: micros(0) })
      const accepted = writer.write({ kind: 'data', record })
      assert.ok(accepted?.packet)
      viewer.deliver({ accepted, packet: accepted.packet, catalog: writer.catalog })
    }
    viewer.join([], 0 as Offset, undefined)
    deliver('before its first keyframe')
    writer.deliver(viewer, 0, bytes)
    deliver('taken')
    sink.buffered = viewerLimits.buffered + 1
    deliver('full')
    assert.equal(viewer.state, 'live')
    for (let n = 1; n < 60; n++) {
      writer.deliver(viewer, n, 10)
      deliver('skipped')
    }
    assert.equal(viewer.state, 'skipping')
    sink.buffered = 0
    deliver('before the keyframe')
    writer.deliver(viewer, 60, 10)
    deliver('taken again')
    assert.deepEqual(texts(), ['taken', 'taken again'])
    const gap = sink.sent.find(({ event }) => event.type === 'gap')?.event
    assert.equal(gap?.type === 'gap' && gap.frames, 59)
    viewer.damaged(new Packet({ type: 'gap', frames: 1, reason: 'missing' }), 1000 as Offset)
    deliver('before the next keyframe')
    assert.equal(texts().length, 2)
  })

  it('is given up after too many skipped GOPs', () => {
    const [sink, writer] = [new StuckSink(), new Writer()]
    const viewer = new Viewer(sink)
    viewer.join([], 0 as Offset, undefined)
    for (let n = 0; n < 60 * (viewerLimits.skippedGops + 2) && sink.error === undefined; n++)
      writer.deliver(viewer, n, bytes)
    assert.equal(sink.error?.code, 'VIEWER_TOO_SLOW')
    assert.equal(viewer.state, 'closed')
  })
})

describe('the current GOP', () => {
  it('leaves out timed data past its share, and keeps all frames', () => {
    const { data } = gopLimits
    const dataOf = (bytes: number): Packet =>
      new Packet({
        type: 'data',
        ...testData('x'.repeat(bytes)),
        session: 'abcd1234',
        timestamp: micros(0),
        offset: 1 as Offset,
        time: millis(0),
      })
    const other = new Packet({ type: 'state', state: 'live' })
    for (const bytes of [1, 64 * 1024]) {
      const gop = new CurrentGop()
      const most = Math.min(data.packets, data.bytes / bytes)
      const packet = dataOf(bytes)
      gop.add(packet)
      gop.open(other, other)
      for (let i = 0; i < 2 * most; i++) gop.add(packet)
      assert.equal(gop.packets.length, 2 + most)
      gop.add(other)
      assert.equal(gop.packets.length, 3 + most)
      gop.open(other, other)
      gop.add(packet)
      assert.equal(gop.packets.length, 3)
    }
  })

  it('is given up past its limits, and begins again with the next keyframe', () => {
    const gop = new CurrentGop()
    const packet = new Packet({ type: 'state', state: 'live' })
    gop.add(packet)
    assert.equal(gop.packets.length, 0)
    gop.open(packet, packet)
    for (let i = 0; i < gopLimits.packets - 2; i++) gop.add(packet)
    assert.equal(gop.packets.length, gopLimits.packets)
    gop.add(packet)
    assert.equal(gop.packets.length, 0)
    gop.open(packet, packet)
    assert.equal(gop.packets.length, 2)
  })
})
