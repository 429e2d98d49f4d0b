/** Options that several commands have, checked. */
import { FramelogError } from '../errors.ts'
import { quote } from '../units.ts'
import { span } from './config.ts'

/** @returns a gateway's address, http or https. @throws FramelogError GATEWAY_UNREACHABLE */
export function gatewayUrl(text: string): URL {
  const url = URL.canParse(text) ? new URL(text) : undefined
  if (url !== undefined && /^https?:$/.test(url.protocol)) return url
  throw new FramelogError('GATEWAY_UNREACHABLE', `${quote(text)} is not a gateway's URL`)
}

/** @param name of the option, such as --duration. @returns milliseconds. @throws FramelogError BAD_OPTION */
export function spanOption(name: string, text: string): number {
  try {
    return span(text)
  } catch (error) {
    if (!(error instanceof RangeError)) throw error
    throw new FramelogError('BAD_OPTION', `${name} is ${quote(text)}: expected ${error.message}`)
  }
}
