/** The certificate that pages are served with. */
import { readFileSync } from 'node:fs'
import { createSecureContext } from 'node:tls'
import { FramelogError, systemCode } from '../errors.ts'
import type { Config } from './config.ts'

/** PEM, as Node's TLS takes it. */
export interface Certificate {
  readonly cert: string
  readonly key: string
}

/** @returns undefined where none is set. @throws FramelogError BAD_CONFIG naming the setting whose file cannot be used */
export function readCertificate({ TLS_CERTIFICATE, TLS_KEY }: Config): Certificate | undefined {
  if (TLS_CERTIFICATE === undefined || TLS_KEY === undefined) return undefined
  const cert = read('TLS_CERTIFICATE', TLS_CERTIFICATE)
  const key = read('TLS_KEY', TLS_KEY)
  check({ cert }, `TLS_CERTIFICATE names ${TLS_CERTIFICATE}, which has no readable PEM certificate in it`)
  check(
    { key },
    `TLS_KEY names ${TLS_KEY}, which has no readable PEM key in it; an encrypted one is not taken`,
  )
  check({ cert, key }, `the key in TLS_KEY is not the one of the certificate in TLS_CERTIFICATE`)
  return { cert, key }
}

function read(setting: string, file: string): string {
  try {
    return readFileSync(file, 'utf8')
  } catch (cause) {
    throw new FramelogError(
      'BAD_CONFIG',
      `${setting} names ${file}, which cannot be read (${systemCode(cause)})`,
      { cause },
    )
  }
}

function check(pem: Partial<Certificate>, otherwise: string): void {
  try {
    createSecureContext(pem)
  } catch (cause) {
    throw new FramelogError('BAD_CONFIG', otherwise, { cause })
  }
}
