/** Where the gateway is for this page, and the secrets that a page holds for it. */
import type { BroadcastId } from '../../units.ts'

export type Role = 'publish' | 'watch'

/** Of a broadcast's socket, the same on all gateways. */
export const socketPath = (id: BroadcastId, role: Role): string => `/api/v1/broadcasts/${id}/${role}`

/** The newest small picture of a broadcast, or a placeholder. */
export const thumbnailPath = (id: string): string => `/api/v1/broadcasts/${id}/thumbnail?placeholder=1`

/** The access token of `#token=…`: a fragment never leaves the page, so it shows in no server's log. */
export function tokenOf(page: URL): string | undefined {
  const token = new URLSearchParams(page.hash.slice(1)).get('token')
  return token === null || token === '' ? undefined : token
}

/**
 * The secret that makes a reloaded page the same publisher. It lives as long as the tab; where the browser keeps
 * nothing, as long as the page.
 */
export function resumeToken(id: BroadcastId): string {
  const key = `framelog.resume.${id}`
  const fresh = randomHex(32)
  try {
    const known = sessionStorage.getItem(key)
    if (known !== null && /^[0-9a-f]{32,128}$/.test(known)) return known
    sessionStorage.setItem(key, fresh)
  } catch {
    // Storage is switched off: the page can still reconnect, but not be reloaded.
  }
  return fresh
}

const randomHex = (bytes: number): string =>
  [...crypto.getRandomValues(new Uint8Array(bytes))].map(byte => byte.toString(16).padStart(2, '0')).join('')
