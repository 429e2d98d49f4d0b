import assert from 'node:assert/strict'
import { it } from 'node:test'
import { type Gateway, startGateway } from '../../src/gateway/gateway.ts'
import { openApi } from '../../src/gateway/openapi.ts'
import { createLogger } from '../../src/observe/logger.ts'
import { Metrics } from '../../src/observe/metrics.ts'
import type { Relay } from '../../src/relay/relay.ts'
import { FakeClock } from '../support/fake-clock.ts'

interface Description {
  readonly paths: Readonly<Record<string, Readonly<Record<string, { readonly responses: object }>>>>
}

/** What is for people, and what only leads somewhere else. */
const pages = new Set([
  'GET /',
  'GET /watch/:id',
  'POST /api/broadcasts/:id/ingest',
  'PUT /api/broadcasts/:id/ingest',
])

it('the OpenAPI description has every route of the gateway, and no other', async () => {
  const relay = { counts: {}, close: async () => {}, hasOthers: false } as unknown as Relay
  const metrics = new Metrics(() => ({ broadcasts: 0, publishers: 0, viewers: 0 }))
  const version = { version: '1.2.3', build_time: '' }
  const gateway: Gateway = await startGateway({
    ...{ relay, clock: new FakeClock(), log: createLogger('fatal'), metrics, gateway: 'test', version },
    ...{ gatherTime: 0, host: '127.0.0.1', port: 0, pages: '/nowhere' },
  })
  try {
    const served = (await (
      await fetch(`http://127.0.0.1:${gateway.port}/openapi.json`)
    ).json()) as Description
    assert.deepEqual(served, JSON.parse(JSON.stringify(openApi('1.2.3'))))
    const described = Object.entries(served.paths).flatMap(([path, operations]) =>
      Object.keys(operations).map(
        method => `${method.toUpperCase()} ${path.replaceAll(/\{(\w+)\}/g, ':$1')}`,
      ),
    )
    assert.deepEqual(described.sort(), gateway.routes.filter(route => !pages.has(route)).sort())
    for (const operations of Object.values(served.paths))
      for (const { responses } of Object.values(operations)) assert.ok(Object.keys(responses).length > 0)
  } finally {
    await gateway[Symbol.asyncDispose]()
  }
})
