import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import fc from 'fast-check'
import { dueOf, framesOf } from '../../bench/log/camera.ts'
import { Ledger } from '../../bench/log/ledger.ts'
import type { Measured, Outcome } from '../../bench/log/measure.ts'
import { type Case, readGatewaySettings, readSettings } from '../../bench/log/settings.ts'
import { countPorts } from '../../bench/log/sockets.ts'
import type { SubjectName } from '../../bench/log/subject.ts'
import { goals, type Results, table } from '../../bench/log/table.ts'

describe('the load', () => {
  it('is every frame of every broadcast once, at even distances', () => {
    fc.assert(
      fc.property(fc.integer({ min: 1, max: 60 }), fc.integer({ min: 1, max: 5 }), (live, seconds) => {
        const plan = { live, rate: 30, seconds }
        const dues = Array.from({ length: framesOf(plan) }, (_, frame) => dueOf(plan, frame))
        assert.equal(new Set(dues.map(due => `${due.broadcast} ${due.sequence}`)).size, live * 30 * seconds)
        for (const { broadcast, sequence, at } of dues) {
          const expected = (sequence + broadcast / live) * (1000 / 30)
          assert.ok(Math.abs(at - expected) < 1e-6, `frame ${sequence} of ${broadcast} is due at ${at}`)
        }
      }),
      { numRuns: 30 },
    )
  })
})

describe('the ledger', () => {
  const span = { from: 0, to: 1000 }
  /** Ten frames, every 100 ms, acknowledged after 2 ms and delivered after 3. */
  function filled(): Ledger {
    const ledger = new Ledger(1)
    for (let i = 0; i < 10; i++) {
      ledger.send(0, i * 100, i * 100 + 1)
      ledger.acknowledge(0, i, i * 100 + 3)
      ledger.deliver(0, i, i * 100 + 4)
    }
    return ledger
  }

  it('tells the delays of frames that were due in the span, from their handing over on', () => {
    const { frames, delivered, acknowledged, late } = filled().account({ from: 200, to: 500 }, [])
    assert.deepEqual([frames, delivered.p50, delivered.max, acknowledged.p99, late.p50], [3, 3, 3, 2, 1])
  })

  it('tells apart the frames around a refresh', () => {
    const ledger = filled()
    assert.equal(ledger.account(span, []).near.frames, 0)
    assert.equal(ledger.account(span, [420]).near.frames, 2)
  })

  it('is content where every frame came once and in order', () => {
    assert.deepEqual(filled().faults(), [])
    assert.ok(filled().isComplete)
  })

  it('finds a frame that is missing, one that is refused, one that comes twice, and one that nobody sent', () => {
    const missing = new Ledger(2)
    for (let i = 0; i < 3; i++) missing.send(1, i, i)
    missing.deliver(1, 0, 5)
    missing.deliver(1, 2, 5)
    missing.fault('frame 1 was refused')
    assert.ok(!missing.isComplete)
    assert.deepEqual(missing.faults(), [
      '1 of 3 frames did not come',
      '3 of 3 frames were not acknowledged',
      'frame 2 of broadcast 1 came where 1 was next',
      'frame 1 was refused',
    ])

    const twice = filled()
    twice.deliver(0, 4, 2000)
    assert.match(twice.faults().join(), /frame 4 of broadcast 0 came where 10 was next/)
    assert.equal(twice.account(span, []).delivered.max, 3)

    const invented = filled()
    invented.deliver(0, 10, 2000)
    invented.deliver(7, 0, 2000)
    assert.equal(invented.faults().length, 2)
  })
})

describe('the connections', () => {
  it('are those of this process that are established, by the peer’s port', () => {
    const table = `  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode
   0: 0100007F:9C40 0100007F:2384 01 00000000:00000000 00:00000000 00000000  1000        0 11 1 0 20 4 30 10 -1
   1: 0100007F:9C41 0100007F:2384 01 00000000:00000000 00:00000000 00000000  1000        0 12 1 0 20 4 30 10 -1
   2: 0100007F:9C42 0100007F:2384 06 00000000:00000000 00:00000000 00000000  1000        0 13 1 0 20 4 30 10 -1
   3: 0100007F:9C43 0100007F:2385 01 00000000:00000000 00:00000000 00000000  1000        0 14 1 0 20 4 30 10 -1
   4: 0100007F:9C44 0100007F:2385 01 00000000:00000000 00:00000000 00000000  1000        0 99 1 0 20 4 30 10 -1
`
    const own = new Set(['11', '12', '13', '14', undefined])
    assert.deepEqual(
      countPorts(table, own),
      new Map([
        [9092, 2],
        [9093, 1],
      ]),
    )
  })
})

describe('the table', () => {
  const its = { brokers: 1, live: 1, open: 1 } as const
  const many = { brokers: 3, live: 50, open: 1000 } as const
  const seen = (p50: number, others = 0, requests = 2): Outcome => {
    const delays = { p50, p95: p50, p99: p50 * 10, max: p50 * 10 }
    const figures: Measured = {
      ...{
        frames: 100,
        delivered: delays,
        acknowledged: delays,
        late: delays,
        near: { frames: 0, ...delays },
      },
      ...{ faults: [], cpu: 0.3, busy: 50, others, cores: 2, connections: [5] },
      requests: { produce: requests * 50, fetch: requests * 50, metadata: 1, other: 0 },
    }
    return { kind: 'measured', figures }
  }
  const results: Results = new Map<Case, ReadonlyMap<SubjectName, readonly Outcome[]>>([
    [
      its,
      new Map<SubjectName, readonly Outcome[]>([
        ['ours', [seen(1), seen(2), seen(900, 60)]],
        ['bare', [seen(1), seen(1), seen(1)]],
      ]),
    ],
    [
      many,
      new Map<SubjectName, readonly Outcome[]>([
        ['ours', [seen(1, 0, 0.4)]],
        ['bare', [seen(5, 60)]],
      ]),
    ],
  ])
  const rows = table(results, { seconds: 10 })
    .split('\n')
    .map(line => line.split('|').map(cell => cell.trim()))

  it('has medians and spread of the rounds that others left alone, and ratios within a round', () => {
    assert.deepEqual(
      rows.slice(2).map(cells => [cells[1], cells[2], ...cells.slice(-5, -3), cells.at(-2)]),
      [
        ['1 broker, 1: ours', '1.50 (1.00–2.00)', '2 of 3', '1.50 (1.00–2.00)', '1.00 (1.00–1.00)'],
        ['1 broker, 1: bare', '1.00 (1.00–1.00)', '3 of 3', '', ''],
        ['3 brokers, 50 of 1000: ours', '1.00', '1 of 1', '', ''],
        ['3 brokers, 50 of 1000: bare *', '5.00', '1 of 1', '', ''],
      ],
    )
    assert.equal(new Set(rows.map(cells => cells.length)).size, 1)
  })

  it('is followed by what was wanted', () => {
    assert.deepEqual(goals(results), [
      'MISSED: 1 broker, 1, p50 ÷ bare 1.50, wanted at most 1.15',
      'MISSED: 1 broker, 1, p99 ÷ bare 1.50, wanted at most 1.4',
      'met: 3 brokers, 50 of 1000, requests per frame 0.40, wanted below 0.5',
    ])
  })
})

describe('the settings', () => {
  it('make cases of broadcasts and brokers', () => {
    assert.equal(readSettings({}).cases.length, 8)
    assert.deepEqual(readSettings({ LOG_BROADCASTS: '10, 5/20', LOG_BROKERS: '3' }).cases, [
      { brokers: 3, live: 10, open: 10 },
      { brokers: 3, live: 5, open: 20 },
    ])
  })

  it('are others of a gateway, with its viewers', () => {
    const { cases, subjects } = readGatewaySettings({
      GATEWAY_BROKERS: '3',
      GATEWAY_VIEWERS: '5',
      GATEWAY_BROADCASTS: '1,100/1000',
      GATEWAY_BYTES: '2000',
    })
    assert.deepEqual(cases, [
      { brokers: 3, live: 1, open: 1, viewers: 5, bytes: 2000 },
      { brokers: 3, live: 100, open: 1000, viewers: 5, bytes: 2000 },
    ])
    assert.deepEqual(readGatewaySettings({ GATEWAY_BROKERS: 'embedded', GATEWAY_BROADCASTS: '1' }).cases, [
      { brokers: 1, embedded: true, live: 1, open: 1, viewers: 1, bytes: 6000 },
    ])
    assert.deepEqual(
      readGatewaySettings({}).cases.map(({ live }) => live),
      [1, 10, 1, 10],
    )
    assert.deepEqual(subjects, ['gateway', 'bare'])
    for (const name of ['GATEWAY_VIEWERS', 'GATEWAY_BROADCASTS', 'GATEWAY_BROKERS', 'GATEWAY_BYTES'])
      assert.throws(() => readGatewaySettings({ [name]: '0' }), new RegExp(name))
  })

  it('say which variable is wrong', () => {
    for (const [name, value] of Object.entries({
      LOG_BROKERS: 'embedded',
      LOG_BROADCASTS: '50/10',
      LOG_ONLY: 'ours,theirs',
      LOG_ROUNDS: 'many',
      LOG_SECONDS: '0.1',
      LOG_WARM_UP: '-1',
      LOG_TRIES: '0.5',
    }))
      assert.throws(() => readSettings({ [name]: value }), new RegExp(name))
  })
})
