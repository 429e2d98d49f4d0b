import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { backOffLimits } from '../../src/core/back-off.ts'
import { Route, routeLimits } from '../../src/core/route.ts'
import { Addresses, addressLimits } from '../../src/relay/addresses.ts'
import { seededRandom } from '../support/fight.ts'

describe('a route', () => {
  const [home, b, c] = ['http://a.example', 'http://b.example', 'http://c.example'] as const
  const route = (from: string = home) => new Route(from, () => 1)

  it('of one gateway stays there, and waits longer and longer, but not at first', () => {
    const alone = route()
    alone.lost(0)
    const waits = [0, 1000, 2000, 3000, 4000, 11_000, 12_000].map(now => alone.moveOn(now))
    assert.equal(alone.current, home)
    assert.deepEqual(waits.slice(0, 5), [200, 400, 500, 500, 500])
    assert.deepEqual(waits.slice(5), [backOffLimits.last, backOffLimits.last])
  })

  it('goes to each of the others at once, then to all of them again after a wait', () => {
    const many = route()
    many.learn([b, c])
    const went: [string, number][] = []
    for (let i = 0; i < 6; i++) {
      const wait = many.moveOn(0)
      went.push([many.current, wait])
    }
    const { spread } = routeLimits
    assert.deepEqual(went, [
      [b, spread],
      [c, spread],
      [b, 200],
      [c, spread],
      [home, spread],
      [b, 400],
    ])
  })

  it('remembers the one that it was on, which does not name itself', () => {
    const many = route()
    many.learn([b])
    many.moveOn(0)
    many.settle()
    many.learn([c])
    many.moveOn(0)
    assert.equal(many.current, c)
    many.moveOn(0)
    assert.equal(many.current, home)
    many.moveOn(0)
    assert.equal(many.current, c)
    many.moveOn(0)
    assert.equal(many.current, b)
  })

  it('begins anew after a connection that lasted', () => {
    const alone = route()
    assert.equal(alone.isEager(0), false, 'nothing was lost yet')
    alone.lost(0)
    for (let i = 0; i < 9; i++) alone.moveOn(0)
    assert.equal(alone.isEager(0), true)
    alone.settle()
    assert.equal(alone.isEager(60_000), false)
    alone.lost(60_000)
    assert.equal(alone.moveOn(60_000), 200)
    assert.equal(alone.isEager(60_000 + routeLimits.eager), false)
  })

  it('takes no address that its page cannot reach', () => {
    const reach = (from: string, ...to: string[]): string => {
      const one = route(from)
      one.learn(to)
      one.moveOn(0)
      return one.current
    }
    assert.equal(reach('https://a.example', b, 'https://c.example'), 'https://c.example')
    assert.equal(reach(home, 'http://127.0.0.1:8080', 'http://[::1]:8080', 'http://localhost', b), b)
    assert.equal(reach('http://localhost:1', 'http://127.0.0.1:2'), 'http://127.0.0.1:2')
    assert.equal(reach(home, 'nonsense', b), b)
  })

  it('remembers so many and no more', () => {
    const many = route()
    many.learn(Array.from({ length: 100 }, (_, i) => `http://g${i}.example`))
    const seen = new Set<string>()
    for (let i = 0; i < 100; i++) {
      many.moveOn(0)
      seen.add(many.current)
    }
    assert.equal(seen.size, routeLimits.others + 1)
  })
})

describe('the addresses of gateways', () => {
  it('are told without its own, and those that mean another machine elsewhere', () => {
    const addresses = new Addresses(() => 0.5)
    addresses.own = { url: 'http://127.0.0.1:1', host: 'here' }
    const told = addresses.forPage([
      { url: 'http://127.0.0.1:1', host: 'here' },
      { url: 'http://127.0.0.1:2', host: 'here' },
      { url: 'http://127.0.0.1:3', host: 'there' },
      { url: 'https://b.example' },
      { url: 'https://b.example' },
    ])
    assert.deepEqual(told, ['http://127.0.0.1:2', 'https://b.example'])
  })

  it('are told in another order each time, and only some of very many', () => {
    const addresses = new Addresses(seededRandom(1))
    const many = Array.from({ length: 100 }, (_, i) => ({ url: `http://g${i}.example` }))
    const [first, second] = [addresses.forPage(many), addresses.forPage(many)]
    assert.equal(first.length, addressLimits.told)
    assert.notDeepEqual(first, second)
  })

  it('let pages in, also of gateways that are gone, by whichever name a machine has for itself', () => {
    const addresses = new Addresses(Math.random)
    addresses.remember({ url: 'http://127.0.0.1:8081' })
    assert.equal(addresses.isKnown('http://localhost:8081'), true)
    assert.equal(addresses.isKnown('http://127.0.0.1:8081'), true)
    for (const other of ['https://127.0.0.1:8081', 'http://127.0.0.1:8082', 'http://127.0.0.1.example:8081'])
      assert.equal(addresses.isKnown(other), false, other)
    for (let i = 0; i < addressLimits.known; i++) addresses.remember({ url: `http://g${i}.example` })
    assert.equal(addresses.isKnown('http://localhost:8081'), false)
    assert.equal(addresses.isKnown('http://g0.example'), true)
  })
})
