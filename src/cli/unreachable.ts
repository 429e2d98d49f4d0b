/** Why a gateway cannot be asked, in words. */
import { type ErrorCode, errorKinds, FramelogError } from '../errors.ts'

/** @param cause what `fetch` or a socket gave; what it wraps counts too */
export function unreachable(origin: string, cause: unknown): FramelogError {
  const code = codeOf(cause) ?? codeOf((cause as { cause?: unknown } | undefined)?.cause)
  // Names of Node.js and of OpenSSL: SELF_SIGNED_CERT_IN_CHAIN, CERT_HAS_EXPIRED, ERR_TLS_CERT_ALTNAME_INVALID …
  if (code !== undefined && /CERT|UNABLE_TO_VERIFY/.test(code)) {
    const message = `The certificate of ${origin} is not to be trusted (${code})`
    return new FramelogError('GATEWAY_UNTRUSTED', message, { cause })
  }
  return new FramelogError('GATEWAY_UNREACHABLE', `No gateway answers at ${origin}`, { cause })
}

const codeOf = (error: unknown): string | undefined => {
  const code = (error as { code?: unknown } | undefined)?.code
  return typeof code === 'string' ? code : undefined
}

/** What a gateway says is wrong; it may know codes that this version does not. */
export const toldByGateway = ({ code, message }: { code: string; message: string }): FramelogError =>
  Object.hasOwn(errorKinds, code)
    ? new FramelogError(code as ErrorCode, message)
    : new FramelogError('GATEWAY_UNREACHABLE', `${message} (${code})`)
