/**
 * What every log must do, run on each backend. `open` gives a log that is empty or shared; the suite uses topic
 * names of its own and removes them. Tests wait for events; a test's time limit only says that none came.
 */
import assert from 'node:assert/strict'
import { randomBytes, randomUUID } from 'node:crypto'
import { after, before, describe, it } from 'node:test'
import { FramelogError } from '../../src/errors.ts'
import type { Header, Log, LogRecord, NewRecord, Topic, TopicOptions } from '../../src/log/log.ts'
import { type Millis, millis, type Offset, offset } from '../../src/units.ts'
import { TailReader } from './tail-reader.ts'

export interface ContractOptions {
  /** Bytes of values that may wait per topic, where the test asks for a limit of its own. */
  readonly maxWaitingBytes?: number
}

/** Opens a log. Each is closed by the suite; two are open at the same time, so each may need a place of its own. */
export type OpenLog = (options: ContractOptions) => Promise<Log>

const now = millis(Date.now())
const zero = offset(0)

const record = (value: string | Uint8Array, extra: Partial<NewRecord> = {}): NewRecord => ({
  key: 'video',
  value: typeof value === 'string' ? Buffer.from(value) : value,
  headers: [],
  timestamp: now,
  ...extra,
})

const texts = (records: readonly LogRecord[]): string[] =>
  records.map(({ value }) => Buffer.from(value).toString())

const numbers = (from: number, to: number): string[] =>
  Array.from({ length: to - from }, (_, i) => String(from + i))

const rejectsWith = (promise: Promise<unknown>, code: string): Promise<void> =>
  assert.rejects(promise, (error: unknown) => {
    assert.ok(error instanceof FramelogError, `a coded error, not ${String(error)}`)
    assert.equal(error.code, code)
    return true
  })

async function readAll(log: Log, topic: Topic, from: Offset = zero): Promise<LogRecord[]> {
  const records: LogRecord[] = []
  for (let at = from; ; ) {
    const chunk = await log.read(topic, at, 1024 * 1024)
    records.push(...chunk.records)
    if (chunk.next >= chunk.end) return records
    assert.ok(chunk.next > at, 'reading goes forward')
    at = chunk.next
  }
}

export function logContract(name: string, open: OpenLog): void {
  describe(`${name} keeps the contract of a log`, { timeout: 240_000 }, () => {
    const prefix = `contract-${randomUUID().slice(0, 8)}-`
    const limit = { timeout: 30_000 }
    let log: Log
    let made = 0

    const freshName = (): string => {
      made += 1
      return `${prefix}${made}`
    }
    const freshTopic = (options: TopicOptions = {}): Promise<Topic> => log.create(freshName(), options)
    const appendEach = async (topic: Topic, values: readonly string[]): Promise<void> => {
      await Promise.all(values.map(value => log.append(topic, [record(value)])))
    }

    before(async () => {
      log = await open({})
    })
    after(async () => {
      if (log === undefined) return
      await Promise.all((await log.topics(prefix)).map(topic => log.delete(topic)))
      await log[Symbol.asyncDispose]()
    })

    describe('topics', () => {
      it('describes its durability in one line', limit, async () => {
        const { durability } = await log.describe()
        assert.match(durability, /^[^\n]{10,}$/)
      })

      it('makes a topic that is empty and can be appended to and read at once', limit, async () => {
        const topic = await freshTopic()
        assert.deepEqual(await log.bounds(topic), { first: 0, next: 0 })
        assert.deepEqual(await log.read(topic, zero, 1024), { records: [], next: 0, end: 0 })
        assert.equal(await log.append(topic, [record('a')]), 0)
        assert.deepEqual(texts((await log.read(topic, zero, 1024)).records), ['a'])
      })

      it('finds the same topic when it is made again, with what it holds', limit, async () => {
        const options = { retention: millis(3_600_000) }
        const topic = await freshTopic(options)
        await log.append(topic, [record('a')])
        assert.deepEqual(await log.create(topic.name, options), topic)
        assert.deepEqual(await log.bounds(topic), { first: 0, next: 1 })
      })

      it('makes one topic where two ask at the same time', limit, async () => {
        const name = freshName()
        const [one, other] = await Promise.all([log.create(name, {}), log.create(name, {})])
        assert.deepEqual(one, other)
      })

      it('finds a topic by its name, and nothing under a name that no topic has', limit, async () => {
        const topic = await freshTopic()
        assert.deepEqual(await log.find(topic.name), topic)
        assert.equal(await log.find(freshName()), undefined)
      })

      it('lists the topics whose names begin with a prefix', limit, async () => {
        const group = `${freshName()}-`
        const inside = await Promise.all([log.create(`${group}a`, {}), log.create(`${group}b`, {})])
        await freshTopic()
        const found = [...(await log.topics(group))].sort((a, b) => (a.name < b.name ? -1 : 1))
        assert.deepEqual(found, inside)
        assert.deepEqual(await log.topics(`${group}c`), [])
      })
    })

    describe('append', () => {
      it('gives the offset of the first record', limit, async () => {
        const topic = await freshTopic()
        assert.equal(await log.append(topic, [record('0'), record('1'), record('2')]), 0)
        assert.equal(await log.append(topic, [record('3')]), 3)
        assert.equal(await log.append(topic, [record('4'), record('5')]), 4)
        assert.deepEqual(texts(await readAll(log, topic)), numbers(0, 6))
      })

      it('lands concurrent calls in the order in which they were made', limit, async () => {
        const topic = await freshTopic()
        const calls = numbers(0, 300).map(n => log.append(topic, [record(`${n}a`), record(`${n}b`)]))
        const offsets = await Promise.all(calls)
        assert.deepEqual(
          offsets,
          offsets.map((_, i) => i * 2),
        )
        assert.deepEqual(
          texts(await readAll(log, topic)),
          numbers(0, 300).flatMap(n => [`${n}a`, `${n}b`]),
        )
      })

      it('gives records back byte for byte', limit, async () => {
        const topic = await freshTopic()
        const bytes = Array.from({ length: 256 }, (_, i) => String.fromCharCode(i)).join('')
        const many: Header[] = Array.from({ length: 200 }, (_, i) => [`h${i}`, `value ${i}`])
        const written = [
          record(new Uint8Array(0), { key: 'empty' }),
          record(randomBytes(1024 * 1024), { key: 'large', timestamp: millis(now + 1) }),
          record('text', { key: '.catalog', headers: [['bytes', bytes]] }),
          record('many', { key: 'many', headers: many }),
          record('same', {
            headers: [
              ['twice', '1'],
              ['twice', '2'],
              ['none', ''],
            ],
          }),
        ]
        for (const one of written) await log.append(topic, [one])
        const read = await readAll(log, topic)
        assert.equal(read.length, written.length)
        for (const [i, one] of written.entries()) {
          const back = read[i]
          assert.equal(back?.key, one.key)
          assert.equal(back?.timestamp, one.timestamp)
          assert.deepEqual(back?.headers, one.headers)
          assert.ok(
            Buffer.from(one.value).equals(back?.value ?? Buffer.from('nothing')),
            `value of ${one.key}`,
          )
        }
      })

      it('takes a value of 4 MiB', limit, async () => {
        const topic = await freshTopic()
        const value = randomBytes(4 * 1024 * 1024)
        await log.append(topic, [record('before'), record(value), record('after')])
        const [, large, last] = await readAll(log, topic)
        assert.ok(value.equals(large?.value ?? Buffer.alloc(0)))
        assert.equal(last?.offset, 2)
      })

      it('refuses what exceeds the bound at once, and takes more when there is room', limit, async () => {
        await using small = await open({ maxWaitingBytes: 100_000 })
        const topic = await small.create(freshName(), {})
        try {
          const settled: string[] = []
          const value = randomBytes(60_000)
          const first = small.append(topic, [record(value)]).finally(() => settled.push('first'))
          const second = small.append(topic, [record(value)]).finally(() => settled.push('second'))
          await rejectsWith(second, 'LOG_OVERLOADED')
          assert.equal(await first, 0)
          assert.deepEqual(settled, ['second', 'first'])
          assert.equal(await small.append(topic, [record(value)]), 1)
        } finally {
          await small.delete(topic)
        }
      })
    })

    describe('read', () => {
      it('reads on from each offset', limit, async () => {
        const topic = await freshTopic()
        await log.append(
          topic,
          numbers(0, 20).map(n => record(n)),
        ) // one piece
        await appendEach(topic, numbers(20, 40))
        for (let from = 0; from < 40; from++) {
          const { records, next, end } = await log.read(topic, offset(from), 1024 * 1024)
          assert.equal(records[0]?.offset, from)
          assert.equal(end, 40)
          assert.equal(next, from + records.length)
          assert.deepEqual(texts(records), numbers(from, next))
        }
      })

      it('keeps to maxBytes, but gives at least one record', limit, async () => {
        const topic = await freshTopic()
        const value = randomBytes(10_000)
        await log.append(
          topic,
          Array.from({ length: 20 }, () => record(value)),
        )
        const some = await log.read(topic, offset(1), 50_000)
        assert.ok(some.records.length >= 1 && some.records.length <= 6, `${some.records.length} records`)
        const one = await log.read(topic, offset(3), 1)
        assert.deepEqual(
          one.records.map(each => each.offset),
          [3],
        )
        assert.equal(one.next, 4)
        assert.equal(one.end, 20)
      })

      it('gives nothing at the end', limit, async () => {
        const topic = await freshTopic()
        await log.append(topic, [record('a')])
        assert.deepEqual(await log.read(topic, offset(1), 1024), { records: [], next: 1, end: 1 })
      })

      it('refuses an offset past the end or below the first', limit, async () => {
        const topic = await freshTopic()
        await log.append(topic, [record('a')])
        await rejectsWith(log.read(topic, offset(2), 1024), 'OFFSET_OUT_OF_RANGE')
        await rejectsWith(log.read(topic, offset(-1), 1024), 'OFFSET_OUT_OF_RANGE')
      })

      it('keeps a value as it was while later records come', limit, async () => {
        const topic = await freshTopic()
        const value = randomBytes(5000)
        await log.append(topic, [record(value)])
        const [kept] = (await log.read(topic, zero, 1024)).records
        await appendEach(topic, numbers(0, 100))
        await readAll(log, topic)
        assert.ok(value.equals(kept?.value ?? Buffer.alloc(0)))
        assert.ok((kept?.value.buffer.byteLength ?? 0) <= 16_384, 'it pins little more than itself')
      })
    })

    describe('offsets by time', () => {
      const at = (ms: number): Millis => millis(now - 100_000 + ms)

      it('finds the first record at or after a time', limit, async () => {
        const topic = await freshTopic()
        assert.equal(await log.offsetAt(topic, at(0)), 0, 'the end of an empty topic')
        for (const ms of [100, 200, 200, 300]) await log.append(topic, [record('a', { timestamp: at(ms) })])
        await log.append(topic, [
          record('a', { timestamp: at(400) }),
          record('b', { timestamp: at(500) }),
          record('c', { timestamp: at(600) }),
        ])
        const found = async (ms: number): Promise<number> => log.offsetAt(topic, at(ms))
        assert.equal(await found(-50_000), 0, 'before the first')
        assert.equal(await found(100), 0)
        assert.equal(await found(101), 1)
        assert.equal(await found(200), 1, 'the first of two at the same time')
        assert.equal(await found(201), 3)
        assert.equal(await found(450), 5, 'inside what was appended in one piece')
        assert.equal(await found(600), 6)
        assert.equal(await found(601), 7, 'after the last: the end')
      })

      it('tells the bounds of a topic', limit, async () => {
        const topic = await freshTopic()
        await appendEach(topic, numbers(0, 7))
        assert.deepEqual(await log.bounds(topic), { first: 0, next: 7 })
      })
    })

    describe('tail', () => {
      it('gets what is there and what comes later, without gap or repeat', limit, async () => {
        const topic = await freshTopic()
        await appendEach(topic, numbers(0, 10))
        using tail = new TailReader(log, topic, offset(4))
        await tail.until(6)
        for (const n of numbers(10, 30)) await log.append(topic, [record(n)])
        await appendEach(topic, numbers(30, 60))
        await tail.until(56)
        assert.deepEqual(tail.values, numbers(4, 60))
        assert.deepEqual(
          tail.offsets,
          numbers(4, 60).map(n => Number(n)),
        )
      })

      it('gets every record in its order, however many appends are under way', limit, async () => {
        const topic = await freshTopic()
        using tail = new TailReader(log, topic, zero)
        await log.append(topic, [record('0')])
        await tail.until(1)
        await appendEach(topic, numbers(1, 2001))
        await tail.until(2001)
        assert.deepEqual(tail.values, numbers(0, 2001))
      })

      it('gets from the end only what comes later', limit, async () => {
        const topic = await freshTopic()
        await appendEach(topic, numbers(0, 3))
        using tail = new TailReader(log, topic, offset(3))
        await appendEach(topic, numbers(3, 5))
        await tail.until(2)
        assert.deepEqual(tail.values, ['3', '4'])
      })

      it('starts anywhere while records are being appended', limit, async () => {
        const topic = await freshTopic()
        const readers: TailReader[] = []
        try {
          const appends = []
          for (const n of numbers(0, 200)) {
            appends.push(log.append(topic, [record(n)]))
            if (Number(n) % 20 === 0) {
              await Promise.all(appends)
              readers.push(new TailReader(log, topic, offset(Math.floor(Number(n) / 2))))
            }
          }
          for (const [i, reader] of readers.entries()) {
            await reader.until(200 - i * 10)
            assert.deepEqual(reader.values, numbers(i * 10, 200))
          }
        } finally {
          for (const reader of readers) reader.close()
        }
      })

      it('catches up with a long topic', limit, async () => {
        const topic = await freshTopic()
        const value = randomBytes(20_000)
        for (let i = 0; i < 20; i++) {
          await log.append(
            topic,
            Array.from({ length: 20 }, () => record(value)),
          )
        }
        using tail = new TailReader(log, topic, zero)
        await log.append(topic, [record('last')])
        await tail.until(401)
        assert.equal(tail.values[400], 'last')
      })

      it('gives two tails of one topic the same records', limit, async () => {
        const topic = await freshTopic()
        await appendEach(topic, numbers(0, 5))
        using one = new TailReader(log, topic, zero)
        await one.until(5)
        using other = new TailReader(log, topic, offset(2))
        await other.until(3)
        await appendEach(topic, numbers(5, 10))
        await Promise.all([one.until(10), other.until(8)])
        assert.deepEqual(one.values, numbers(0, 10))
        assert.deepEqual(other.values, numbers(2, 10))
        one.close()
        await log.append(topic, [record('10')])
        await other.until(9)
        assert.equal(one.records.length, 10)
      })

      it('follows 50 topics at once', { timeout: 60_000 }, async () => {
        const topics = await Promise.all(Array.from({ length: 50 }, () => freshTopic()))
        const tails = topics.map(topic => new TailReader(log, topic, zero))
        try {
          for (let round = 0; round < 10; round++) {
            await Promise.all(topics.map((topic, i) => log.append(topic, [record(`${i}/${round}`)])))
          }
          for (const [i, tail] of tails.entries()) {
            await tail.until(10)
            assert.deepEqual(
              tail.values,
              numbers(0, 10).map(n => `${i}/${n}`),
            )
          }
        } finally {
          for (const tail of tails) tail.close()
        }
      })

      // Thirty in a row within the limit: none waits for a poll of the others to run out.
      it('begins promptly while another tail waits for records', { timeout: 6000 }, async () => {
        const quiet = await freshTopic()
        const topic = await freshTopic()
        await log.append(topic, [record('a')])
        using waiting = new TailReader(log, quiet, zero)
        for (let i = 0; i < 30; i++) {
          using tail = new TailReader(log, topic, zero)
          await tail.until(1)
        }
        assert.equal(waiting.records.length, 0)
      })

      it('says no more once it is closed', limit, async () => {
        const topic = await freshTopic()
        using closed = new TailReader(log, topic, zero)
        using open = new TailReader(log, topic, zero)
        await log.append(topic, [record('a')])
        await Promise.all([closed.until(1), open.until(1)])
        closed.close()
        closed.close()
        await log.append(topic, [record('b')])
        await open.until(2)
        await log.delete(topic)
        await open.ended
        assert.deepEqual(closed.values, ['a'])
        assert.equal(closed.lateCalls, 0)
      })

      it('may be closed by its own sink', limit, async () => {
        const topic = await freshTopic()
        await log.append(topic, [record('a')])
        const { promise, resolve } = Promise.withResolvers<void>()
        let calls = 0
        const tail = log.tail(topic, zero, {
          onChunk: () => {
            calls += 1
            tail.close()
            resolve()
          },
          onEnd: () => assert.fail('closed'),
        })
        await promise
        using other = new TailReader(log, topic, zero)
        await log.append(topic, [record('b')])
        await other.until(2)
        assert.equal(calls, 1)
      })

      it('ends where its offset lies past the end', limit, async () => {
        const topic = await freshTopic()
        await log.append(topic, [record('a')])
        using tail = new TailReader(log, topic, offset(5))
        using good = new TailReader(log, topic, zero)
        assert.equal((await tail.ended).code, 'OFFSET_OUT_OF_RANGE')
        await log.append(topic, [record('b')])
        await good.until(2)
      })
    })

    describe('delete', () => {
      it('ends the tails of the topic and leaves the others', limit, async () => {
        const [gone, kept] = await Promise.all([freshTopic(), freshTopic()])
        using tail = new TailReader(log, gone, zero)
        using other = new TailReader(log, kept, zero)
        await Promise.all([log.append(gone, [record('a')]), log.append(kept, [record('a')])])
        await Promise.all([tail.until(1), other.until(1)])
        await log.delete(gone)
        assert.equal((await tail.ended).code, 'TOPIC_NOT_FOUND')
        await log.append(kept, [record('b')])
        await other.until(2)
      })

      it('makes every use of the topic fail with TOPIC_NOT_FOUND', limit, async () => {
        const topic = await freshTopic()
        await log.append(topic, [record('a')])
        await log.delete(topic)
        assert.equal(await log.find(topic.name), undefined)
        assert.deepEqual(await log.topics(topic.name), [])
        await rejectsWith(log.append(topic, [record('b')]), 'TOPIC_NOT_FOUND')
        await rejectsWith(log.read(topic, zero, 1024), 'TOPIC_NOT_FOUND')
        await rejectsWith(log.bounds(topic), 'TOPIC_NOT_FOUND')
        await rejectsWith(log.offsetAt(topic, now), 'TOPIC_NOT_FOUND')
        using tail = new TailReader(log, topic, zero)
        assert.equal((await tail.ended).code, 'TOPIC_NOT_FOUND')
        await log.delete(topic)
      })

      it('gives a topic made again another id, no records, and nothing of the old one', limit, async () => {
        const old = await freshTopic()
        await log.append(old, [record('old')])
        using tail = new TailReader(log, old, zero)
        await tail.until(1)
        await log.delete(old)
        const topic = await log.create(old.name, {})
        assert.notEqual(topic.id, old.id)
        assert.deepEqual(await log.bounds(topic), { first: 0, next: 0 })
        await rejectsWith(log.append(old, [record('stray')]), 'TOPIC_NOT_FOUND')
        await rejectsWith(log.read(old, zero, 1024), 'TOPIC_NOT_FOUND')
        await log.delete(old)
        assert.equal(await log.append(topic, [record('new')]), 0)
        assert.equal((await tail.ended).code, 'TOPIC_NOT_FOUND')
        assert.deepEqual(tail.values, ['old'])
      })
    })

    describe('compact topics', () => {
      it('keep the newest record of each key', limit, async () => {
        const topic = await freshTopic({ compact: true })
        using tail = new TailReader(log, topic, zero)
        const latest = new Map<string, string>()
        for (const [i, key] of ['a', 'b', 'a', 'c', 'a', 'b'].entries()) {
          const value = `${key}${i}`
          assert.equal(await log.append(topic, [record(value, { key })]), i)
          latest.set(key, value)
        }
        await tail.until(6)
        const newest = new Map<string, string>()
        const { first } = await log.bounds(topic)
        for (const { key, value } of await readAll(log, topic, first)) {
          newest.set(key, Buffer.from(value).toString())
        }
        assert.deepEqual([...newest].sort(), [...latest].sort())
      })
    })

    describe('close', () => {
      it('ends the tails, and every later call fails, with LOG_CLOSED', limit, async () => {
        const other = await open({})
        const topic = await other.create(freshName(), {})
        using tail = new TailReader(other, topic, zero)
        await other.append(topic, [record('a')])
        await tail.until(1)
        const [, end] = await Promise.all([other[Symbol.asyncDispose](), tail.ended])
        assert.equal(end.code, 'LOG_CLOSED')
        await rejectsWith(other.create(freshName(), {}), 'LOG_CLOSED')
        await rejectsWith(other.find(topic.name), 'LOG_CLOSED')
        await rejectsWith(other.topics(prefix), 'LOG_CLOSED')
        await rejectsWith(other.append(topic, [record('b')]), 'LOG_CLOSED')
        await rejectsWith(other.bounds(topic), 'LOG_CLOSED')
        await rejectsWith(other.offsetAt(topic, now), 'LOG_CLOSED')
        await rejectsWith(other.read(topic, zero, 1024), 'LOG_CLOSED')
        await rejectsWith(other.delete(topic), 'LOG_CLOSED')
        using late = new TailReader(other, topic, zero)
        assert.equal((await late.ended).code, 'LOG_CLOSED')
        await other[Symbol.asyncDispose]()
      })
    })
  })
}
