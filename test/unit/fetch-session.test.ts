import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { FetchSession } from '../../src/log/kafka/fetch-session.ts'

const offsets = (wanted: Record<string, number>): Map<string, number> => new Map(Object.entries(wanted))

const asked = (session: FetchSession, wanted: Record<string, number>) => {
  const { id, epoch, topics, forgotten } = session.request(offsets(wanted))
  return {
    id,
    epoch,
    topics: topics.map(({ topicId, partitions }) => `${topicId}@${partitions[0]?.fetchOffset}`),
    forgotten: forgotten.map(({ topicId }) => topicId),
  }
}

describe('a fetch session', () => {
  it('names what is new, what moved on and what is to be forgotten, and nothing else', () => {
    const session = new FetchSession()
    const first = { a: 1, b: 2, c: 3 }
    assert.deepEqual(asked(session, first), { id: 0, epoch: 0, topics: ['a@1', 'b@2', 'c@3'], forgotten: [] })
    session.answered(7, offsets(first))
    const second = { a: 1, b: 5, d: 0 }
    assert.deepEqual(asked(session, second), { id: 7, epoch: 1, topics: ['b@5', 'd@0'], forgotten: ['c'] })
    session.answered(7, offsets(second))
    assert.deepEqual(asked(session, second), { id: 7, epoch: 2, topics: [], forgotten: [] })
  })

  it('begins anew with a full list after an error, and where the broker keeps none', () => {
    const session = new FetchSession()
    const full = { id: 0, epoch: 0, topics: ['a@1'], forgotten: [] }
    session.answered(7, offsets({ a: 1 }))
    session.reset()
    assert.deepEqual(asked(session, { a: 1 }), full)
    session.answered(0, offsets({ a: 1 }))
    assert.deepEqual(asked(session, { a: 1 }), full)
  })
})
