/** The certificate that pages are served with. */
import { X509Certificate } from 'node:crypto'
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

/** Milliseconds before a certificate ends in which the operator is told. */
const soon = 14 * 24 * 3_600_000

/** What the operator should know of it. @param now milliseconds. @returns undefined where it is good for a while */
export function complaintOf({ cert }: Certificate, now: number): string | undefined {
  const { validFromDate, validToDate } = new X509Certificate(cert)
  const [from, to] = [validFromDate, validToDate].map(date => date.toISOString().slice(0, 10))
  if (now > validToDate.getTime())
    return `The certificate in TLS_CERTIFICATE has expired on ${to}: browsers refuse it.`
  if (now < validFromDate.getTime())
    return `The certificate in TLS_CERTIFICATE begins on ${from}: browsers refuse it.`
  return now + soon > validToDate.getTime()
    ? `The certificate in TLS_CERTIFICATE expires on ${to}.`
    : undefined
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
