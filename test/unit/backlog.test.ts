import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { Backlog, backlogLimits } from '../../src/gateway/backlog.ts'

const { distance, marks } = backlogLimits

describe('what waits in a connection', () => {
  it('is as old as the first byte that was not taken', () => {
    const backlog = new Backlog()
    backlog.add(100, 0, 0)
    backlog.add(100, 100, 1000)
    backlog.add(100, 200, 2000)
    assert.equal(backlog.age(300, 2500), 2500)
    assert.equal(backlog.age(201, 2500), 2500)
    assert.equal(backlog.age(200, 2500), 1500)
    assert.equal(backlog.age(1, 2600), 600)
    assert.equal(backlog.age(0, 2700), 0)
  })

  it('begins anew once all was taken', () => {
    const backlog = new Backlog()
    backlog.add(100, 0, 0)
    backlog.add(100, 0, 5000)
    assert.equal(backlog.age(100, 5010), 10)
  })

  it('counts what came shortly after a mark from there', () => {
    const backlog = new Backlog()
    backlog.add(100, 0, 0)
    backlog.add(100, 100, distance - 1)
    assert.equal(backlog.age(50, distance), distance)
  })

  it('is told by so many marks at most, and by its first byte all the same', () => {
    const backlog = new Backlog()
    const more = marks * 2
    for (let i = 0; i < more; i++) backlog.add(10, i * 10, i * distance)
    const now = more * distance
    assert.equal(backlog.age(more * 10, now), now)
    // What has no mark of its own counts from the last one.
    assert.equal(backlog.age(10, now), now - (marks - 1) * distance)
    assert.equal(backlog.age(0, now), 0)
  })
})
