/** Where a gateway is, for the other gateways and for whoever started it. */
import { hostname, networkInterfaces } from 'node:os'
import { isLoopback } from '../core/route.ts'
import type { LogDescription } from '../log/log.ts'
import type { GatewayAddress } from '../relay/heartbeat-record.ts'
import type { Config } from './config.ts'

/** How pages reach the gateway; undefined where that is not known. @param port that it listens on */
export function addressOf(config: Config, port: number): GatewayAddress | undefined {
  if (config.PUBLIC_URL !== undefined) return { url: config.PUBLIC_URL }
  if (isAll(config.HTTP_HOST)) return undefined
  const text = `${schemeOf(config)}://${hostOf(config)}:${port}`
  if (!URL.canParse(text)) return undefined
  const url = new URL(text).origin
  return isLoopback(url) ? { url, host: hostname().slice(0, 64) } : { url }
}

/** One line with the address, and what acknowledged means with this log. */
export function greet(
  config: Config,
  { port, rtmpPort }: { readonly port: number; readonly rtmpPort: number | undefined },
  { backend, durability }: LogDescription,
): void {
  const isOpen = isAll(config.HTTP_HOST)
  const scheme = schemeOf(config)
  const here = `${scheme}://${isOpen ? '127.0.0.1' : hostOf(config)}:${port}`
  process.stdout.write(`Framelog is at ${here}/static/index.html (${backend} log: ${durability})\n`)
  if (rtmpPort !== undefined)
    process.stdout.write(
      `OBS and others publish to rtmp://${isOpen ? '127.0.0.1' : hostOf(config)}:${rtmpPort}/live/ID\n`,
    )
  if (!isOpen && isLoopback(here)) return
  const elsewhere = isOpen ? addresses().map(address => `${scheme}://${address}:${port}/`) : []
  const where = elsewhere.length > 0 ? ` at ${elsewhere.join(' or ')}` : ''
  const sending =
    scheme === 'https'
      ? 'Sending works there too, where the browser trusts the certificate.'
      : 'Sending needs 127.0.0.1, or https (TLS_CERTIFICATE and TLS_KEY): browsers give a camera to nothing else.'
  process.stderr.write(`Other machines can watch${where}. ${sending}\n`)
}

const isAll = (host: string): boolean => host === '0.0.0.0' || host === '::'
const schemeOf = ({ TLS_KEY }: Config): string => (TLS_KEY === undefined ? 'http' : 'https')
const hostOf = ({ HTTP_HOST: host }: Config): string => (host.includes(':') ? `[${host}]` : host)

/** Of this machine, as others on its networks reach it. */
function addresses(): string[] {
  return Object.values(networkInterfaces()).flatMap((list = []) =>
    list.filter(({ internal, family }) => !internal && family === 'IPv4').map(({ address }) => address),
  )
}
