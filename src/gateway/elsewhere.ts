import type { Relay } from '../relay/relay.ts'
import type { KnownMessage } from '../wire/message.ts'
import type { Connection } from './connection.ts'

/** Where a page may go on, told with its welcome: of one gateway alone there is nothing to tell. */
export function tellElsewhere(connection: Connection | undefined, relay: Relay): void {
  const message = elsewhere(relay)
  if (message.urls.length > 0 || message.leave === true) connection?.send(message)
}

/** In an order of its own for each page, so that those of a gateway that stops or dies spread. */
export function elsewhere(relay: Relay): Extract<KnownMessage, { type: 'gateways' }> {
  return { type: 'gateways', urls: relay.elsewhere(), ...(relay.sendsAway ? { leave: true } : {}) }
}
