import assert from 'node:assert/strict'
import { it, mock } from 'node:test'
import { Pacer } from '../../src/log/kafka/pacer.ts'

it('requests keep a distance that grows with the records, and no more than 10 ms', () => {
  let now = 1000
  mock.method(performance, 'now', () => now)
  try {
    let brokers = 1
    const pacer = new Pacer(() => brokers)
    const run = (recordsPerSecond: number): void => {
      for (let second = 0; second < 20; second++) {
        now += 1000
        pacer.count(recordsPerSecond)
      }
    }
    assert.equal(pacer.waitAfter(now), 0, 'nothing has come yet')
    run(60)
    assert.equal(pacer.waitAfter(now), 0, 'one camera, written and read back')
    run(3000)
    assert.ok(Math.abs(pacer.waitAfter(now) - 3.75) < 0.1)
    assert.ok(Math.abs(pacer.waitAfter(now - 2) - 1.75) < 0.1, 'counted from the request before')
    assert.equal(pacer.waitAfter(now - 3), 0, 'less than a timer can tell')
    brokers = 3
    assert.equal(pacer.waitAfter(now), 10)
    run(0)
    assert.equal(pacer.waitAfter(now), 0, 'quiet again')
  } finally {
    mock.restoreAll()
  }
})
