import type { Relay } from '../relay/relay.ts'
import type { Connection } from './connection.ts'

/** Where a page may go on, told with its welcome: of one gateway alone there is nothing to tell. */
export function tellElsewhere(connection: Connection | undefined, relay: Relay): void {
  const urls = relay.elsewhere()
  if (urls.length > 0) connection?.send({ type: 'gateways', urls })
}
