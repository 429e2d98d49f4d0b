import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import type { Log, LogRecord, NewRecord } from '../../src/log/log.ts'
import {
  beatLimits,
  beatRecord,
  decodeBeat,
  encodeGoodbye,
  encodeSnapshot,
  type GatewayAddress,
} from '../../src/relay/heartbeat-record.ts'
import { Heartbeats, heartbeatLimits } from '../../src/relay/heartbeats.ts'
import { type BroadcastId, broadcastId, millis, offset } from '../../src/units.ts'
import { useEmbeddedLog } from '../support/embedded.ts'
import { FakeClock, until } from '../support/fake-clock.ts'

const ids = (count: number): BroadcastId[] =>
  Array.from({ length: count }, (_, i) => broadcastId(`${i}-`.padEnd(63, 'x')))

const read = (record: NewRecord) => decodeBeat({ ...record, offset: offset(0) } satisfies LogRecord)

describe('a heartbeat', () => {
  it('is one small record where nothing is published and nobody watches', () => {
    const [value, ...rest] = encodeSnapshot(millis(1_800_000_000_000), 7, { holds: [], viewers: [] })
    assert.ok(value && value.byteLength < 64)
    assert.equal(rest.length, 0)
  })

  it('tells what is held and how many watch, in parts where it is too much for one record', () => {
    const all = ids(5000)
    const values = encodeSnapshot(millis(1), 7, { holds: all, viewers: all.map((id, i) => [id, i] as const) })
    assert.ok(values.length > 8)
    assert.ok(values.every(({ byteLength }) => byteLength <= beatLimits.bytes))
    const beats = values.map(value => read(beatRecord('a', value, millis(0))) ?? assert.fail('no heartbeat'))
    assert.deepEqual(
      beats.map(({ part, parts }) => [part, parts]),
      beats.map((_, i) => [i, values.length]),
    )
    assert.deepEqual(
      beats.flatMap(({ holds }) => holds),
      all,
    )
    // Nobody watches the first one: it is not named.
    assert.equal(beats.flatMap(({ viewers }) => viewers).length, all.length - 1)
  })

  it('has room for all that a gateway may serve, and leaves out what is beyond', () => {
    const values = encodeSnapshot(millis(1), 7, { holds: ids(200_000), viewers: [] })
    assert.equal(values.length, beatLimits.parts)
    const told = values.flatMap(value => read(beatRecord('a', value, millis(0)))?.holds ?? [])
    assert.ok(told.length > 100_000 && told.length < 200_000)
  })

  it('is not taken from bytes that are none', () => {
    const good = beatRecord('a', encodeGoodbye(millis(1)), millis(0))
    assert.equal(read(good)?.leaving, true)
    for (const wrong of ['', '{', 'null', '[]', '{"startedAt":-1}', '{"startedAt":1,"part":2,"parts":2}']) {
      assert.equal(read({ ...good, value: Buffer.from(wrong) }), undefined, wrong)
    }
    assert.equal(read({ ...good, value: Buffer.from('{"startedAt":1,"holds":{}}') }), undefined)
    assert.equal(read({ ...good, headers: [['v', '2']] }), undefined)
    for (const url of [
      'javascript:1',
      'http://a/b',
      'http://u:p@a',
      'file:///x',
      'a',
      '',
      `http://${'a'.repeat(250)}`,
    ]) {
      const value = Buffer.from(JSON.stringify({ startedAt: 1, url }))
      assert.equal(read({ ...good, value })?.address, undefined, url)
    }
    assert.equal(read({ ...good, key: 'a'.repeat(beatLimits.name + 1) }), undefined)
    assert.equal(read({ ...good, value: Buffer.alloc(beatLimits.bytes + 1, ' ') }), undefined)
    const odd = read({
      ...good,
      value: Buffer.from('{"startedAt":1,"holds":["A!"],"viewers":{"a":-1,"b":2}}'),
    })
    assert.deepEqual([odd?.holds, odd?.viewers], [[], [['b', 2]]])
  })
})

describe('gateways that hear each other', () => {
  let log: Log
  useEmbeddedLog('heartbeats', opened => {
    log = opened
  })

  /** A gateway of its own clock, that can be stopped in the middle as a process can. */
  class Peer {
    readonly clock = new FakeClock()
    readonly addresses: string[] = []
    /** How often it was told that where pages may go has changed. */
    changes = 0
    address: GatewayAddress | undefined
    draining = false
    readonly gone: string[] = []
    readonly name: string
    holds: BroadcastId[] = []
    viewers: [BroadcastId, number][] = []
    /** Offset behind the newest heartbeat that it has read. */
    next = 0
    heartbeats!: Heartbeats
    #held: (() => void)[] | undefined
    #stalled: Promise<void> | undefined

    constructor(name: string) {
      this.name = name
    }

    async open(topicName: string): Promise<this> {
      const tail: Log['tail'] = (topic, from, sink) =>
        log.tail(topic, from, {
          onChunk: chunk => {
            const take = (): void => {
              sink.onChunk(chunk)
              this.next = chunk.next
            }
            if (this.#held) this.#held.push(take)
            else take()
          },
          onEnd: error => sink.onEnd(error),
        })
      const append: Log['append'] = async (topic, records) => {
        await this.#stalled
        return log.append(topic, records)
      }
      const { create, find, bounds } = log
      const read = log.read.bind(log)
      const slow = {
        create: create.bind(log),
        find: find.bind(log),
        bounds: bounds.bind(log),
        read,
        tail,
        append,
      }
      this.heartbeats = await Heartbeats.open({
        log: slow as unknown as Log,
        clock: this.clock,
        gateway: this.name,
        topicName,
        snapshot: () => ({
          holds: this.holds,
          viewers: this.viewers,
          address: this.address,
          draining: this.draining,
        }),
        onGone: name => this.gone.push(name),
        onAddress: ({ url }) => this.addresses.push(url),
        onElsewhere: () => {
          this.changes += 1
        },
        onDamage: () => {},
      })
      return this
    }

    freeze(): void {
      this.#held = []
    }

    /** Appends wait from now on. @returns to be called when the log answers again */
    stall(): () => void {
      const { promise, resolve } = Promise.withResolvers<void>()
      this.#stalled = promise
      return () => {
        this.#stalled = undefined
        resolve()
      }
    }

    /** @param span how long it was frozen. What is due runs before it reads, as in Node. */
    thaw(span: number): void {
      this.clock.freeze(span)
      this.clock.advance(0)
      const held = this.#held ?? []
      this.#held = undefined
      for (const take of held) take()
    }
  }

  const end = async (topicName: string): Promise<number> => {
    const topic = await log.find(topicName)
    return topic ? (await log.bounds(topic)).next : assert.fail('no topic')
  }

  const setUp = async (topicName: string, ...names: string[]) => {
    const peers: Peer[] = []
    for (const name of names) peers.push(await new Peer(name).open(topicName))
    const [a = assert.fail(), b = assert.fail()] = peers
    // Each has said something once.
    await until(() => a.next >= peers.length)
    /** One more heartbeat of each of them, read by all of them. */
    const round = async (...some: Peer[]): Promise<void> => {
      const next = (await end(topicName)) + some.length
      for (const { clock } of some) clock.advance(heartbeatLimits.every)
      await until(() => some.every(peer => peer.next >= next))
    }
    await round(...peers)
    return { a, b, peers, round }
  }

  const close = (peers: readonly Peer[]): Promise<unknown> =>
    Promise.all(peers.map(({ heartbeats }) => heartbeats.close()))

  it('sum up the viewers of all, and know who holds what', async () => {
    const { a, b, peers, round } = await setUp('sums', 'a', 'b', 'c')
    const id = broadcastId('cam')
    for (const [i, peer] of peers.entries()) peer.viewers = [[id, i + 1]]
    b.holds = [id]
    await round(...peers)
    assert.equal(a.heartbeats.viewersElsewhere(id), 5)
    assert.equal(b.heartbeats.viewersElsewhere(id), 4)
    assert.equal(a.heartbeats.isHeldElsewhere(id), true)
    assert.equal(b.heartbeats.isHeldElsewhere(id), false)
    assert.equal(a.heartbeats.isHeldBy('b', id), true)
    assert.equal(a.heartbeats.isHeldBy('c', id), false)
    await close(peers)
  })

  it('tell a long snapshot in parts, over several heartbeats, and are alive all the while', async () => {
    const { a, b, peers, round } = await setUp('parts', 'a', 'b')
    b.holds = ids(8000)
    const [first = assert.fail(), last = assert.fail()] = [b.holds[0], b.holds.at(-1)]
    const beats = Math.ceil(
      encodeSnapshot(millis(1), 1, { holds: b.holds, viewers: [] }).length / heartbeatLimits.partsPerBeat,
    )
    assert.ok(beats >= 2)
    for (let i = 0; i < beats; i++) {
      // What was said before holds until all of it has come.
      assert.deepEqual([a.heartbeats.isHeldBy('b', first), a.heartbeats.isHeldBy('b', last)], [false, false])
      await round(...peers)
    }
    const next = await end('parts')
    await until(() => a.next >= next)
    assert.deepEqual([a.heartbeats.isHeldBy('b', first), a.heartbeats.isHeldBy('b', last)], [true, true])
    assert.deepEqual(a.gone, [])
    await close(peers)
  })

  it('cost one small record a beat, however many broadcasts there are that nobody uses', async () => {
    const { a, b, round } = await setUp('cost', 'a', 'b')
    const before = await end('cost')
    for (let i = 0; i < 10; i++) await round(a, b)
    assert.equal((await end('cost')) - before, 20)
    await close([a, b])
  })

  it('miss one that was killed, before two seconds are over, and its viewers with it', async () => {
    const { a, b, round } = await setUp('killed', 'a', 'b')
    b.viewers = [[broadcastId('cam'), 3]]
    for (let i = 0; i < 4; i++) await round(a, b)
    assert.equal(a.heartbeats.isSettled, true)
    assert.equal(a.heartbeats.goneSince('b'), undefined)
    const last = a.clock.monotonic()
    for (let waited = 0; a.gone.length === 0; waited += heartbeatLimits.every) {
      assert.ok(waited < 2000)
      assert.equal(a.heartbeats.viewersElsewhere(broadcastId('cam')), 3)
      await round(a)
    }
    assert.deepEqual(a.gone, ['b'])
    assert.equal(a.heartbeats.viewersElsewhere(broadcastId('cam')), 0)
    assert.equal(a.heartbeats.goneSince('b'), last)
    await close([a])
  })

  it('tell where they are, and that they are about to stop', async () => {
    const { a, b, peers, round } = await setUp('addresses', 'a', 'b', 'c')
    assert.deepEqual(a.heartbeats.elsewhere, [])
    assert.equal(a.heartbeats.hasOthers, true)
    b.address = { url: 'http://10.0.0.2:8080' }
    await round(...peers)
    assert.deepEqual(a.heartbeats.elsewhere, [{ url: 'http://10.0.0.2:8080' }])
    assert.deepEqual(b.heartbeats.elsewhere, [])
    assert.deepEqual(a.addresses, ['http://10.0.0.2:8080'])
    const { changes } = a
    await round(...peers)
    assert.equal(a.changes, changes, 'nothing has changed')
    for (const peer of peers) peer.draining = peer !== a
    // At once, not with the next beat.
    b.heartbeats.sayNow()
    await until(() => a.heartbeats.elsewhere.length === 0)
    assert.equal(a.changes, changes + 1)
    await round(...peers)
    assert.equal(a.heartbeats.hasOthers, false)
    const late = await new Peer('late').open('addresses')
    assert.deepEqual(late.addresses[0], 'http://10.0.0.2:8080', 'also what was said before its start')
    await close([...peers, late])
  })

  it('are told at once by one that stops in order', async () => {
    const { a, b, peers, round } = await setUp('goodbye', 'a', 'b')
    for (let i = 0; i < 3; i++) await round(...peers)
    await b.heartbeats.close()
    await until(() => a.gone.includes('b'))
    assert.equal(a.heartbeats.goneSince('b'), a.clock.monotonic())
    await close([a])
  })

  it('miss nobody when they wake from being frozen themselves: they read first', async () => {
    const { a, b, peers, round } = await setUp('frozen', 'a', 'b')
    for (let i = 0; i < 4; i++) await round(...peers)
    a.freeze()
    for (let i = 0; i < 120; i++) await round(b)
    a.thaw(60_000)
    for (let i = 0; i < 5; i++) await round(a, b)
    assert.deepEqual(a.gone, [])
    // The other one has missed it, and hears it again.
    assert.deepEqual(b.gone, ['a'])
    assert.deepEqual(b.heartbeats.alive.toSorted(), ['a', 'b'])
    await close(peers)
  })

  it('do not go by the clocks of the others', async () => {
    const { a, b, peers, round } = await setUp('clocks', 'a', 'b')
    b.clock.wall -= 3_600_000
    for (let i = 0; i < 8; i++) await round(...peers)
    a.clock.wall += 86_400_000
    for (let i = 0; i < 8; i++) await round(...peers)
    assert.deepEqual([a.gone, b.gone], [[], []])
    await close(peers)
  })

  it('tell nobody gone while the log does not answer, and let no heartbeats pile up before it', async () => {
    const { a, b, peers, round } = await setUp('stalled', 'a', 'b')
    for (let i = 0; i < 4; i++) await round(...peers)
    const before = await end('stalled')
    a.freeze()
    const answer = a.stall()
    a.clock.advance(60_000)
    assert.deepEqual([a.gone, a.heartbeats.alive.length], [[], 2])
    answer()
    a.thaw(0)
    await until(() => a.next > before)
    await round(a, b)
    assert.equal((await end('stalled')) - before, 3)
    assert.deepEqual([a.gone, a.heartbeats.alive.length], [[], 2])
    await close(peers)
  })

  it('are known up to a number', async () => {
    const { a, b, peers, round } = await setUp('many', 'a', 'b')
    const topic = await log.find('many')
    assert.ok(topic)
    const value = encodeSnapshot(millis(1), 1, { holds: [], viewers: [] })[0] ?? assert.fail()
    const records = Array.from({ length: heartbeatLimits.gateways + 10 }, (_, i) =>
      beatRecord(`g${i}`, value, millis(0)),
    )
    await log.append(topic, records)
    const next = await end('many')
    await until(() => a.next >= next)
    assert.equal(a.heartbeats.alive.length, heartbeatLimits.gateways)
    assert.ok(a.heartbeats.alive.includes('b'))
    // They are heard no more: as many are remembered as gone.
    for (let i = 0; i < 4; i++) await round(...peers)
    assert.deepEqual(a.heartbeats.alive.toSorted(), ['a', 'b'])
    assert.equal(a.gone.length, heartbeatLimits.gateways - 2)
    await close([a, b])
  })

  it('hear each other again when their topic was deleted', async () => {
    const { a, b, peers } = await setUp('deleted', 'a', 'b')
    const topic = await log.find('deleted')
    assert.ok(topic)
    await log.delete(topic)
    a.viewers = [[broadcastId('cam'), 2]]
    while (b.heartbeats.viewersElsewhere(broadcastId('cam')) !== 2) {
      for (const { clock } of peers) clock.advance(heartbeatLimits.every)
      await new Promise(setImmediate)
    }
    await close(peers)
  })
})
