import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { setImmediate as turn } from 'node:timers/promises'
import { Gather, gatherLimits, type Lane } from '../../src/gateway/gather.ts'
import { Run } from '../../src/gateway/run.ts'
import { viewerEncoder } from '../../src/gateway/viewer-message.ts'
import { Metrics } from '../../src/observe/metrics.ts'
import { Packet } from '../../src/relay/packet.ts'
import { micros, millis, offset } from '../../src/units.ts'
import { decodeMessage } from '../../src/wire/message.ts'
import { testFrame } from '../support/clients.ts'
import { FakeClock } from '../support/fake-clock.ts'

const { look, busy, idle, calm } = gatherLimits

const packet = (name: string): Packet => new Packet({ type: 'end', reason: name })

/** Encodes a packet as its name, and counts how often. */
function encoder(): { encode: (packet: Packet) => { bytes: Buffer; message: Buffer }; count: number } {
  const counting = {
    count: 0,
    encode({ event }: Packet) {
      counting.count += 1
      const bytes = Buffer.from(event.type === 'end' ? event.reason : '')
      return { bytes, message: bytes }
    },
  }
  return counting
}

const unused = { encode: encoder().encode, again: encoder().encode }

/** Names the outlets that a lane flushes. */
function flushed(lane: Lane, ...names: string[]): string[] {
  const seen: string[] = []
  for (const name of names) lane.add({ onLane: () => void seen.push(name) })
  return seen
}

describe('a run of packets', () => {
  it('is there once for all who are sent the same, and so are its bytes', () => {
    const [a, b, c] = [packet('a'), packet('b'), packet('c')]
    const counting = encoder()
    const first = new Run(a)
    const run = first.and(b).and(c)
    assert.equal(first.and(b).and(c), run)
    assert.equal(String(run.bytes(counting.encode)), 'abc')
    assert.equal(run.bytes(counting.encode), run.bytes(counting.encode))
    assert.equal(counting.count, 3)
  })

  it('goes apart where one of them is sent something else', () => {
    const [a, b, c] = [packet('a'), packet('b'), packet('c')]
    const { encode } = encoder()
    const first = new Run(a)
    const [one, other] = [first.and(b), first.and(c)]
    assert.equal(String(one.and(c).bytes(encode)), 'abc')
    assert.equal(String(other.bytes(encode)), 'ac')
    assert.equal(String(first.bytes(encode)), 'a')
  })
})

describe('what viewers are sent', () => {
  it('goes out in the turn in which it came while there is time to spare', async () => {
    const gather = new Gather(new FakeClock(), 100, () => 0, unused)
    const seen = flushed(gather.lane(undefined), 'one', 'other')
    assert.deepEqual(seen, [])
    await turn()
    assert.deepEqual(seen, ['one', 'other'])
    gather.close()
  })

  it('is gathered the longer the busier the process is, and less after it was idle for a while', async () => {
    const clock = new FakeClock()
    let load = busy + 0.1
    const gather = new Gather(clock, 90, () => load, unused)
    const windows = [gather.window]
    const looks = (count: number): void => {
      for (let i = 0; i < count; i++) {
        clock.advance(look)
        windows.push(gather.window)
      }
    }
    looks(4)
    assert.deepEqual(windows.splice(0), [0, 30, 60, 90, 90])
    const seen = flushed(gather.lane(undefined), 'one')
    await turn()
    clock.advance(89)
    assert.deepEqual(seen, [])
    clock.advance(1)
    assert.deepEqual(seen, ['one'])
    // Neither busy nor idle: what is gathered may be why.
    load = (busy + idle) / 2
    looks(2 * calm)
    assert.deepEqual(new Set(windows.splice(0)), new Set([90]))
    load = idle - 0.1
    looks(calm - 1)
    load = (busy + idle) / 2
    looks(1)
    assert.deepEqual(new Set(windows.splice(0)), new Set([90]))
    load = idle - 0.1
    looks(3 * calm)
    assert.deepEqual(windows.at(-1), 0)
    assert.deepEqual([...new Set(windows)], [90, 60, 30, 0])
    gather.close()
  })

  it('goes at once or as rarely as may be where a viewer asks for that, whatever the load', async () => {
    const clock = new FakeClock()
    let load = 0
    const gather = new Gather(clock, 90, () => load, unused)
    for (const each of [0, 1]) {
      load = each
      clock.advance(4 * look)
      const prompt = flushed(gather.lane('prompt'), 'prompt')
      const gathered = flushed(gather.lane('gathered'), 'gathered')
      await turn()
      assert.deepEqual([prompt, gathered], [['prompt'], []])
      clock.advance(90)
      assert.deepEqual(gathered, ['gathered'])
    }
    gather.close()
  })

  it('is never gathered where that is not wanted', async () => {
    const clock = new FakeClock()
    const gather = new Gather(clock, 0, () => 1, unused)
    clock.advance(10 * look)
    assert.equal(gather.window, 0)
    const seen = flushed(gather.lane('gathered'), 'one')
    await turn()
    assert.deepEqual(seen, ['one'])
    gather.close()
  })

  it('tells those who get it later of their own way, once for all of them', async () => {
    const clock = new FakeClock()
    const metrics = new Metrics(() => ({ broadcasts: 0, publishers: 0, viewers: 0 }))
    const { encode, again } = viewerEncoder(clock, metrics)
    const gather = new Gather(clock, 100, () => 0, { encode, again })
    const frame = new Packet({
      type: 'frame',
      frame: testFrame(0),
      session: 'abcdefgh',
      offset: offset(0),
      time: millis(0),
    })
    frame.way = { hops: { read: micros(5000) }, readAt: clock.monotonic() }
    const relayed = (bytes: Uint8Array): number | undefined => {
      const message = decodeMessage(bytes)
      return message.type === 'frame' ? message.frame.hops?.relayed : undefined
    }
    clock.advance(1)
    assert.equal(relayed(gather.lane('prompt').encode(frame).message), 6000)
    clock.advance(80)
    const late = gather.lane('gathered').encode(frame)
    assert.equal(relayed(late.message), 86_000)
    assert.equal(gather.lane('gathered').encode(frame), late)
    assert.equal(relayed(frame.encoded?.message ?? assert.fail()), 6000)
    flushed(gather.lane('gathered'), 'one')
    clock.advance(100)
    assert.notEqual(gather.lane('gathered').encode(frame), late, 'what was sent is kept')
    gather.close()
  })
})
