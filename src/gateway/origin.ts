import type { IncomingMessage } from 'node:http'
import type { Relay } from '../relay/relay.ts'

/** Whether a request comes from a page of this gateway or its like. Browsers name a page's origin; other programs need not. */
export function isOurs({ headers }: IncomingMessage, relay: Relay): boolean {
  const { origin, host } = headers
  if (origin === undefined) return true
  if (!URL.canParse(origin)) return false
  return new URL(origin).host === host || relay.isKnownOrigin(origin)
}
