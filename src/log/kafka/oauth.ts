/** Access tokens for OAUTHBEARER: from a token endpoint, or from a file that something else renews. */
import { readFileSync } from 'node:fs'
import { type ErrorCode, FramelogError, systemCode, toFramelogError } from '../../errors.ts'
import { quote } from '../../units.ts'
import type { OauthSettings } from './options.ts'

export interface TokenSource {
  readonly extensions: Readonly<Record<string, string>>
  /** @throws FramelogError LOG_AUTHENTICATION naming the setting */
  token(): Promise<string>
}

/** Milliseconds that a token endpoint may take: within what a connection may take in all. */
const endpointTimeout = 3000
const longestToken = 64 * 1024

/** @throws FramelogError BAD_CONFIG */
export function oauthTokens(settings: OauthSettings): TokenSource {
  const { tokenEndpointUrl, tokenFile } = settings
  if ((tokenEndpointUrl === undefined) === (tokenFile === undefined)) {
    throw new FramelogError(
      'BAD_CONFIG',
      'SASL_MECHANISMS=OAUTHBEARER needs SASL_OAUTHBEARER_TOKEN_ENDPOINT_URL or SASL_OAUTHBEARER_TOKEN_FILE, and not both',
    )
  }
  const extensions = parseExtensions(settings.extensions)
  return tokenFile === undefined
    ? { extensions, token: fromEndpoint(settings, String(tokenEndpointUrl)) }
    : { extensions, token: fromFile(tokenFile) }
}

/** A file that is missing at once is a wrong setting; one that goes later is a log-in that fails for now. */
function fromFile(file: string): () => Promise<string> {
  readTokenFile(file, 'BAD_CONFIG')
  return async () => readTokenFile(file, 'LOG_AUTHENTICATION')
}

function readTokenFile(file: string, code: ErrorCode): string {
  const named = `SASL_OAUTHBEARER_TOKEN_FILE names ${file}, which`
  let text: string
  try {
    text = readFileSync(file, 'utf8')
  } catch (cause) {
    throw new FramelogError(code, `${named} cannot be read (${systemCode(cause)})`, { cause })
  }
  if (text.trim() === '') throw new FramelogError(code, `${named} is empty`)
  return text.trim()
}

/** Asks for a token once for all connections, and again when four fifths of its life are over. */
function fromEndpoint(settings: OauthSettings, endpoint: string): () => Promise<string> {
  const { clientId, clientSecret, scope } = settings
  if (!URL.canParse(endpoint) || !/^https?:$/.test(new URL(endpoint).protocol)) {
    const message = 'SASL_OAUTHBEARER_TOKEN_ENDPOINT_URL is no http or https URL'
    throw new FramelogError('BAD_CONFIG', message)
  }
  if (clientId === undefined || clientSecret === undefined) {
    const message =
      'SASL_OAUTHBEARER_TOKEN_ENDPOINT_URL needs SASL_OAUTHBEARER_CLIENT_ID and SASL_OAUTHBEARER_CLIENT_SECRET'
    throw new FramelogError('BAD_CONFIG', message)
  }
  let asked: Promise<string> | undefined
  let renewAt = 0
  let last = { token: '', endsAt: 0 }
  const ask = async (): Promise<string> => {
    try {
      const { token, lifetime } = await request(endpoint, clientId, clientSecret, scope)
      last = { token, endsAt: performance.now() + lifetime }
      renewAt = performance.now() + lifetime * 0.8
    } catch (error) {
      // The one before still holds for a while.
      if (performance.now() >= last.endsAt) throw error
    }
    return last.token
  }
  return () => {
    if (asked !== undefined && performance.now() < renewAt) return asked
    renewAt = performance.now() + endpointTimeout
    const asking = ask().catch((error: unknown) => {
      asked = undefined
      throw toFramelogError(error, 'LOG_AUTHENTICATION')
    })
    asked = asking
    return asking
  }
}

/** The client credentials grant. @returns the lifetime in milliseconds */
async function request(
  endpoint: string,
  clientId: string,
  clientSecret: string,
  scope: string | undefined,
): Promise<{ token: string; lifetime: number }> {
  const credentials = `${encodeURIComponent(clientId)}:${encodeURIComponent(clientSecret)}`
  const { origin, pathname } = new URL(endpoint)
  const where = `the token endpoint ${origin}${pathname} of SASL_OAUTHBEARER_TOKEN_ENDPOINT_URL`
  let response: Response
  let text: string
  try {
    response = await fetch(endpoint, {
      method: 'POST',
      headers: { authorization: `Basic ${Buffer.from(credentials).toString('base64')}` },
      body: new URLSearchParams({
        grant_type: 'client_credentials',
        ...(scope === undefined ? {} : { scope }),
      }),
      signal: AbortSignal.timeout(endpointTimeout),
    })
    text = await response.text()
  } catch (cause) {
    const inner = cause instanceof Error && cause.cause instanceof Error ? cause.cause : cause
    const reason =
      inner instanceof Error ? ('code' in inner ? String(inner.code) : inner.message) : String(inner)
    throw refused(`${where} does not answer: ${reason.slice(0, 100)}`, cause)
  }
  if (!response.ok) {
    const hint =
      response.status === 400 || response.status === 401 ? ': SASL_OAUTHBEARER_CLIENT_ID or _SECRET' : ''
    throw refused(`${where} answered ${response.status}${hint}`)
  }
  const { token, lifetime } = parseToken(text)
  if (token === undefined) throw refused(`${where} answered without an access_token`)
  return { token, lifetime }
}

function parseToken(text: string): { token: string | undefined; lifetime: number } {
  try {
    const { access_token, expires_in } = JSON.parse(text.slice(0, longestToken)) as Record<string, unknown>
    const seconds = Number(expires_in)
    return {
      token: typeof access_token === 'string' && access_token !== '' ? access_token : undefined,
      // Without a lifetime every connection asks for itself.
      lifetime: Number.isFinite(seconds) && seconds > 0 ? seconds * 1000 : 0,
    }
  } catch {
    return { token: undefined, lifetime: 0 }
  }
}

function parseExtensions(text: string | undefined): Record<string, string> {
  const extensions: Record<string, string> = {}
  for (const part of (text ?? '').split(',').filter(each => each.trim() !== '')) {
    const match = /^\s*([A-Za-z]+)=([\x20-\x7e]*)$/.exec(part)
    if (match?.[1] === undefined || match[1] === 'auth') {
      const message = `SASL_OAUTHBEARER_EXTENSIONS has ${quote(part)} where key=value belongs`
      throw new FramelogError('BAD_CONFIG', message)
    }
    extensions[match[1]] = match[2] ?? ''
  }
  return extensions
}

const refused = (message: string, cause?: unknown): FramelogError =>
  new FramelogError('LOG_AUTHENTICATION', message, cause === undefined ? {} : { cause })
