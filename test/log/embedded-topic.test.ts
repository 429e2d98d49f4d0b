/** What becomes of appends behind one whose commit failed. No disk fails on demand: the commits are told of here. */
import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { setImmediate as turn } from 'node:timers/promises'
import { FramelogError } from '../../src/errors.ts'
import { KeyOffsets } from '../../src/log/embedded/keys.ts'
import { TopicSizes } from '../../src/log/embedded/sizes.ts'
import { EmbeddedTopic } from '../../src/log/embedded/topic.ts'
import type { Chunk, LogRecord } from '../../src/log/log.ts'
import { millis, offset } from '../../src/units.ts'

const error = new FramelogError('LOG_FAILED', 'the disk')
const recordAt = (at: number): LogRecord => ({
  offset: offset(at),
  key: 'video',
  value: new Uint8Array(1),
  headers: [],
  timestamp: millis(0),
})

async function topicWith(compact: boolean, next: number) {
  const undone: (readonly [number, number])[] = []
  const undo = Promise.withResolvers<void>()
  const topic = new EmbeddedTopic(
    { name: 'a', id: 'id' },
    { id: 'id', number: 1, compact },
    0,
    0,
    new TopicSizes(4096),
    (from, to) => {
      undone.push([from, to])
      return undo.promise
    },
  )
  const chunks: Chunk[] = []
  const readAt = (): Chunk => ({ records: [], next: offset(topic.end), end: offset(topic.end) })
  topic.follow(offset(0), { onChunk: chunk => chunks.push(chunk), onEnd: assert.fail }, readAt)
  await turn()
  topic.next = next
  const commit = (at: number, failed = false): Promise<FramelogError | undefined> =>
    topic.settled({
      first: at,
      next: at + 1,
      records: failed ? [] : [recordAt(at)],
      ...(failed ? { error } : {}),
    })
  return { topic, chunks, commit, undone, undo }
}

describe('a commit that failed', () => {
  it('takes what was appended behind it along, and nobody sees that', async () => {
    const { topic, chunks, commit, undone, undo } = await topicWith(false, 4)
    const results = [commit(3), commit(1, true), commit(0)]
    assert.equal(await results[2], undefined, 'what was before it is not touched')
    assert.throws(() => topic.checkRefusal(), error)
    await turn()
    assert.throws(() => topic.checkRefusal(), error, 'as long as others are under way')
    assert.deepEqual(undone, [])
    results.push(commit(2))
    assert.deepEqual(undone, [[2, 4]])
    await turn()
    assert.throws(() => topic.checkRefusal(), error)
    assert.equal(topic.end, 1, 'not before it is out of the store')
    undo.resolve()
    assert.deepEqual(await Promise.all(results), [error, error, undefined, error])
    await turn()
    topic.checkRefusal()
    assert.deepEqual(
      chunks.map(({ records, next }) => [records.length, next]),
      [
        [1, 1],
        [0, 4],
      ],
    )
    topic.next = 5
    assert.equal(await commit(4), undefined)
    assert.equal(chunks.at(-1)?.records[0]?.offset, 4)
  })

  it('goes on where what is behind it cannot be taken out', async () => {
    const { topic, commit, undo } = await topicWith(false, 2)
    const results = [commit(0, true), commit(1)]
    undo.reject(error)
    assert.deepEqual(await Promise.all(results), [error, error])
    assert.deepEqual([topic.first, topic.end], [2, 2])
    await turn()
    topic.checkRefusal()
  })

  it('leaves in a compact topic what took the place of an older record', async () => {
    const { chunks, commit, undone } = await topicWith(true, 2)
    assert.deepEqual(await Promise.all([commit(0, true), commit(1)]), [error, error])
    assert.deepEqual(undone, [])
    assert.deepEqual(chunks[0]?.records, [recordAt(1)])
  })
})

describe('the keys of a compact topic', () => {
  it('know an older record until a newer one is committed', () => {
    const keys = new KeyOffsets()
    assert.deepEqual(keys.put('k', 3), [])
    keys.settled('k', 3, true)
    assert.deepEqual(keys.put('k', 5), [3])
    assert.deepEqual(keys.put('k', 6), [3, 5], 'one under way may still fail')
    keys.settled('k', 5, false)
    keys.settled('k', 6, false)
    assert.deepEqual(keys.put('k', 7), [3])
    assert.deepEqual(keys.put('k', 8), [3, 7])
    keys.settled('k', 7, true)
    assert.deepEqual(keys.put('k', 9), [7, 8])
    assert.deepEqual(keys.put('other', 10), [])
  })
})
